"""Spokes that miss the centre of k-space, differently in x and y."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.data import FINAL_SERIES, Counters, Readout, Scan
from python_recon.phantom import HeartPhantom
from python_recon.stream.chain import reconstruct_stream

N, SAMPLES, SPOKES = 64, 128, 34
SCAN = Scan((N, N), (N, SAMPLES), (300.0, 300.0, 5.0), (600.0, 300.0, 5.0))
MISS = np.diag([2.0, -1.0])
"""Samples by which spokes along x and along y miss the centre."""
PHANTOM = HeartPhantom(n_coils=6)


def readouts(miss, *, is_known):
    """One frame; the trajectory that is embedded knows of the miss, or does not."""
    rng = np.random.default_rng(0)
    along = (np.arange(SAMPLES) - SAMPLES // 2) / 2
    for number in range(SPOKES):
        angle = np.deg2rad(111.246117975 * number)
        direction = np.array([np.cos(angle), np.sin(angle)])
        nominal = along[:, None] * direction
        measured = nominal + miss @ direction / 2
        data = 60 * PHANTOM.kspace(measured[None], np.zeros(1))[:, 0]
        data = data + 0.02 * (rng.standard_normal(data.shape) + 1j * rng.standard_normal(data.shape))
        yield Readout(
            data.astype(np.complex64),
            Counters(kspace_encode_step_1=number),
            center_sample=SAMPLES // 2,
            scan_counter=number,
            time_s=3e-3 * number,
            raw_trajectory=((measured if is_known else nominal) / N).astype(np.float32),
        )


def error_of(readouts):
    config = load_config({"method": "cg_sense", "preview": "none", "binning.spokes_per_frame": SPOKES})
    (series,) = reconstruct_stream(readouts, SCAN, config)
    assert series.series_index == FINAL_SERIES
    image, truth = np.abs(series.images[0]), np.abs(PHANTOM.reference(np.zeros(1), (N, N))[0])
    scale = (image * truth).sum() / np.square(image).sum()
    return np.linalg.norm(scale * image - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_miss_by_two_samples_costs_next_to_nothing(is_known):
    straight = error_of(readouts(0 * MISS, is_known=True))
    assert error_of(readouts(MISS, is_known=is_known)) < 1.1 * straight < 0.13
