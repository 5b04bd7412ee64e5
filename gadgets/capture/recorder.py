"""Keeps the scans that come in: one ISMRMRD file each, from which they can be replayed.

What is kept, and where, is for the operator of the machine to say, by options of ``serve`` or by environment
variables; a client cannot have anything written. A scan does not wait for its capture: a thread of its own
writes, and where it fails or falls behind, the capture is given up and the scan goes on.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import h5py
import ismrmrd

from gadgets.capture.scan import CapturedScan, Row, configuration_text, unpacked, without_names
from gadgets.capture.store import CaptureFile, Store
from gadgets.files.mrd_file import CONFIG
from gadgets.wire.backlog import bytes_of
from gadgets.wire.header import header_text
from python_recon.errors import ConfigError, ReconError

if TYPE_CHECKING:
    from gadgets.wire.prefetch import Prefetch
    from gadgets.wire.wire import Item
    from python_recon.config import Config

FOLDER_VARIABLE = "GADGETRON_PISCO_CAPTURE"
QUOTA_VARIABLE = "GADGETRON_PISCO_CAPTURE_QUOTA_GB"
NAMES_VARIABLE = "GADGETRON_PISCO_CAPTURE_NAMES"
DEFAULT_QUOTA_GB = 20.0

_MAX_BACKLOG_BYTES = 1 << 29
_ROWS = 64
"""Readouts and waveforms written at a time."""
_FINISH_S = 10.0
"""From the end of the scan until its file is not waited for."""
_UNDO_S = 1.0
"""The same for a file that is given up."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)


class CaptureOutcome(str, Enum):
    """What became of a capture."""

    KEPT = "kept"
    BROKEN_OFF = "broken_off"
    """The stream did not end with CLOSE."""
    EMPTY = "empty"
    """There was no readout in it."""
    SLOW_DISK = "slow_disk"
    """Too much waited to be written."""
    NO_ROOM = "no_room"
    """The disk or the quota was full."""
    FAILED = "failed"
    """Anything else; the log says what."""
    LOST = "lost"
    """The process ended before the file was whole."""


