"""The noise of a scan that brought no noise scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.noise_level import estimate_noise, with_noise
from python_recon.data import NoiseLevel
from tests.numerics import scan_heart


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.3])
def test_the_noise_is_found_beyond_the_object(noise):
    scan = scan_heart(4, 13, 4, (48, 48), noise=noise)
    assert estimate_noise(scan.kspace) == pytest.approx(noise, rel=0.05)


def test_a_readout_without_oversampling_tells_it_by_its_ends():
    scan = scan_heart(4, 13, 4, (48, 48), noise=0.3)
    thin = replace(
        scan.kspace,
        data=scan.kspace.data[..., ::2],
        trajectory=scan.kspace.trajectory[:, :, ::2],
        density=None,
    )
    assert estimate_noise(thin) == pytest.approx(0.3, rel=0.15)


def test_padding_is_no_noise():
    scan = scan_heart(4, 13, 4, (48, 48), noise=0.1)
    data = scan.kspace.data.copy()
    data[1, :, 5:] = 0
    assert estimate_noise(replace(scan.kspace, data=data)) == pytest.approx(0.1, rel=0.05)


def test_what_a_noise_scan_told_stays():
    scan = scan_heart(4, 13, 4, (48, 48), noise=0.1)
    known = replace(scan.kspace, noise=NoiseLevel(7.0, is_measured=True))
    assert with_noise(known) is known
    estimated = with_noise(replace(scan.kspace, noise=None)).noise
    assert not estimated.is_measured
    assert estimated.variance == pytest.approx(2 * estimated.std**2)


def test_data_of_zeros_have_none():
    scan = scan_heart(2, 8, 2, (16, 16), noise=0.0)
    assert estimate_noise(replace(scan.kspace, data=np.zeros_like(scan.kspace.data))) == 0
