"""The folder of captured scans: its quota, and files that are there whole or not at all.

Old scans go when a new one is whole and needs their room, not before: one that breaks off, or that is larger
than the quota, costs itself only. While scans are written the folder therefore holds up to twice its quota.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

PART = ".part"
_NAME = re.compile(r"capture-\d{8}T\d{6}\.\d{6}Z-\d+\.h5(\.part)?")
_ABANDONED_S = 60.0
"""Nobody has written to a leftover for so long."""
_STEPS = 100
"""The quota is claimed in so many steps: looking through the folder for every write would take time."""


@dataclass(frozen=True)
class Store:
    """A folder of captured scans. No other file in it is ever touched."""

    folder: Path
    quota_bytes: int
    """Of all whole scans, and as much again of those that are being written."""

    def new_path(self) -> Path:
        """Where a new scan goes while it is written; names sort by time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(timezone.utc)
        return self.folder / f"capture-{now:%Y%m%dT%H%M%S.%f}Z-{os.getpid()}.h5{PART}"

    def claim(self, path: Path, n_bytes: int) -> int:
        """Let ``path``, which is being written, have ``n_bytes``; returns how many it may have.

        Raises
        ------
        OSError
            Where the quota does not allow it, beside what else is being written.
        """
        sizes = self._sizes().items()
        used = sum(size for other, size in sizes if other.suffix == PART and other != path)
        if used + n_bytes > self.quota_bytes:
            raise OSError(errno.EDQUOT, f"the quota of {self.quota_bytes / 1e9:g} GB is used up")
        return min(n_bytes + self.quota_bytes // _STEPS, self.quota_bytes - used)

    def used_bytes(self) -> int:
        """Of all scans of ours, those that are being written included; 0 where there is no folder."""
        return sum(self._sizes().values()) if self.folder.is_dir() else 0

    def make_room(self, n_bytes: int) -> None:
        """Remove the oldest scans until one more of ``n_bytes`` has room beside the others."""
        whole = {path: size for path, size in self._sizes().items() if path.suffix != PART}
        used = sum(whole.values())
        for path in sorted(whole):
            if used + n_bytes <= self.quota_bytes:
                return
            path.unlink(missing_ok=True)
            used -= whole[path]

    def remove_leftovers(self) -> None:
        """Remove what processes that have ended were writing."""
        for path, _ in self._sizes().items():
            with suppress(OSError):  # it went away, or its process holds it
                if path.suffix == PART and time.time() - path.stat().st_mtime > _ABANDONED_S:
                    _remove_unheld(path)

    def _sizes(self) -> dict[Path, int]:
        sizes = {}
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name) and not path.is_symlink():
                with suppress(FileNotFoundError):  # others remove files, too
                    sizes[path] = path.stat().st_size
        return sizes


def _remove_unheld(path: Path) -> None:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


class CaptureFile(io.FileIO):
    """A new scan of a store, for HDF5 to write to.

    Locked while it is written: one without a lock is a leftover. Leaving the context without :meth:`commit`
    removes it.

    HDF5 cannot be left when a write fails: it would keep the file and try again when the process ends. What
    goes wrong is therefore kept until :meth:`check`; from then on writes have no effect.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """

    def __init__(self, store: Store) -> None:
        self.path = store.new_path()
        store.remove_leftovers()
        super().__init__(self.path, "x+", opener=lambda path, flags: os.open(path, flags, 0o640))
        self._store = store
        self._failure: OSError | None = None
        self._allowed = 0
        self._is_whole = False
        fcntl.flock(self, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_whole:
            self.path.unlink(missing_ok=True)
        self.close()
        if error is not None:  # it is likely to be a consequence
            self.check()

    @property
    def n_bytes(self) -> int:
        return os.fstat(self.fileno()).st_size

    def write(self, data: Any) -> int:
        """All of it, or nothing ever after."""
        view = memoryview(data).cast("B")
        if self._failure is None:
            try:
                self._write_all(view)
            except OSError as error:
                self._failure = error
        return view.nbytes

    def _write_all(self, view: memoryview) -> None:
        end = self.tell() + view.nbytes
        if end > self._allowed:
            self._allowed = self._store.claim(self.path, end)
        while view.nbytes:
            view = view[super().write(view) :]

    def truncate(self, size: int | None = None) -> int:
        return super().truncate(size) if self._failure is None else size or 0

    def check(self) -> None:
        """Raise what went wrong since the file was opened, if anything did."""
        if self._failure is not None:
            raise self._failure

    def commit(self) -> None:
        """Give the file its name, its bytes being on the disk; the oldest make room for it."""
        os.fsync(self.fileno())
        self._store.make_room(self.n_bytes)
        whole = self.path.with_suffix("")
        self.path.rename(whole)
        self.path, self._is_whole = whole, True
