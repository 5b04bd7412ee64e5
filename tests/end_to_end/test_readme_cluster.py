"""The README's cluster: a scheduler, workers and many scans, as its lines start them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import contextmanager

import h5py
import pytest

from gadgets.simulation.scan import SimulateOptions, simulate
from tests.readme import BIN, blocks, command, shell
from tests.serving import PATIENCE_S, free_ports

distributed = pytest.importorskip("distributed", reason="dask.distributed is an extra")
N_FRAMES, N_SPOKES = 2, 21
SCANS = {"monday/a.h5": 2, "tuesday/a.h5": 1}
"""Scans below ``scans``, and their slices."""


@contextmanager
def running(line, folder):
    """A program that runs until it is told to end."""
    program, *arguments = shlex.split(line)
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen([BIN / program, *arguments], cwd=folder, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def address(tmp_path):
    """A scheduler with the two workers of the README; ``head`` is this machine, its port a free one."""
    (port,) = free_ports(1)
    here = f"tcp://127.0.0.1:{port}"
    scheduler = command("dask scheduler") + f" --host 127.0.0.1 --port {port} --no-dashboard"
    worker = command("dask worker ", {"tcp://head:8786": here})
    with running(scheduler, tmp_path), running(worker, tmp_path):
        with distributed.Client(here, timeout=PATIENCE_S) as client:
            client.wait_for_workers(2, timeout=PATIENCE_S)
            workers = client.scheduler_info()["workers"].values()
            assert all(each["resources"] == {"GPU": 1} and each["nthreads"] == 1 for each in workers)
        yield here


@pytest.fixture
def scans(tmp_path):
    """The folder with the scans."""
    for name, n_slices in SCANS.items():
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True)
        options = {"slices": n_slices, "frames": N_FRAMES, "spokes_per_frame": N_SPOKES}
        simulate(path, SimulateOptions(matrix=24, coils=2, **options)).unlink()
    return tmp_path


def test_slices_and_files_are_spread_over_the_workers(address, scans):
    line = command("gadgetron-pisco replay --scheduler ", {"tcp://head:8786": address})
    done = shell(line, scans, OMP_NUM_THREADS=os.environ["OMP_NUM_THREADS"])
    assert "2 scans: 2 done" in done.stdout
    for name, n_slices in SCANS.items():
        with h5py.File(scans / "images" / name) as file:
            assert len(file["dataset/image_2/data"]) == n_slices * N_FRAMES
    assert "2 scans: 2 skipped" in shell(line, scans).stdout


SLURM = {"sbatch": 'cp "$1" "$JOBS/$$" && echo "Submitted batch job $$"', "scancel": "exit 0"}
"""Stands in for Slurm: jobs are kept, not run."""


def test_slurm_is_asked_for_workers_with_a_gpu(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    (block,) = (block for block in blocks("py") if "SLURMCluster" in block)
    (tmp_path / "jobs").mkdir()
    for name, body in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    surroundings = {"JOBS": str(tmp_path / "jobs"), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / "cluster.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "cluster.py"],
        cwd=tmp_path,
        env={**os.environ, **surroundings},
        input="\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    address = done.stdout.splitlines()[0]
    jobs = [path.read_text() for path in (tmp_path / "jobs").iterdir()]
    assert len(jobs) == 4
    for job in jobs:
        assert {"#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=8"} <= set(job.splitlines())
        assert f"dask_worker {address} " in job
        assert "--nthreads 1 " in job
        assert "--resources GPU=1" in job
