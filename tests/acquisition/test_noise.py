"""Prewhitening and screening."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.noise import whiten
from python_recon.config import NoiseConfig
from python_recon.data import Readout, Scan
from python_recon.errors import DataError

N_COILS = 5
NOISE_DWELL_US, DWELL_US = 2.5, 10.0


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def make_scan(ratio=0.8):
    return Scan((64, 64), (64, 128), (300.0,) * 3, (300.0,) * 3, noise_bandwidth_ratio=ratio)


def mixing(rng):
    return rng.normal(size=(N_COILS, N_COILS)) + 1j * rng.normal(size=(N_COILS, N_COILS))


def readout(rng, mix, n_samples, scale=1.0, **fields):
    white = rng.normal(size=(2, mix.shape[1], n_samples))
    data = scale * mix @ (white[0] + 1j * white[1])
    return Readout(data.astype(np.complex64), **fields)


def noise_readouts(rng, mix, n=8):
    return [readout(rng, mix, 2048, is_noise=True, sample_time_us=NOISE_DWELL_US) for _ in range(n)]


def test_noise_becomes_white_with_unit_parts(rng):
    mix, ratio = mixing(rng), 0.8
    # A receiver of a quarter of the bandwidth sees a quarter of the variance, and the noise scan has lost
    # a part of its own to the filter.
    physics = (NOISE_DWELL_US / (DWELL_US * ratio)) ** 0.5
    imaging = [readout(rng, mix, 4096, physics, sample_time_us=DWELL_US) for _ in range(4)]
    out = list(whiten([*noise_readouts(rng, mix), *imaging], make_scan(ratio), NoiseConfig()))
    data = np.concatenate([r.data for r in out], axis=1)
    assert len(out) == 4
    assert data.dtype == np.complex64
    covariance = data @ data.conj().T / data.shape[1]
    np.testing.assert_allclose(covariance, 2 * np.eye(N_COILS), atol=0.1)
    np.testing.assert_allclose(data.real.std(1), 1, atol=0.04)
    np.testing.assert_allclose(data.imag.std(1), 1, atol=0.04)


def test_unknown_dwell_times_leave_the_bandwidth_out(rng):
    mix = mixing(rng)
    noise = [replace(r, sample_time_us=0.0) for r in noise_readouts(rng, mix)]
    (out,) = whiten([*noise, readout(rng, mix, 8192)], make_scan(0.5), NoiseConfig())
    assert out.data.real.std() == pytest.approx(1, abs=0.03)


def test_without_a_noise_scan_data_pass_unchanged(rng):
    imaging = readout(rng, mixing(rng), 32)
    (out,) = whiten([imaging], make_scan(), NoiseConfig())
    assert out is imaging


def test_switched_off_still_drops_the_noise(rng):
    mix = mixing(rng)
    imaging = readout(rng, mix, 32)
    (out,) = whiten([*noise_readouts(rng, mix), imaging], make_scan(), NoiseConfig(prewhiten=False))
    assert out is imaging


@pytest.mark.parametrize(("n_samples", "text"), [(8, "at least 20"), (0, "no samples")])
def test_too_little_noise_is_told_and_not_used(rng, caplog, n_samples, text):
    mix = mixing(rng)
    imaging = readout(rng, mix, 32)
    noise = readout(rng, mix, n_samples, is_noise=True)
    (out,) = whiten([noise, imaging], make_scan(), NoiseConfig())
    assert out is imaging
    assert text in caplog.text


def test_another_coil_count_passes_with_one_warning(rng, caplog):
    mix = mixing(rng)
    imaging = [readout(rng, mix[:3], 32) for _ in range(3)]
    out = list(whiten([*noise_readouts(rng, mix), *imaging], make_scan(), NoiseConfig()))
    assert all(a is b for a, b in zip(out, imaging, strict=True))
    assert sum("not whitened" in r.message for r in caplog.records) == 1


def test_dead_coil_is_not_amplified(rng, caplog):
    mix = mixing(rng)
    mix[2] = 0
    imaging = readout(rng, mix, 8192, sample_time_us=NOISE_DWELL_US)
    imaging.data[2] = 1.0
    (out,) = whiten([*noise_readouts(rng, mix), imaging], make_scan(1.0), NoiseConfig())
    assert "singular" in caplog.text
    assert np.isfinite(out.data).all()
    alive = [0, 1, 3, 4]
    covariance = out.data[alive] @ out.data[alive].conj().T / 8192
    np.testing.assert_allclose(covariance, 2 * np.eye(4), atol=0.15)
    assert np.abs(out.data[2]).max() < np.sqrt(2)


def test_silent_noise_scan_is_not_used(rng, caplog):
    silent = Readout(np.zeros((N_COILS, 256), np.complex64), is_noise=True)
    imaging = readout(rng, mixing(rng), 32)
    (out,) = whiten([silent, imaging], make_scan(), NoiseConfig())
    assert out is imaging
    assert "only zeros" in caplog.text


def test_late_noise_changes_nothing(rng, caplog):
    mix = mixing(rng)
    first, second = readout(rng, mix, 64), readout(rng, mix, 64)
    alone = list(
        whiten([*noise_readouts(np.random.default_rng(1), mix), first, second], make_scan(), NoiseConfig())
    )
    late = [first, readout(rng, 9 * mix, 512, is_noise=True), second]
    mixed = list(whiten([*noise_readouts(np.random.default_rng(1), mix), *late], make_scan(), NoiseConfig()))
    np.testing.assert_array_equal(mixed[1].data, alone[1].data)
    assert "imaging has begun" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_readouts_with_nan_are_left_out_and_counted(rng, caplog, bad):
    mix = mixing(rng)
    readouts = [readout(rng, mix, 32, scan_counter=i) for i in range(6)]
    readouts[1].data[2, 3] = bad
    readouts[4].data[0, 0] = 1j * bad
    with caplog.at_level(logging.WARNING):
        out = list(whiten(readouts, make_scan(), NoiseConfig()))
    assert [r.scan_counter for r in out] == [0, 2, 3, 5]
    assert "2 readouts left out" in caplog.text


def test_nan_in_the_trajectory_is_left_out_too(rng):
    trajectory = np.zeros((32, 2), np.float32)
    good = readout(rng, mixing(rng), 32, raw_trajectory=trajectory)
    bad = replace(good, raw_trajectory=np.full((32, 2), np.nan, np.float32))
    assert len(list(whiten([good, bad], make_scan(), NoiseConfig()))) == 1


def test_noise_readouts_with_nan_do_not_spoil_the_covariance(rng):
    mix = mixing(rng)
    noise = noise_readouts(rng, mix)
    noise[3].data[0, 0] = np.nan
    (out,) = whiten(
        [*noise, readout(rng, mix, 4096, sample_time_us=NOISE_DWELL_US)], make_scan(1.0), NoiseConfig()
    )
    assert out.data.real.std() == pytest.approx(1, abs=0.05)


def test_noise_only_is_an_error(rng):
    with pytest.raises(DataError, match="only noise"):
        list(whiten(noise_readouts(rng, mixing(rng)), make_scan(), NoiseConfig()))


def test_an_empty_stream_is_left_to_the_binning():
    assert list(whiten([], make_scan(), NoiseConfig())) == []
