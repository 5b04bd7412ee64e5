"""Messages over a socket or a pair of pipes.

Serves both ends: the gadget's (or server's), which receives a configuration and a header, then items, and
the host's (or client's), which sends them. Speaks Gadgetron's protocol and that of direct MRD clients,
which differ in small things: NUL-terminated text, a header without a configuration, a TEXT with JSON
parameters in front of the items.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias

import ismrmrd

from gadgets.wire import formats
from gadgets.wire.channels import Buffer, Channel, PipeChannel, SocketChannel
from gadgets.wire.header import parse_header
from gadgets.wire.messages import AcquisitionBucket, ErrorText, MessageId, ReconData, Text
from python_recon.errors import ProtocolError, StreamError

MAX_IDLE_SECONDS = 60.0
DRAIN_SECONDS = 600.0
CONFIG_FILE_BYTES = 1024

Item: TypeAlias = (
    ismrmrd.Acquisition | ismrmrd.Waveform | ismrmrd.Image | ReconData | AcquisitionBucket | Text | ErrorText
)

_log = logging.getLogger(__name__)

_READERS: dict[int, Callable[[formats.Reader], Item]] = {
    MessageId.ACQUISITION: formats.read_acquisition,
    MessageId.WAVEFORM: formats.read_waveform,
    MessageId.IMAGE: formats.read_image,
    MessageId.RECON_DATA: formats.read_recon_data,
    MessageId.BUCKET: formats.read_bucket,
    MessageId.TEXT: lambda reader: Text(_decoded(reader.text("I", "a text"))),
    MessageId.ERROR: lambda reader: ErrorText(_decoded(reader.text("Q", "an error text"))),
}

_WRITERS: tuple[tuple[type, MessageId, Callable[[Any], Iterable[Buffer]]], ...] = (
    (ismrmrd.Acquisition, MessageId.ACQUISITION, formats.acquisition_parts),
    (ismrmrd.Waveform, MessageId.WAVEFORM, formats.waveform_parts),
    (ismrmrd.Image, MessageId.IMAGE, formats.image_parts),
    (ReconData, MessageId.RECON_DATA, formats.recon_data_parts),
    (AcquisitionBucket, MessageId.BUCKET, formats.bucket_parts),
    (Text, MessageId.TEXT, lambda text: _prefixed("I", text)),
    (ErrorText, MessageId.ERROR, lambda text: _prefixed("Q", text)),
)


@dataclass(frozen=True)
class Session:
    """What a peer says before its first item."""

    header: ismrmrd.xsd.ismrmrdHeader
    config_text: bytes = b""
    """Configuration XML; empty where the peer sent none or only a name."""
    config_file: str = ""
    """Name of a configuration; empty where the peer sent none or the text itself."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """The scanner's parameters, of direct MRD clients."""


