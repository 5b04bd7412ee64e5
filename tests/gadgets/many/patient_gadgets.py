"""Gadgets for the tests of many scans: they keep a diary in the folder that their configuration names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import ismrmrd
import numpy as np
import psutil


def _property(connection, name: str) -> str:
    return next(item.get("value") for item in connection.config.iter("property") if item.get("name") == name)


def _image() -> ismrmrd.Image:
    pixels = np.ones((4, 3), np.float32)
    return ismrmrd.Image.from_array(
        pixels, transpose=False, image_type=1, image_index=1, image_series_index=1
    )


def _ancestors() -> str:
    return " ".join(str(parent.pid) for parent in psutil.Process().parents())


def waits(connection):
    """Notes the processes it belongs to, waits for the file ``go``, then sends one image."""
    diary = Path(_property(connection, "diary"))
    (diary / f"begun_{os.getpid()}").write_text(_ancestors())
    for _ in connection:
        pass
    deadline = time.monotonic() + 60
    while not (diary / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    connection.send(_image())


def counts(connection):
    """One image; notes which threads and GPUs it may use."""
    for _ in connection:
        pass
    share = f"{os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    (Path(_property(connection, "diary")) / f"{os.getpid()}").write_text(share)
    connection.send(_image())


def kills_its_parent_once(connection):
    """The first time, the process that replays is killed, as if memory had run out; later one image."""
    mark = Path(_property(connection, "diary")) / "killed"
    for _ in connection:
        pass
    if not mark.exists():
        mark.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(5)
    connection.send(_image())


def fails_once(connection):
    """The first time, an error after an image; later two images."""
    mark = Path(_property(connection, "diary")) / "failed"
    for _ in connection:
        pass
    connection.send(_image())
    if not mark.exists():
        mark.touch()
        raise RuntimeError("a fly in the bore")
    connection.send(_image())