@dataclass(frozen=True)
class CaptureSettings:
    """What the operator allows to be kept."""

    folder: Path
    quota_gb: float = DEFAULT_QUOTA_GB
    """Of all captured scans in the folder, in 10^9 bytes; the oldest make room for new ones. Those that are
    being written may take as much again."""
    keeps_names: bool = False
    """Whether the header keeps what identifies the patient, the staff and the site."""

    @classmethod
    def checked(cls, folder: Path, quota_gb: float, keeps_names: bool) -> CaptureSettings:
        """Settings whose folder is there; raises ConfigError where it cannot be written to."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the capture folder {folder} cannot be made: {error}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"the capture folder {folder} cannot be written to by user {os.getuid()}")
        return cls(folder.resolve(), quota_gb, keeps_names)

    def usage(self) -> str:
        """How much of the quota is used, for a reader."""
        used_gb = Store(self.folder, int(self.quota_gb * 1e9)).used_bytes() / 1e9
        return f"{used_gb:.1f} of {self.quota_gb:g} GB"


def settings_from_environment() -> CaptureSettings | None:
    """For gadgets that Gadgetron starts; None where nothing is to be captured, or the quota is no number."""
    folder, quota = os.environ.get(FOLDER_VARIABLE), os.environ.get(QUOTA_VARIABLE, str(DEFAULT_QUOTA_GB))
    if not folder:
        return None
    try:
        quota_gb = float(quota)
    except ValueError:
        quota_gb = 0.0
    if not quota_gb > 0:
        _log.error("nothing is captured: %s is %r, expected gigabytes", QUOTA_VARIABLE, quota)
        return None
    keeps_names = os.environ.get(NAMES_VARIABLE, "").lower() in ("1", "true", "yes", "on")
    return CaptureSettings(Path(folder), quota_gb, keeps_names)


class Capture:
    """Keeps one scan, or nothing where there are no settings.

    Use as a context around the whole scan; its end waits for the file's, though not for long. The file gets
    its name when the stream has ended with CLOSE, whatever became of the reconstruction; a stream that breaks
    off leaves none.

    Parameters
    ----------
    tell
        Hears what became of a capture that was begun, from another thread.
    """

    def __init__(
        self, settings: CaptureSettings | None, tell: Callable[[CaptureOutcome], None] = lambda _outcome: None
    ) -> None:
        self._settings, self._tell = settings, tell
        self._recorder: Recorder | None = None

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorder is not None:
            self._recorder.await_end()

    def attach(self, items: Prefetch, header: ismrmrd.xsd.ismrmrdHeader) -> bool:
        """Keep the items, once they arrive, under this header; False where nothing is to be kept."""
        if self._settings is None:
            return False
        self._recorder = Recorder(self._settings, header, self._tell)
        items.source = self._recorder.passing(items.source)
        return True

    def keep_config(self, config: Config) -> None:
        """Keep the configuration that makes the images, so that the file can be replayed by itself."""
        if self._recorder is not None:
            self._recorder.config = config


class Recorder:
    """Writes what passes through it, in a thread of its own."""

    config: Config | None = None
    """Kept with the scan where it is known when the stream ends."""

    def __init__(
        self,
        settings: CaptureSettings,
        header: ismrmrd.xsd.ismrmrdHeader,
        tell: Callable[[CaptureOutcome], None],
    ) -> None:
        self._settings, self._tell = settings, tell
        self._header = header
        self._arrived: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
        self._n_arrived, self._n_written = 0, 0  # bytes; each is counted by one thread only
        self._given_up: CaptureOutcome | None = None
        # No daemon: a process that ends while HDF5 writes would never end.
        self._thread = threading.Thread(target=self._record, name="capture")

    def passing(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items as they come."""
        self._thread.start()
        end = _End.BROKEN
        try:
            for item in items:
                self._take(item)
                yield item
            end = _End.WHOLE
        finally:
            self._arrived.put(end)

    def await_end(self) -> None:
        """Wait until the file is whole or gone, though not for long: the client waits, too."""
        if self._thread.ident is None:
            return
        self._thread.join(_FINISH_S if self._given_up is None else _UNDO_S)
        if self._thread.is_alive():
            _log.warning("the disk is slow: the scan does not wait for its capture")

    def _take(self, item: Item) -> None:
        if self._given_up is not None:
            return
        self._n_arrived += bytes_of(item)
        self._arrived.put(item)
        if self._n_arrived - self._n_written > _MAX_BACKLOG_BYTES:
            waiting = f"the disk is too slow: {_MAX_BACKLOG_BYTES >> 20} MiB wait for it"
            self._give_up(CaptureOutcome.SLOW_DISK, waiting)

    def _give_up(self, outcome: CaptureOutcome, reason: object) -> CaptureOutcome:
        """The first reason for it."""
        if self._given_up is None:
            self._given_up = outcome
            _log.warning("the capture of this scan is given up: %s", reason)
        return self._given_up

    # The thread that writes

    def _record(self) -> None:
        try:
            self._write()
            outcome = CaptureOutcome.KEPT
        except _NotKeptError as error:
            outcome = self._give_up(error.outcome, error)
        except OSError as error:
            is_full = error.errno in _NO_ROOM
            outcome = self._give_up(CaptureOutcome.NO_ROOM if is_full else CaptureOutcome.FAILED, error)
        except ReconError as error:
            outcome = self._give_up(CaptureOutcome.FAILED, error)
        except Exception as error:  # whatever it is, the scan goes on
            text = f"unforeseen failure: {type(error).__name__}: {error}"
            outcome = self._give_up(CaptureOutcome.FAILED, text)
        self._drop_backlog()
        self._tell(outcome)

    def _write(self) -> None:
        settings = self._settings
        header = self._header if settings.keeps_names else without_names(self._header)
        with CaptureFile(Store(settings.folder, int(settings.quota_gb * 1e9))) as file:
            self._fill(file, header_text(header))
            file.commit()
            _log.info("captured as %s, %.0f MB", file.path, file.n_bytes / 1e6)

    def _drop_backlog(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._arrived.get_nowait()

    def _fill(self, file: CaptureFile, header_xml: str) -> None:
        with h5py.File(file, "w") as hdf5:
            scan = CapturedScan(hdf5, header_xml.encode())
            for batch in self._batches():
                scan.append(batch)
                file.check()
            if scan.n_readouts == 0:
                raise _NotKeptError(CaptureOutcome.EMPTY, "it holds no readouts")
            if self.config is not None:
                scan.write_text(CONFIG, configuration_text(self.config).encode())
        file.check()

    def _batches(self) -> Iterator[list[Row]]:
        """What has arrived, in blocks, until the stream ends or the capture is given up."""
        batch: list[Row] = []
        while self._given_up is None:
            item = self._arrived.get()
            if item is _End.WHOLE:
                yield batch
                return
            if isinstance(item, _End):
                raise _NotKeptError(CaptureOutcome.BROKEN_OFF, "the stream broke off")
            batch += unpacked(item)
            self._n_written += bytes_of(item)
            if len(batch) >= _ROWS:
                yield batch
                batch = []
        raise _NotKeptError(self._given_up, "it was given up")


class _End(Enum):
    WHOLE = auto()
    BROKEN = auto()


class _NotKeptError(Exception):
    """There is no whole scan to be kept."""

    def __init__(self, outcome: CaptureOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