class Wire:
    """One connection, spoken in messages.

    Reading raises StreamError where the peer falls silent, leaves without CLOSE or ends within a message,
    and ProtocolError where it sends what the protocol does not know or allow. Sending raises StreamError
    where the peer is gone or takes nothing. One thread may read while another sends.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._reader = formats.Reader(channel)
        self._pushed_back: int | None = None
        self._close_sent = False

    @classmethod
    def from_socket(cls, sock: socket.socket, max_idle_seconds: float = MAX_IDLE_SECONDS) -> Wire:
        """Over a connected socket, which stays the caller's to close."""
        return cls(SocketChannel(sock, max_idle_seconds))

    @classmethod
    def from_files(cls, source: BinaryIO, sink: BinaryIO, max_idle_seconds: float = MAX_IDLE_SECONDS) -> Wire:
        """Over two files with descriptors, unread and unwritten so far: pipes or the standard streams."""
        return cls(PipeChannel(source, sink, max_idle_seconds))

    @classmethod
    def from_gadgetron(cls, connection: Any) -> Wire:
        """Over the socket of a ``gadgetron.external.Connection``, which itself sends the CLOSE at its end."""
        wire = cls.from_socket(connection.socket.socket)
        wire._close_sent = True
        return wire

    def __iter__(self) -> Iterator[Item]:
        """The items up to the peer's CLOSE."""
        item: Item | None = None
        while (message := self._next_id()) != MessageId.CLOSE:
            if message not in _READERS:
                raise ProtocolError(
                    f"message id {message} is not expected here; {_expected()}{_likely_cause(item)}"
                )
            self._reader.begin()
            item = _READERS[message](self._reader)
            yield item

    def receive_session(self) -> Session:
        """Configuration (if any), header and parameters (if any) from a host or an MRD client."""
        config_text, config_file, message = b"", "", self._next_id()
        if message == MessageId.CONFIG_FILE:
            config_file = _decoded(bytes(self._reader.take(CONFIG_FILE_BYTES)).partition(b"\0")[0])
            message = self._next_id()
        elif message == MessageId.CONFIG_TEXT:
            config_text = self._reader.text("I", "a configuration")
            message = self._next_id()
        if message != MessageId.HEADER:
            raise ProtocolError(f"a header (3) was expected, but the message id is {message}")
        header = parse_header(self._reader.text("I", "a header"))
        return Session(header, config_text, config_file, self._receive_parameters())

    def _receive_parameters(self) -> dict[str, Any]:
        message = self._next_id()
        if message != MessageId.TEXT:
            self._pushed_back = message
            return {}
        return _parse_parameters(self._reader.text("I", "a text"))

    def _next_id(self) -> int:
        if self._pushed_back is not None:
            message, self._pushed_back = self._pushed_back, None
            return message
        raw = bytearray(2)
        n_read = self._channel.read_into(memoryview(raw))
        if n_read < len(raw):
            where = "within a message id" if n_read else "without closing the stream"
            raise StreamError(f"the peer went away {where}; if it crashed, its log says why")
        return int.from_bytes(raw, "little")

    def send(self, item: Item) -> None:
        """Send an item; its class decides the message."""
        for kind, message, parts in _WRITERS:
            if isinstance(item, kind):
                self._send(message, parts(item))
                return
        raise TypeError(f"a {type(item).__name__} has no place on the wire")

    def send_config_file(self, name: str) -> None:
        encoded = name.encode()
        if len(encoded) >= CONFIG_FILE_BYTES:
            raise ProtocolError(
                f"the configuration's name is longer than {CONFIG_FILE_BYTES - 1} bytes: {name!r}"
            )
        self._send(MessageId.CONFIG_FILE, [encoded.ljust(CONFIG_FILE_BYTES, b"\0")])

    def send_config_text(self, xml: str) -> None:
        self._send(MessageId.CONFIG_TEXT, _prefixed("I", xml))

    def send_header(self, xml: str | bytes) -> None:
        self._send(MessageId.HEADER, _prefixed("I", xml))

    def send_error(self, text: str) -> None:
        """Tell the client what went wrong. Keep receiving until CLOSE afterwards, then close."""
        self.send(ErrorText(text))

    def send_close(self) -> None:
        """End our side of the stream; only the first call has an effect."""
        if not self._close_sent:
            self._close_sent = True
            self._send(MessageId.CLOSE, [])

    def set_max_idle(self, seconds: float) -> None:
        """From the next wait on, the peer may do nothing for so long."""
        self._channel.max_idle_seconds = seconds

    def set_limit(self, n_bytes: float) -> None:
        """From the next array on, one message may take so much memory."""
        self._reader.limit_bytes = n_bytes

    def check_peer(self) -> None:
        """Raise StreamError where the peer is known to have gone, be it after its CLOSE."""
        if self._channel.is_lost:
            raise StreamError("the peer went away and takes no images; if it crashed, its log says why")

    def abort(self) -> None:
        """End every read under way, and all later ones, as if the peer had gone."""
        self._channel.abort()

    def _send(self, message: MessageId, parts: Iterable[Buffer]) -> None:
        self._channel.write(b"".join([struct.pack("<H", message), *parts]))


def _parse_parameters(text: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(text)["parameters"]
    except (ValueError, KeyError, TypeError, RecursionError):
        _log.warning("the text after the header is no JSON with parameters: %.200r", text)
        return {}
    if not isinstance(parameters, dict):
        raise ProtocolError(
            f"the scanner's parameters are a {type(parameters).__name__}, expected names and values"
        )
    return parameters


def _prefixed(length_code: str, text: str | bytes) -> tuple[bytes, bytes]:
    encoded = text.encode() if isinstance(text, str) else text
    return struct.pack(f"<{length_code}", len(encoded)), encoded


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _likely_cause(former: Item | None) -> str:
    """Why the reader may have lost its place behind an item."""
    if not isinstance(former, ismrmrd.Acquisition) or not former.trajectory_dimensions:
        return ""
    return (
        ". The readout before it may be longer than its header says: Gadgetron's RemoveROOversampling crops "
        "the samples of a readout and not its trajectory. Leave it out in front of this gadget, which needs "
        "all samples"
    )


def _expected() -> str:
    known = (f"{message} ({message.name.lower()})" for message in map(MessageId, _READERS))
    return f"known are {', '.join(known)}"
