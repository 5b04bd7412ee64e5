"""BART by its command line, with files in memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.benchmarks import THREADS
from tests.benchmarks.scene import Scene
from tests.benchmarks.timing import Contender, Duration

TIME_AXIS = 10
"""BART's axis of the frames; axes are x, y, z, coil, ... as BART counts them."""
_ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": str(THREADS)}
_OWN_TIME = re.compile(r"Total Time: ([0-9.]+)")


def is_there() -> bool:
    return shutil.which("bart") is not None


def version() -> str:
    if not is_there():
        return "BART is not on PATH (Debian, Ubuntu: apt install bart)"
    return "BART " + subprocess.run(["bart", "version"], capture_output=True, text=True).stdout.strip()


def has_tool(name: str) -> bool:
    return subprocess.run(["bart", name, "-h"], capture_output=True).returncode == 0


class Workspace:
    """A folder of BART's arrays, in memory where there is /dev/shm; removed with the object."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self._folder.name)

    def write(self, name: str, array: np.ndarray, axes: Sequence[int]) -> None:
        """Store an array whose dimensions are BART's ``axes``, the last one fastest as everywhere here."""
        sizes = [1] * 16
        for axis, size in zip(axes, array.shape, strict=True):
            sizes[axis] = size
        if list(axes) != sorted(axes, reverse=True):
            raise ValueError(f"axes are {axes}, expected falling ones")
        (self.path / f"{name}.hdr").write_text("# Dimensions\n" + " ".join(map(str, sizes)) + "\n")
        np.ascontiguousarray(array, np.complex64).tofile(self.path / f"{name}.cfl")

    def read(self, name: str) -> np.ndarray:
        """The array without its axes of length 1, BART's first axis last."""
        sizes = (self.path / f"{name}.hdr").read_text().splitlines()[1].split()
        array = np.fromfile(self.path / f"{name}.cfl", np.complex64)
        return array.reshape([int(size) for size in reversed(sizes)]).squeeze()

    def run(self, *arguments: str) -> Duration:
        """Run a command.

        Raises
        ------
        RuntimeError
            With what BART said, if it failed.
        """
        started = time.perf_counter()
        process = self._start(arguments)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        own = _OWN_TIME.search(self._said(process))
        return Duration(seconds, usage.ru_utime + usage.ru_stime, float(own[1]) if own else None)

    def peak_memory_mb(self, *arguments: str) -> float:
        """Run a command; the peak of its resident memory, looked at every few milliseconds.

        The rusage of a process is of no use here: Linux counts what its parent held when it was forked.
        """
        process = self._start(arguments)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _high_water_mb(process.pid))
            time.sleep(0.005)
        self._said(process)
        return peak

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        with (self.path / "log").open("w") as log:
            return subprocess.Popen(
                ["bart", *arguments], cwd=self.path, env=_ENVIRONMENT, stdout=log, stderr=log
            )

    def _said(self, process: subprocess.Popen[str]) -> str:
        said = (self.path / "log").read_text()
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, process.args))} failed ({process.returncode}):\n{said}")
        return said


def _high_water_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    name = next((line.split()[1] for line in lines if line.startswith("Name:")), "")
    high = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(high) / 1024 if name == "bart" else 0.0


@dataclass
class BartCommand(Contender):
    """A command whose result is the array ``output``."""

    workspace: Workspace = field(default_factory=Workspace)
    arguments: tuple[str, ...] = ()
    output: str = "output"

    def first(self) -> tuple[np.ndarray, float]:
        memory_mb = self.workspace.peak_memory_mb(*self.arguments)
        return self.workspace.read(self.output), memory_mb

    def again(self) -> Duration:
        return self.workspace.run(*self.arguments)


def scan_in_workspace(scene: Scene) -> Workspace:
    """The arrays ``kspace``, ``trajectory``, ``weights`` and ``maps`` of a scan, written for BART.

    BART multiplies the data and the model by its weights: they are the square roots of ours.
    """
    workspace, kspace = Workspace(), scene.kspace
    points = np.concatenate([kspace.trajectory, np.zeros_like(kspace.trajectory[..., :1])], -1)
    workspace.write("trajectory", points, (TIME_AXIS, 2, 1, 0))
    workspace.write("kspace", kspace.data, (TIME_AXIS, 3, 2, 1))
    workspace.write("weights", np.sqrt(scene.weights), (TIME_AXIS, 2, 1))
    workspace.write("maps", scene.maps, (3, 1, 0))
    return workspace
