"""Gradient delays and k-space offsets, told from each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from python_recon.acquisition.radial.delays import correct, estimate_shift
from python_recon.data import KSpace

N, SPACING = 96, 0.5
HEART = Path(__file__).parents[4] / "shared" / "data" / "radial_cardiac_25_projections.mat"
ANGLES = {
    "golden": 111.24611797498108 * np.arange(40),
    "half circle": 180 / 40 * np.arange(40),
    "alternating": 180 / 41 * np.arange(41) + 180 * (np.arange(41) % 2),
}
DELAY = np.array([[0.8, 0.15], [0.15, -0.4]])
OFFSET = np.array([1.3, 1.6])


def nominal(angles_deg):
    angles = np.deg2rad(angles_deg)
    directions = np.stack([np.cos(angles), np.sin(angles)], -1)
    positions = (np.arange(2 * N) - N) * SPACING
    return directions, positions[None, :, None] * directions[:, None]


def simulate(angles_deg, delay, offset, noise=2e-3, seed=5):
    """Samples of an asymmetric object of Gaussians, seen by five coils, at the places a delay leads to.

    Delay and offset are in samples.
    """
    rng = np.random.default_rng(seed)
    directions, trajectory = nominal(angles_deg)
    k = trajectory - (directions @ delay)[:, None] * SPACING - offset * SPACING
    data = np.zeros((5, *k.shape[:2]), complex)
    for place, width in zip(rng.uniform(-0.25, 0.25, (12, 2)), rng.uniform(0.03, 0.12, (12, 2)), strict=True):
        blob = width.prod() * np.exp(-2 * np.square(np.pi * k * width).sum(-1) - 2j * np.pi * k @ place)
        seen = [
            np.exp(1j * c - 2 * np.square(place - 0.4 * np.array([np.cos(c), np.sin(c)])).sum())
            for c in range(5)
        ]
        data += np.array(seen)[:, None, None] * blob
    scale = noise * np.abs(data).max()
    data += scale * (rng.normal(size=data.shape) + 1j * rng.normal(size=data.shape))
    return KSpace(data[None].astype(np.complex64), trajectory[None].astype(np.float32), (N, N))


@pytest.mark.parametrize("order", ANGLES)
@pytest.mark.parametrize("offset", [OFFSET, 0 * OFFSET])
@pytest.mark.parametrize("delay", [DELAY, 0 * DELAY, 2.5 * DELAY])
def test_delay_and_offset_are_told_apart(order, offset, delay):
    shift = estimate_shift(simulate(ANGLES[order], delay, offset))
    np.testing.assert_allclose(shift.matrix / SPACING, delay, atol=0.02)
    np.testing.assert_allclose(np.array(shift.offset) / SPACING, offset, atol=0.3)
    assert shift.is_significant == delay.any()
    assert shift.sample_spacing == pytest.approx(SPACING)


def test_the_error_is_stated_rightly():
    found = [estimate_shift(simulate(ANGLES["golden"][:21], 0 * DELAY, OFFSET, 0.01, s)) for s in range(24)]
    pulls = np.array([np.array(f.delay) / np.array(f.delay_error) for f in found])
    assert 0.6 < pulls.std() < 1.6
    # Three degrees of freedom: the mean is 3, and hardly one in a thousand is beyond 16.
    assert np.median([f.delay_chi_squared for f in found]) < 6
    assert not any(f.is_significant for f in found)


def test_correction_moves_the_spokes_to_where_they_were_measured():
    kspace = simulate(ANGLES["golden"], DELAY, OFFSET)
    directions, trajectory = nominal(ANGLES["golden"])
    expected = trajectory - (directions @ DELAY)[:, None] * SPACING
    corrected = correct(kspace, "auto")
    np.testing.assert_allclose(corrected.trajectory[0], expected, atol=0.02)
    again = estimate_shift(corrected)
    assert again.largest_delay_samples < 0.02


def test_auto_leaves_a_linear_phase_alone():
    kspace = simulate(ANGLES["golden"], 0 * DELAY, OFFSET)
    assert correct(kspace, "auto") is kspace


def test_off_and_on():
    kspace = simulate(ANGLES["golden"], DELAY, OFFSET)
    assert correct(kspace, "off") is kspace
    small = simulate(ANGLES["golden"], 0.05 * DELAY, OFFSET)
    assert correct(small, "auto") is small
    assert (correct(small, "on").trajectory != small.trajectory).any()


def test_a_density_does_not_outlive_the_correction():
    kspace = simulate(ANGLES["golden"], DELAY, OFFSET)
    kspace = replace(kspace, density=np.ones(kspace.trajectory.shape[:3], np.float32))
    assert correct(kspace, "auto").density is None


def test_spiked_spokes_do_not_matter():
    kspace = simulate(ANGLES["golden"], DELAY, OFFSET)
    kspace.data[0, :, [4, 19, 30]] = np.roll(kspace.data[0, :, [4, 19, 30]], 25, axis=-1)
    np.testing.assert_allclose(estimate_shift(kspace).matrix / SPACING, DELAY, atol=0.05)


def test_a_phase_of_each_spoke_is_no_delay():
    rng = np.random.default_rng(2)
    kspace = simulate(ANGLES["alternating"], 0 * DELAY, OFFSET)
    phases = np.exp(1j * rng.normal(0, 0.5, kspace.n_spokes))[None, None, :, None]
    turned = replace(kspace, data=(kspace.data * phases).astype(np.complex64))
    assert estimate_shift(turned).largest_delay_samples < 0.02
    assert correct(turned, "auto") is turned


def test_frames_padding_and_borrowed_spokes():
    whole = simulate(ANGLES["golden"], DELAY, OFFSET)
    data = whole.data.reshape(5, 2, 20, -1).transpose(1, 0, 2, 3)
    trajectory = whole.trajectory.reshape(2, 20, -1, 2)
    # Padded to 22 spokes, and the second frame borrows the first one's last spoke.
    data = np.pad(data, ((0, 0), (0, 0), (0, 2), (0, 0)))
    trajectory = np.pad(trajectory, ((0, 0), (0, 2), (0, 0), (0, 0)))
    data[1, :, 20], trajectory[1, 20] = data[0, :, 19], trajectory[0, 19]
    mask, shared = np.zeros((2, 22), bool), np.zeros((2, 22), bool)
    mask[:, :20], mask[1, 20], shared[1, 20] = True, True, True
    framed = KSpace(data, trajectory, (N, N), spoke_mask=mask, is_shared=shared)
    expected, got = estimate_shift(whole), estimate_shift(framed)
    np.testing.assert_allclose(got.delay, expected.delay, atol=1e-5)
    np.testing.assert_allclose(got.offset, expected.offset, atol=1e-5)
    corrected = correct(framed, "on")
    assert not corrected.trajectory[0, 20:].any()


@pytest.mark.parametrize("noise", [0.0, 2e-3])
def test_half_spokes_tell_no_delay(noise, caplog):
    whole = simulate(ANGLES["golden"], DELAY, OFFSET, noise)
    half = replace(whole, data=whole.data[..., N:], trajectory=whole.trajectory[:, :, N:])
    assert correct(half, "auto") is half
    assert correct(half, "on") is half
    assert "no gradient delay can be told" in caplog.text


@pytest.mark.parametrize("n_spokes", [1, 2, 5])
def test_too_few_spokes_correct_nothing(n_spokes):
    kspace = simulate(ANGLES["golden"][:n_spokes], DELAY, OFFSET)
    shift = estimate_shift(kspace)
    assert np.isinf(shift.offset_error).all() or n_spokes > 4
    assert correct(kspace, "auto") is kspace or shift.is_significant


def test_silent_data_correct_nothing():
    kspace = simulate(ANGLES["golden"], DELAY, OFFSET)
    silent = replace(kspace, data=np.zeros_like(kspace.data))
    assert correct(silent, "auto") is silent


@pytest.mark.skipif(not HEART.exists(), reason="the measured heart is not in ../shared/data")
def test_measured_heart_has_the_known_offset_and_no_delay_to_correct():
    file = scipy.io.loadmat(HEART)
    trajectory = np.stack([file["k"].real, file["k"].imag], -1).transpose(1, 0, 2)[None] * 128
    data = file["rawdata"].transpose(2, 1, 0)[None].astype(np.complex64)
    kspace = KSpace(data, trajectory.astype(np.float32), (128, 128))
    shift = estimate_shift(kspace)
    np.testing.assert_allclose(np.array(shift.offset) / shift.sample_spacing, [1.3, 1.6], atol=0.15)
    assert shift.largest_delay_samples < 0.4
    assert correct(kspace, "auto") is kspace
