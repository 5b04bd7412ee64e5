"""A small site: scans of the heart phantom, as sources to train on."""

from __future__ import annotations

from dataclasses import replace

from python_recon.config import load_config
from python_recon.data import NoiseLevel
from python_recon.training.cache import ScanSource
from tests.numerics import scan_heart

NOISE = 0.1
CONFIG = load_config({"method": "subspace", "field_of_view_scale": 1.0, "trajectory.correct_delay": "off"})


def slice_of(number):
    """6 frames of 6 spokes, matrix 32, 3 coils."""
    scan = scan_heart(6, 6, 3, (32, 32), noise=NOISE, heart_rate_bpm=60.0 + 10 * number, seed=number)
    noise = NoiseLevel(NOISE, is_measured=True)
    return replace(scan.kspace, density=None, noise=noise, measurement_id=f"scan {number}")


def source(number, slices=None):
    return ScanSource(f"{number}.h5", f"key {number}", lambda: slices or [slice_of(number)])
