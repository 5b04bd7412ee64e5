"""Readouts whose data hold their number, so that a frame tells which of them it was made of."""

from __future__ import annotations

import numpy as np

from python_recon.acquisition.binning.binning import bin_frames
from python_recon.acquisition.radial.trajectory import locate
from python_recon.config import TrajectoryConfig
from python_recon.data import Counters, Geometry, Readout, Scan

MATRIX = (16, 18)
GOLDEN = TrajectoryConfig(mode=2)


def make_scan(user=None, **limits):
    return Scan(
        (16, 18),
        (16, 36),
        (320.0,) * 3,
        (320.0,) * 3,
        limits=limits,
        user_parameters=user or {},
        measurement_id="m1",
    )


def make_readout(number, n_coils=2, n_samples=6, geometry=None, channel_mask=(3,), **counters):
    data = np.full((n_coils, n_samples), number + 1, np.complex64)
    step = counters.pop("kspace_encode_step_1", number)
    return Readout(
        data,
        Counters(kspace_encode_step_1=step, **counters),
        geometry=geometry or Geometry(),
        center_sample=n_samples // 2,
        channel_mask=channel_mask,
        scan_counter=number,
        time_s=0.01 * number,
        physiology_s=(0.001 * number, 0.0, 0.0),
    )


def frames_of(readouts, config, scan=None):
    scan = scan or make_scan()
    return list(bin_frames(locate(readouts, scan, GOLDEN), scan, config, MATRIX))


def spokes_of(frame):
    """The numbers that the data were filled with."""
    return [int(value) - 1 for value in frame.data[0, 0, :, 0].real]
