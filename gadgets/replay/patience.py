"""Ctrl-C: the first ends the fit and keeps the images, the second aborts."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from gadgets.console import errors
from gadgets.wire.pump import Peer


@contextmanager
def patient(peers: Sequence[Peer]) -> Iterator[None]:
    """Within the block a first Ctrl-C asks for what there is.

    Gadgets that run here end their fit with its best field and send its images. A server cannot be asked:
    its connection is ended, and the images that came are kept.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, former)
        _end(peers)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _end(peers: Sequence[Peer]) -> None:
    asked = [peer for peer in peers if peer.end_fit is not None]
    for peer in asked:
        if peer.end_fit is not None:
            peer.end_fit()
    if asked:
        errors.print("the fit ends with the best it has, and its images are kept; Ctrl-C again aborts")
        return
    errors.print("interrupted: the images that came are kept; Ctrl-C again aborts")
    for peer in peers:
        with contextlib.suppress(OSError):  # the other side may have closed it
            peer.socket.shutdown(socket.SHUT_RDWR)
