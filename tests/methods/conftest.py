"""A scan of the heart as methods receive it, with maps that were estimated from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from tests.numerics import HeartScan, scan_heart


@pytest.fixture(scope="session")
def heart() -> HeartScan:
    """16 frames of 13 spokes, matrix 64, 5 coils."""
    return with_estimated_maps(scan_heart())


@pytest.fixture(scope="session")
def small_heart() -> HeartScan:
    """6 frames of 8 spokes, matrix 32, 4 coils, for what asks for no image quality."""
    return with_estimated_maps(scan_heart(6, 8, 4, (32, 32)))


def with_estimated_maps(scan: HeartScan) -> HeartScan:
    return replace(scan, maps=estimate(scan.kspace, CoilConfig()))
