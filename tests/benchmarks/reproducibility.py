"""By how much images change where nothing has: threads, instructions, the last bit of data and header.

Each machine is imitated by a process of its own; its coil maps are made there, too. ``noise`` is the
difference of images from two scans that differ in their noise alone: what nobody can tell from it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from python_recon.data import KSpace
from python_recon.resources.device import computer
from tests.benchmarks import THREADS
from tests.benchmarks.table import Reporter, Target
from tests.numerics import GOLDEN_ANGLE_DEG, complex_noise, relative_error, run_method, scan_heart

CLASSICAL = ("gridding", "cg_sense", "grasp", "xd_grasp", "subspace", "grasp by nlinv")
FITS = ("subspace_inr", "st_inr", "nik", "pisco", "iconik", "motion", "zs_ssl")
MACHINES = {
    "threads": {"BENCHMARK_THREADS": "2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
}
CLASSICAL_LIMIT, SHARE_OF_NOISE = 1e-5, 0.1
_NOISE = 0.03
_NINTH = 1e-9


def run(reporter: Reporter) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = _images(Path(folder, "here"), {}, ("scan", "1e-7", "ninth digit", "noise"))
        there = {
            name: _images(Path(folder, name), machine, ("scan",))["scan"]
            for name, machine in MACHINES.items()
        }
    changed = {**there, **{case: here[case] for case in ("1e-7", "ninth digit", "noise")}}
    table = Table(title=f"relative differences of the images; {computer()}", title_justify="left")
    for heading in ("", *changed):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    targets = []
    for name, images in here["scan"].items():
        differences = {case: relative_error(those[name], images) for case, those in changed.items()}
        table.add_row(name, *(f"{difference:.1e}" for difference in differences.values()))
        noise = differences.pop("noise")
        limit = SHARE_OF_NOISE * noise if name in FITS else CLASSICAL_LIMIT
        targets.append(Target(f"largest change of {name}", max(differences.values()), limit))
    reporter.console.print(table)
    reporter.judge(targets)


def _images(
    folder: Path, environment: dict[str, str], cases: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray]]:
    """Images of every case and method on a machine that differs in some variables, else with one thread."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.benchmarks.reproducibility", str(folder), *cases]
    subprocess.run(command, env={**os.environ, "BENCHMARK_THREADS": "1", **environment}, check=True)
    return {case: dict(np.load(folder / f"{case}.npz")) for case in cases}


def _reconstruct(kspace: KSpace) -> dict[str, np.ndarray]:
    images = {}
    for name in (*CLASSICAL, *FITS):
        method, _, estimator = name.partition(" by ")
        maps = estimate(kspace, CoilConfig(maps=estimator or "espirit"))
        images[name] = run_method(method, kspace, maps).images.numpy()
    return images


def _scan(case: str) -> KSpace:
    kspace = scan_heart(8, 8, 4, (32, 32), noise=_NOISE).kspace
    data, trajectory = kspace.data, kspace.trajectory
    noise = complex_noise(data.shape, 31)
    if case == "1e-7":
        data = data * (1 + 1e-7 * noise)
    if case == "ninth digit":  # of the bandwidth, by which data are scaled, and of the angle between spokes
        data = data * (1 + _NINTH)
        turn = _NINTH * np.deg2rad(GOLDEN_ANGLE_DEG) * np.arange(data.shape[0] * data.shape[2])
        x, y = np.moveaxis(trajectory.astype(np.float64), -1, 0)
        turn = turn.reshape(data.shape[0], -1, 1)
        trajectory = np.stack([x - turn * y, y + turn * x], -1)
    if case == "noise":
        data = data + _NOISE * noise
    return replace(kspace, data=data.astype(np.complex64), trajectory=trajectory.astype(np.float32))


def _work(folder: str, *cases: str) -> None:
    import torch

    torch.set_num_threads(THREADS)
    for case in cases:
        np.savez(Path(folder, f"{case}.npz"), **_reconstruct(_scan(case)))


if __name__ == "__main__":
    _work(*sys.argv[1:])
