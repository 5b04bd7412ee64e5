"""Proofs that an installation works: a phantom that is reconstructed, a daemon that answers."""

from __future__ import annotations

import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gadgets.installation.doctor import Finding
from python_recon.errors import ReconError

_PHANTOM = "reconstruction of a phantom"
_LARGEST_ERROR = 0.2
"""NRMSE. Gridding of the phantom below leaves 0.07, with angles that are 0.05 degrees wrong 0.33."""
_ANSWER_S = 5.0


def reconstruction() -> Finding:
    """A small simulated scan, through a gadget in a process of its own, compared with the truth."""
    try:
        return judged(_phantom_error())
    except ReconError as failure:
        return Finding(_PHANTOM, str(failure), False, cure="run it again with --debug, or reinstall")


def gadgetron() -> Finding:
    """The same through the interpreter that a Gadgetron server would start with this PATH."""
    subject = "gadget as Gadgetron starts it"
    python = shutil.which("python") or shutil.which("python3")
    cure = (
        "put the folder of a Python that has gadgetron-pisco first on the PATH with which Gadgetron is "
        "started, or run gadgetron-pisco serve and name it by <connect>"
    )
    if python is None:
        return Finding(subject, "there is neither python nor python3 on the PATH", False, cure=cure)
    try:
        found = judged(_phantom_error(python))
    except ReconError as failure:
        return Finding(subject, f"{python}: {failure}", False, cure=cure)
    return Finding(subject, f"{python}: {found.found}", found.is_ok, cure=found.cure)


def judged(error: float) -> Finding:
    """What an error (NRMSE) of the phantom's images says of the installation."""
    found = f"error {100 * error:.0f} % of the truth"
    cure = f"expected at most {100 * _LARGEST_ERROR:.0f} %: reinstall, and tell us which versions you have"
    return Finding(_PHANTOM, found, error <= _LARGEST_ERROR, cure=cure)


def daemon(health_port: int) -> Finding:
    """Whether a daemon on this machine takes scans."""
    subject, found = "daemon", f"ready, by its health port {health_port}"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health_port}/readyz", timeout=_ANSWER_S):
            return Finding(subject, found)
    except urllib.error.HTTPError as error:
        found = error.read().decode(errors="replace").strip()
    except OSError as error:
        found = f"nothing answers at its health port {health_port}: {error}"
    return Finding(subject, found, False, cure="look into its log; start it with gadgetron-pisco serve")


def _phantom_error(python: str = sys.executable) -> float:
    """NRMSE of a gridding reconstruction; raises ReconError where there are no images."""
    import h5py
    import numpy as np

    from gadgets.simulation.scan import SimulateOptions, simulate
    from python_recon.evaluation.metrics import match_scale, nrmse

    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.h5"
        truth_path = simulate(scan, SimulateOptions(matrix=48, coils=4, frames=2, spokes_per_frame=89))
        images = np.stack(_images(scan, python))
        with h5py.File(truth_path) as file:
            truth = np.abs(file["images"][0])
    return nrmse(match_scale(images, truth), truth)


def _images(scan: Path, python: str) -> list[Any]:
    """(y, x) images, on the CPU, which is there for it even while a scan has the GPU."""
    from gadgets.files.mrd_file import ScanFile
    from gadgets.replay.host import open_chain
    from gadgets.replay.replay import replay
    from gadgets.replay.route import Choice, embedded_config
    from gadgets.wire.pump import Timeouts

    images: list[Any] = []
    settings = {"device": "cpu", "threads": "1", "output.dtype": "float32"}
    config = embedded_config(Choice("radial_preview", settings=settings))
    timeouts = Timeouts()
    with ScanFile(scan) as source, open_chain(config, source.header_xml, timeouts, python) as peers:
        outcome = replay(
            source, peers, lambda image: images.append(image.data[0, 0]), timeouts.idle_s, lambda *_: None
        )
    if outcome.error is not None:
        raise outcome.error
    return images
