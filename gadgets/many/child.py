"""Tasks in processes of their own: what crashes there costs no other.

The task comes on standard input, which stays open: when it closes, because the parent has died or wants no
more, the process ends in order. The result goes to standard output.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gadgets.many.task import Result, Task, from_json, perform, to_json
from gadgets.replay.host import START

_GRACE_S = 15.0
"""From the wish that a process ends to its end by force."""
_TAIL_LINES = 3


class Child:
    """The process of one task; what it logs is kept beside the output where the task fails."""

    def __init__(self, task: Task, environment: Mapping[str, str]) -> None:
        self._log = task.output.with_name(f"{task.output.name}.log")
        self._started = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)  # a link at its place is not written through
        with self._log.open("xb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - no shell
                [sys.executable, str(START), __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C belongs to the parent
            )
        with contextlib.suppress(BrokenPipeError):  # it has ended already; result() tells how
            self._write(f"{to_json(task)}\n".encode())

    def result(self) -> Result:
        """Wait for the end of the process."""
        said = self._process.stdout.read().decode(errors="replace") if self._process.stdout else ""
        status = self._process.wait()
        try:
            result = from_json(Result, said.strip().rpartition("\n")[2])
        except ValidationError:
            seconds = time.monotonic() - self._started
            result = Result(0, seconds, f"the process {_ending(status)}{_tail(self._log)}")
        if not result.error:
            self._log.unlink(missing_ok=True)
        return result

    def ask_to_end(self) -> None:
        """Tell the process to end; it does so soon."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def stop(self) -> None:
        """End the process, by force when it takes too long."""
        self.ask_to_end()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.unlink(missing_ok=True)

    def close(self) -> None:
        """Free the pipes; the process has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _write(self, data: bytes) -> None:
        if self._process.stdin:
            self._process.stdin.write(data)
            self._process.stdin.flush()


def run_child(text: str, environment: Mapping[str, str]) -> str:
    """A task in a process of its own: JSON in, JSON out; a worker of a cluster calls it."""
    child = Child(from_json(Task, text), environment)
    try:
        return to_json(child.result())
    except BaseException:
        child.stop()
        raise
    finally:
        child.close()


def n_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(n_tasks: int) -> dict[str, str]:
    """The environment of one of several tasks on this machine: an equal share of its cores."""
    n_threads = str(max(1, n_cores() // max(1, n_tasks)))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), n_threads)


def _ending(status: int) -> str:
    if status < 0:
        hint = "; out of memory?" if -status == signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-status).name}{hint}"
    return f"ended with status {status}"


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return ": " + " / ".join(line.strip() for line in lines) if lines else ""


def _end_with_parent() -> None:
    """Interrupt the work when standard input closes."""
    while os.read(sys.stdin.fileno(), 1024):  # not by sys.stdin, whose lock would outlive the interpreter
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_GRACE_S)
    os._exit(128 + signal.SIGINT)


def main() -> None:
    """The process: a task on standard input, its result on standard output, the log on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    task = from_json(Task, sys.stdin.buffer.readline().decode())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(f"{to_json(perform(task))}\n")


if __name__ == "__main__":
    main()
