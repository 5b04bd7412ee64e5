"""A recorded MRD stream as a scan: configuration (if any), header, items and CLOSE, in a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gadgets.wire.header import header_text
from gadgets.wire.messages import MessageId
from gadgets.wire.wire import Item, Session, Wire
from python_recon.errors import DataError, ReconError

_OPENING = {message.to_bytes(2, "little") for message in list(MessageId)[:3]}
"""What a scan may start with: the name or the text of a configuration, or a header."""


def is_stream(path: Path) -> bool:
    """Whether a file starts as a stream does; it may be missing."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(2) in _OPENING
    except OSError:
        return False


class StreamFile:
    """A scan that was recorded as it went over the wire, by ``ismrmrd_hdf5_to_stream`` for instance.

    Raises
    ------
    DataError
        When the stream does not start as a scan does.
    """

    n_items: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wire: Wire | None = None
        with self._opened() as (_, session):
            self.session = session
        self.header = session.header

    @property
    def header_xml(self) -> str:
        """The header, mended where the stream's violates the schema."""
        return header_text(self.header)

    def items(self) -> Iterator[Item]:
        """The scan's items in order, from the first one each time.

        Raises
        ------
        DataError
            Where the stream is damaged or cut short, after what came before that.
        """
        with self._opened() as (wire, _):
            yield from wire

    def stop(self) -> None:
        """End :meth:`items`."""
        if self._wire is not None:
            self._wire.abort()

    @contextmanager
    def _opened(self) -> Iterator[tuple[Wire, Session]]:
        """The stream behind its header, and what stands in front of that."""
        try:
            with (
                self.path.open("rb", buffering=0) as source,
                Path(os.devnull).open("wb", buffering=0) as sink,
            ):
                self._wire = Wire.from_files(source, sink)
                yield self._wire, self._wire.receive_session()
        except (ReconError, OSError) as error:
            raise DataError(f"{self.path}, a recorded stream, cannot be read: {error}") from error
