"""Gadgets that sites might have: good ones, and one for each way to go wrong."""

from __future__ import annotations

import array
import fcntl
import logging
import os
import struct
import sys
import termios
import time

import ismrmrd
import numpy as np

SHAPE = (6, 4)


def _image(index: int, series: int = 1, shape: tuple[int, int] = SHAPE) -> ismrmrd.Image:
    array = np.full(shape, index, np.float32)
    return ismrmrd.Image.from_array(
        array, transpose=False, image_type=1, image_index=index, image_series_index=series
    )


def _wait_until_out(connection):
    """Until the host's system has all that was sent.

    A process that ends with something unread resets its connection, and what has not left it is lost: after
    the first of several small writes, the others wait for an acknowledgement, which may be late.
    """
    n_left = array.array("i", [1])
    while n_left[0]:
        fcntl.ioctl(connection.socket.socket.fileno(), termios.TIOCOUTQ, n_left)
        time.sleep(0.001)


def image_per_readout(connection):
    """One image for each item, which counts the items."""
    for number, _ in enumerate(connection, 1):
        connection.send(_image(number))


def tell_kinds(connection):
    """One image for each item: 1 for noise, 2 for imaging readouts, 3 for waveforms; its series is 5."""
    for number, item in enumerate(connection, 1):
        is_noise = isinstance(item, ismrmrd.Acquisition) and item.is_flag_set(
            ismrmrd.ACQ_IS_NOISE_MEASUREMENT
        )
        kind = 3 if isinstance(item, ismrmrd.Waveform) else 1 if is_noise else 2
        image = _image(kind, series=5)
        image.image_index = number
        connection.send(image)


def tell_configuration(connection):
    """One image whose meta holds what the host sent."""
    image = _image(1)
    properties = connection.config.iter("property") if connection.config is not None else ()
    image.meta = {item.get("name"): item.get("value") for item in properties}
    image.meta["protocol"] = connection.header.measurementInformation.protocolName
    for _ in connection:
        pass
    connection.send(image)


def pass_on(connection):
    """Everything comes out as it went in."""
    for item in connection:
        connection.send(item)


def double(connection):
    """Readouts and images come out twice."""
    for item in connection:
        connection.send(item)
        connection.send(item)


def two_sizes(connection):
    """A series whose images change size."""
    for _ in connection:
        pass
    for index in (1, 2):
        connection.send(_image(index))
    connection.send(_image(3, shape=(8, 4)))


def nothing(connection):
    for _ in connection:
        pass


def warns(connection):
    logging.warning("the tube is warm")
    image_per_readout(connection)


def raises(connection):
    connection.send(_image(1))
    next(connection)
    _wait_until_out(connection)
    raise ValueError("the tube is cold")


def exits(connection):
    connection.send(_image(1))
    next(connection)
    _wait_until_out(connection)
    print("gone with the wind", file=sys.stderr, flush=True)
    os._exit(3)


def hangs(connection):
    connection.send(_image(1))
    time.sleep(600)


def ignores_termination(connection):
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hangs(connection)


def reports_error(connection):
    """As Gadgetron wants it: images, an ERROR, the rest drained."""
    connection.send(_image(1))
    text = b"there is a fly in the bore"
    connection.socket.write(struct.pack("<HQ", 8, len(text)) + text)
    for _ in connection:
        pass


class AsClass:
    def handle(self, connection):
        image_per_readout(connection)


def says_its_number(connection):
    logging.info("my number is %d", os.getpid())
    time.sleep(600)
