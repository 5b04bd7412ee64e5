"""Where an executed gadget finds a daemon: a socket in a folder that only their user can enter.

The name of the socket holds what both have to agree on, so that one of another version or with other settings
is not even called. Either side asks the system for the user of the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import psutil

from gadgets.capture.recorder import CaptureSettings
from gadgets.version import plugin_version
from python_recon.errors import ConfigError

_BACKLOG = 16
_WELCOME = b"+"
"""What the daemon says first where it has room for a scan."""
_ANSWER_S = 1.0
_SOCKET = re.compile(r"[0-9a-f]{16}-(\d+)\.sock")
_PACKAGE = Path(__file__).parents[1]
_log = logging.getLogger(__name__)


def standing(capture: CaptureSettings | None, most: Mapping[str, float] = MappingProxyType({})) -> str:
    """What daemon and gadget have to agree on, as a short text: who has the same makes the same images.

    Parameters
    ----------
    capture
        Where scans are kept, if anywhere.
    most
        What clients may ask for at most; a gadget knows no such limits.
    """
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    kept = capture and (str(capture.folder.resolve()), capture.quota_gb, capture.keeps_names)
    told = (plugin_version(), str(_PACKAGE), sys.prefix, devices, kept, sorted(most.items()))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def folder() -> Path:
    """The folder of the sockets: in the user's runtime folder, or else among the temporary files."""
    for place in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}")):
        if Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
            return Path(place) / "gadgetron-pisco"
    return Path(tempfile.gettempdir()) / f"gadgetron-pisco-{os.getuid()}"


class LocalDoor:
    """The daemon's end: a listening socket for gadgets of its user.

    Parameters
    ----------
    standing
        As :func:`standing` has it.
    has_room
        Whether a scan would be served at once.

    Raises
    ------
    ConfigError
        Where there can be no such socket, or its folder is not safe.
    """

    def __init__(self, standing: str, has_room: Callable[[], bool]) -> None:
        self._has_room = has_room
        place = folder()
        self._path = place / f"{standing}-{os.getpid()}.sock"
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            _check(place)
            _tidy(place)
            self._path.unlink(missing_ok=True)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self._path))
            self.listener.listen(_BACKLOG)
        except OSError as error:
            raise ConfigError(f"no socket for gadgets of this machine in {place}: {error}") from error

    def __enter__(self) -> LocalDoor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()
        with contextlib.suppress(OSError):  # somebody has tidied up
            self._path.unlink()

    def accept(self) -> socket.socket | None:
        """The connection of a gadget that was made welcome; None where it was not. Raises OSError."""
        connection, _ = self.listener.accept()
        try:
            _, user = peer_of(connection)
            if user == os.getuid() and self._has_room():
                connection.setblocking(False)
                connection.send(_WELCOME)
                return connection
            if user != os.getuid():
                _log.warning("user %d knocked at the door of user %d: refused", user, os.getuid())
        except OSError as error:
            _log.info("a gadget left at once: %s", error)
        connection.close()
        return None


def call(standing: str) -> socket.socket | None:
    """A connection to a daemon that has room for a scan now; None where there is none. It is the caller's."""
    place = folder()
    try:
        _check(place)
        paths = sorted(place.glob(f"{standing}-*.sock"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError as error:
        _log.debug("no daemon is looked for: %s", error)
        return None
    for path in paths:
        if (connection := _call(path)) is not None:
            return connection
    return None


def _call(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_ANSWER_S)
    try:
        connection.connect(str(path))
        if peer_of(connection)[1] == os.getuid() and connection.recv(1) == _WELCOME:
            return connection
    except OSError as error:  # it has ended, or does not answer
        _log.debug("%s: %s", path, error)
    connection.close()
    return None


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a local socket, as the system knows them; raises OSError."""
    shape = "iII"
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(shape))
    process, user, _ = struct.unpack(shape, raw)
    return process, user


def _check(place: Path) -> None:
    """Raise OSError where others than this user could enter the folder, or have made it."""
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{place} is no folder")
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise PermissionError(
            f"{place} belongs to user {status.st_uid} with mode {mode:o}; expected user {os.getuid()} and 700"
        )


def _tidy(place: Path) -> None:
    """Remove what daemons left that were killed."""
    for path in place.iterdir():
        match = _SOCKET.fullmatch(path.name)
        if match and not psutil.pid_exists(int(match[1])):
            path.unlink(missing_ok=True)
