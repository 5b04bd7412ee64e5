"""Retrospective gating of scans of the phantom."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.gating.cardiac_frames import gate
from python_recon.acquisition.gating.heartbeats import Heartbeats
from python_recon.acquisition.gating.physiology import physiology_from_signals
from python_recon.acquisition.gating.spoke_phases import own_spokes
from python_recon.acquisition.radial.density import ramp_density
from python_recon.config import BinningConfig
from python_recon.evaluation.metrics import match_scale, psnr
from python_recon.physiology import Physiology
from tests.acquisition.recordings import ecg_blocks
from tests.numerics import as_numpy, run_method, scan_heart

N_PHASES = 20
CARDIAC = BinningConfig(by="cardiac", cardiac_phases=N_PHASES)
BREATH_HOLD = {"breathing_amplitude_mm": 0.0, "contrast": 0.0}
MATRIX = (32, 32)
EARLY = tuple(np.cumsum([-1.3, *(3 * [0.83] + [0.5, 1.16]) * 4]).tolist())
"""R waves of whom every fourth beat comes early."""


def beating(**phantom):
    """Nine seconds in 200 frames of five spokes."""
    heart = {**BREATH_HOLD, "contraction": 0.35, **phantom}
    return scan_heart(200, 5, 4, MATRIX, spacing_s=0.0087, truth_every=100, **heart)


@pytest.fixture(scope="module")
def regular():
    return beating()


@pytest.fixture(scope="module")
def irregular():
    return beating(r_waves_s=EARLY)


def physiology(scan, blocks=()):
    """What the stamps of all readouts tell, or else the waveforms."""
    times = scan.kspace.spoke_times_s.ravel()
    since = scan.phantom.time_since_r_wave_s(times) * (not blocks)
    return physiology_from_signals(times, since, blocks)


def without_stamps(scan):
    return replace(scan.kspace, physiology_s=0 * scan.kspace.physiology_s)


def quality(scan, kspace, times_s):
    """PSNR of the images of frames, against the heart at those times."""
    kspace = replace(kspace, density=ramp_density(kspace))
    images = run_method("grasp", kspace, scan.maps).images
    truth = scan.phantom.reference(times_s, MATRIX)
    return psnr(match_scale(as_numpy(images), truth), truth)


def by_time(kspace, n_frames):
    """The same spokes in that many frames of time."""
    _, coils, _, readout = kspace.data.shape
    data = np.moveaxis(kspace.data, 1, 2).reshape(n_frames, -1, coils, readout)
    trajectory = kspace.trajectory.reshape(n_frames, -1, readout, 2)
    return replace(kspace, data=np.moveaxis(data, 2, 1).copy(), trajectory=trajectory, density=None)


def test_phases_show_more_than_frames_of_time(regular):
    """As many frames of as many spokes, but each of one phase of the heart."""
    gated = gate(regular.kspace, physiology(regular), CARDIAC)
    assert gated.n_frames == N_PHASES
    phases = quality(regular, gated, gated.times_s)
    frames_s = regular.kspace.times_s.reshape(N_PHASES, -1).mean(1)
    assert phases > quality(regular, by_time(regular.kspace, N_PHASES), frames_s) + 2


def test_no_spoke_of_a_regular_heart_is_lost(regular):
    gated = gate(regular.kspace, physiology(regular), CARDIAC)
    assert own_spokes(gated).sum() == regular.kspace.spoke_times_s.size
    assert gated.comment.startswith("20 cardiac phases, 10 beats of 0.83 s (stamps)")
    assert "rejected" not in gated.comment


@pytest.mark.parametrize("signal", ["triggers", "ecg", "both"])
def test_an_ecg_gives_the_phases_that_stamps_give(regular, signal):
    blocks = ecg_blocks(regular.phantom.r_waves_until(9.5), end_s=9.2, triggers=signal == "triggers")
    told = physiology(regular, blocks)
    if signal == "both":
        told = replace(physiology(regular), respiration=told.respiration)
    kspace = regular.kspace if signal == "both" else without_stamps(regular)
    gated, expected = gate(kspace, told, CARDIAC), gate(regular.kspace, physiology(regular), CARDIAC)
    in_source = {"triggers": "ECG triggers", "ecg": "ECG", "both": "stamps"}[signal]
    assert f"({in_source})" in gated.comment
    counts, expected_counts = gated.spoke_mask.sum(1), expected.spoke_mask.sum(1)
    assert np.abs(counts - expected_counts).max() <= 3, "a spoke at the border of a phase may change sides"


def test_stamps_that_were_missing_come_out(regular):
    """Law: what is known of the heart travels on with the frames, whatever makes them."""
    blocks = ecg_blocks(regular.phantom.r_waves_until(9.5), end_s=9.2)
    completed = gate(without_stamps(regular), physiology(regular, blocks), BinningConfig())
    middle = regular.phantom.time_since_r_wave_s(regular.kspace.times_s)
    away = np.minimum(np.abs(completed.physiology_s[:, 0] - middle), 0.83)
    assert np.median(away) < 3e-3
    np.testing.assert_array_equal(completed.data, regular.kspace.data)


def test_what_stamps_tell_stays(regular):
    kept = gate(regular.kspace, physiology(regular), BinningConfig())
    np.testing.assert_array_equal(kept.physiology_s, regular.kspace.physiology_s)


def test_irregular_beats_are_left_out_and_told(irregular, caplog):
    with caplog.at_level(logging.INFO):
        gated = gate(irregular.kspace, physiology(irregular), CARDIAC)
    assert "4 beats rejected as irregular" in gated.comment
    assert "4 beats rejected as irregular" in caplog.text
    beats = Heartbeats(physiology(irregular).r_waves_s)
    regular = beats.is_regular(CARDIAC.beat_tolerance)
    kept = beats.lies_in(irregular.kspace.spoke_times_s, regular)
    assert own_spokes(gated).sum() == kept.sum() < kept.size


def test_images_are_better_without_irregular_beats(irregular):
    """The truth is the usual beat: a late one has the same systole, and then rests."""
    told = physiology(irregular)
    r_wave = irregular.phantom.r_waves_s[2]

    def of(tolerance):
        gated = gate(irregular.kspace, told, CARDIAC.model_copy(update={"beat_tolerance": tolerance}))
        return quality(irregular, gated, r_wave + gated.physiology_s[:, 0])

    assert of(0.25) > of(1.0) + 0.4


def test_frames_of_one_beat_have_its_times(regular):
    gated = gate(regular.kspace, physiology(regular), CARDIAC)
    steps = np.diff(gated.times_s)
    np.testing.assert_allclose(steps, 60 / 72 / N_PHASES, rtol=0.01)
    np.testing.assert_allclose(np.diff(gated.physiology_s[:, 0]), steps)
    of_frame = (gated.spoke_times_s - gated.times_s[:, None])[gated.spoke_mask]
    assert np.abs(of_frame).max() <= 0.51 * steps[0]
    assert gated.first_frame == 0
    assert gated.is_periodic


def test_the_last_phase_is_followed_by_the_first(regular):
    gated = gate(regular.kspace, physiology(regular), CARDIAC)
    gated = replace(gated, density=ramp_density(gated))
    told = run_method("grasp", replace(gated, is_periodic=False), regular.maps, is_periodic=True).images
    np.testing.assert_array_equal(as_numpy(run_method("grasp", gated, regular.maps).images), as_numpy(told))


@pytest.mark.parametrize("signal", ["none", "short"])
def test_without_r_waves_the_frames_are_those_of_time(regular, signal, caplog):
    kspace = without_stamps(regular) if signal == "none" else regular.kspace.frames(slice(0, 30))
    told = Physiology() if signal == "none" else physiology(regular)
    kept = gate(kspace, told, CARDIAC)
    assert kept.comment == "fewer than two heartbeats were found: the frames are those of time"
    assert kept.comment in caplog.text
    np.testing.assert_array_equal(kept.data, kspace.data)
    np.testing.assert_array_equal(kept.times_s, kspace.times_s)


def test_an_ecg_of_another_hour_is_none(regular):
    blocks = [replace(block, start_s=block.start_s + 3600) for block in ecg_blocks(np.arange(0, 30, 0.83))]
    told = physiology(regular, blocks)
    assert told.r_waves_s.size
    kept = gate(without_stamps(regular), told, CARDIAC)
    assert kept.comment == "no spoke lies in a regular beat: the frames are those of time"


def test_phases_that_would_have_no_spoke_are_not_made(regular):
    few = regular.kspace.frames(slice(0, 40))
    gated = gate(few, physiology(regular), CARDIAC.model_copy(update={"cardiac_phases": 300}))
    assert gated.n_frames < 300
    assert gated.spoke_mask.any(1).all()
    assert "300 phases were asked for" in gated.comment


def test_borrowed_spokes_count_once(regular):
    shared = np.zeros(regular.kspace.spoke_times_s.shape, bool)
    shared[:, 0] = True
    gated = gate(replace(regular.kspace, is_shared=shared), physiology(regular), CARDIAC)
    assert own_spokes(gated).sum() == (~shared).sum()
