"""Many scans on a Dask cluster of real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from python_recon.errors import StreamError

distributed = pytest.importorskip("distributed", reason="dask.distributed is an extra")
COMMAND = Path(sys.executable).with_name("gadgetron-pisco")
PATIENCE_S = 120


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def begun(diary: Path) -> list[list[int]]:
    """The processes above each gadget that has begun, the nearest first: its replay, its worker, ..."""
    texts = [path.read_text() for path in diary.glob("begun_*")]
    return [[int(number) for number in text.split()] for text in texts if text]


@pytest.fixture
def new_cluster(tmp_path, monkeypatch):
    """Starts clusters of single-threaded worker processes, each with a nanny."""
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:

        def start(n_workers: int):
            cluster = distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                dashboard_address=None,
                local_directory=str(tmp_path),
            )
            return stack.enter_context(cluster)

        yield start


def test_a_worker_that_is_killed_loses_nothing(scans, tmp_path, write_config, new_cluster, left_over):
    config, out = write_config("waits", diary=tmp_path), tmp_path / "out"
    address = new_cluster(2).scheduler_address
    command = [COMMAND, "replay", "-f", scans, "-c", config, "-o", out, "--scheduler", address]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(begun(tmp_path)) == 2)
        replaying, worker, *_ = begun(tmp_path)[0]
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(replaying))  # what it had begun ends with it
        assert not list(out.glob("*.h5"))
        (tmp_path / "go").touch()
        table = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 0, table
    assert "3 scans: 3 done" in table
    assert sorted(path.name for path in out.glob("*.h5")) == ["a.h5", "b.h5", "c.h5"]
    assert len(begun(tmp_path)) == 4
    assert not left_over(out)


def test_workers_with_a_gpu_are_chosen(replay, scans, tmp_path, write_config, new_cluster):
    config = write_config("waits", diary=tmp_path)
    (tmp_path / "go").touch()
    address = new_cluster(1).scheduler_address
    given = ["worker", address, "--resources", "GPU=1", "--nthreads", "1", "--no-dashboard"]
    command = [COMMAND.with_name("dask"), *given, "--local-directory", tmp_path]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=PATIENCE_S)
        result = replay("-f", scans, "-c", config, "-o", tmp_path / "out", "--scheduler", address)
        process.terminate()
    assert result.exit_code == 0, result.stdout
    assert len(begun(tmp_path)) == 3
    assert all(process.pid in above for above in begun(tmp_path))


def test_no_scheduler_is_one_clear_error(monkeypatch):
    from gadgets.many import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    with pytest.raises(StreamError, match="no Dask scheduler answers at tcp:"):
        next(cluster.run_on_cluster([], "tcp://127.0.0.1:9", "cpu"))
