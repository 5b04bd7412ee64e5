"""R waves that are found, against those of the heart that was recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.gating import r_waves
from python_recon.acquisition.gating.waveforms import joined
from python_recon.physiology import Waveform
from tests.acquisition.recordings import REGULAR, blocks, distances, ecg_blocks, irregular

TRUTHS = [REGULAR, irregular(), 0.2 + 0.4 * np.arange(90), 1.6 * np.arange(30)]
NAMES = ["regular", "irregular", "fast", "slow"]


def within(truth, start_s=0.0, end_s=29.5):
    return truth[(truth > start_s) & (truth < end_s)]


def assert_found(found, truth, tolerance_s):
    """Every one within the record, none twice, none where there is none."""
    assert distances(found, truth).max() < tolerance_s
    assert distances(within(truth), found).max() < tolerance_s
    assert len(found) <= len(truth)


@pytest.mark.parametrize("truth", TRUTHS, ids=NAMES)
@pytest.mark.parametrize("interval_s", [1e-3, 2.5e-3, 8e-3])
def test_r_waves_of_an_ecg(truth, interval_s):
    trace = joined(ecg_blocks(truth, interval_s), "ecg")
    assert_found(r_waves.from_ecg(trace), truth, 2 * interval_s)


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_r_waves_of_a_noisy_ecg(noise):
    trace = joined(ecg_blocks(irregular(), noise=noise), "ecg")
    assert_found(r_waves.from_ecg(trace), irregular(), 0.02)


def test_one_lead_that_sees_the_heart_is_enough():
    """The others came off: they hold noise of ten times its amplitude."""
    trace = joined(ecg_blocks(REGULAR), "ecg")
    data = 4000 * np.random.default_rng(2).standard_normal(trace.data.shape)
    data[2] = trace.data[2]
    assert_found(r_waves.from_ecg(replace(trace, data=data)), REGULAR, 0.01)


def test_amplitudes_that_change_with_the_breath():
    trace = joined(ecg_blocks(REGULAR), "ecg")
    gain = 1 + 0.4 * np.sin(2 * np.pi * 0.25 * trace.times_s)
    data = (trace.data - 2048) * gain
    assert_found(r_waves.from_ecg(replace(trace, data=data)), REGULAR, 0.01)


def test_lost_blocks_cost_only_their_own_beats():
    kept = [block for block in ecg_blocks(REGULAR) if not 10 < block.start_s < 12]
    found = r_waves.from_ecg(joined(kept, "ecg"))
    assert distances(found, REGULAR).max() < 0.01
    seen = np.concatenate([within(REGULAR, 0, 9.9), within(REGULAR, 12.3)])
    assert distances(seen, found).max() < 0.01


@pytest.mark.parametrize("signal", ["noise", "nothing", "breath"])
def test_what_is_no_ecg_has_no_r_waves(signal):
    times = np.arange(0, 30, 2.5e-3)
    data = {
        "noise": np.random.default_rng(3).standard_normal((4, len(times))),
        "nothing": np.full((4, len(times)), 2048.0),
        "breath": np.sin(2 * np.pi * 0.25 * times)[None],
    }[signal]
    assert r_waves.from_ecg(joined(blocks(times, data), "ecg")).size == 0


def test_samples_too_rare_for_an_ecg():
    assert r_waves.from_ecg(joined(ecg_blocks(REGULAR, 0.04), "ecg")).size == 0


def test_a_record_too_short_for_an_ecg():
    assert r_waves.from_ecg(joined(ecg_blocks(REGULAR, end_s=0.8), "ecg")).size == 0


@pytest.mark.parametrize("truth", TRUTHS, ids=NAMES)
def test_triggers_are_taken_as_they_are(truth):
    trace = joined(ecg_blocks(truth, triggers=True, noise=3.0), "ecg")
    assert_found(r_waves.from_triggers(trace), truth, 2 * trace.interval_s)


def test_a_lead_is_no_trigger_channel():
    assert r_waves.from_triggers(joined(ecg_blocks(REGULAR), "ecg")).size == 0


def test_triggers_that_never_come():
    trace = joined(ecg_blocks(REGULAR, triggers=True), "ecg")
    silent = trace.data.copy()
    silent[-1] = 0
    assert r_waves.from_triggers(replace(trace, data=silent)).size == 0


@pytest.mark.parametrize("step_s", [0.003, 0.3])
def test_r_waves_of_stamps(step_s):
    truth = irregular()
    times = np.round(np.arange(0.6, 29, step_s) / 2.5e-3) * 2.5e-3
    since = times - truth[np.searchsorted(truth, times, "right") - 1]
    found = r_waves.from_stamps(times, np.round(since / 2.5e-3) * 2.5e-3)
    assert distances(found, truth).max() < 2.5e-3
    assert distances(within(truth, 0.5, 28.5), found).max() < 2.5e-3


@pytest.mark.parametrize(
    "since", [np.zeros(900), np.full(900, 0.4), np.linspace(5, 35, 900)], ids=["none", "one", "unbroken"]
)
def test_stamps_that_tell_no_beat(since):
    assert r_waves.from_stamps(np.linspace(0, 30, 900), since).size == 0


def test_blocks_in_any_order_and_twice_are_one_trace():
    sent = ecg_blocks(REGULAR, triggers=True)
    order = np.random.default_rng(4).permutation(len(sent))
    shuffled = [*(sent[i] for i in order), *sent[10:20]]
    one, other = joined(sent, "ecg"), joined(shuffled, "ecg")
    np.testing.assert_array_equal(one.times_s, other.times_s)
    np.testing.assert_array_equal(one.data, other.data)


def test_other_kinds_and_odd_blocks_are_left_out():
    sent = ecg_blocks(REGULAR)
    odd = [
        Waveform("pulse", 3.0, 0.01, np.ones((1, 9))),
        Waveform("ecg", 3.0, 0.01, np.ones((2, 9))),
        Waveform("ecg", 3.0, 0.0, np.ones((4, 9))),
        Waveform("ecg", 3.0, 0.01, np.ones((4, 0))),
    ]
    np.testing.assert_array_equal(joined([*odd, *sent], "ecg").data, joined(sent, "ecg").data)
    assert joined(sent, "respiration") is None
