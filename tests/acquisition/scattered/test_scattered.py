"""Embedded trajectories that are no spokes: spirals, and lines of a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.data import Counters, Readout
from python_recon.stream.chain import reconstruct_stream
from tests.acquisition.cartesian.lines import Protocol
from tests.numerics import dft

PROTOCOL = Protocol((32, 32), (32, 32), (1.0, 1.0))


def spiral(number, n_arms=16, n_samples=256):
    """(readout, 2) in cycles per field of view."""
    along = np.linspace(0, 1, n_samples)
    radius = 16 * along
    angle = 2 * np.pi * (2 * along + number / n_arms)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def line(number):
    kx = np.arange(-16, 16)
    return np.stack([kx, np.full_like(kx, number - 16)], -1).astype(float)


@pytest.mark.parametrize(("kind", "place", "count"), [("spiral", spiral, 16), ("cartesian", line, 32)])
def test_images_show_the_object(kind, place, count):
    readouts = []
    for number in range(count):
        trajectory = place(number)
        data = dft((PROTOCOL.maps * PROTOCOL.truth)[None], trajectory[None, None])[0, :, 0]
        readouts.append(
            Readout(
                data.astype(np.complex64),
                Counters(kspace_encode_step_1=number),
                scan_counter=number,
                raw_trajectory=(trajectory / 32).astype(np.float32),
            )
        )
    scan = replace(PROTOCOL.scan, trajectory_kind=kind)
    config = load_config({"method": "cg_sense", "preview": "none", "device": "cpu", "coils.maps": "walsh"})
    (series,) = reconstruct_stream(readouts, scan, config)
    image, truth = np.abs(series.images[0]).ravel(), np.abs(PROTOCOL.truth).ravel()
    assert np.corrcoef(image, truth)[0, 1] > (0.9 if kind == "spiral" else 0.97)
