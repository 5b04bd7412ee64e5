"""Frames that follow the heart while it beats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.binning.binning import bin_frames
from python_recon.acquisition.radial.trajectory import locate
from python_recon.config import BinningConfig
from tests.acquisition.numbered_readouts import GOLDEN, MATRIX, make_readout, make_scan
from tests.acquisition.recordings import irregular

N_PHASES = 8
BEAT = BinningConfig(by="beat", cardiac_phases=N_PHASES)
STEP_S = 0.0105


def readouts(r_waves, n=600, is_stamped=True):
    """At even times from 0 on, stamped with the time since the last R wave."""
    for number in range(n):
        time = STEP_S * number
        since = time - r_waves[np.searchsorted(r_waves, time, "right") - 1]
        stamp = (since if is_stamped else 0.0, 0.0, 0.0)
        yield replace(make_readout(number), time_s=time, physiology_s=stamp)


def frames(r_waves, n=600, is_stamped=True):
    stream = locate(readouts(r_waves, n, is_stamped), make_scan(), GOLDEN)
    return list(bin_frames(stream, make_scan(), BEAT, MATRIX))


@pytest.mark.parametrize(
    "r_waves", [-0.2 + 0.85 * np.arange(12), irregular()[:12] - 1.0], ids=["regular", "not"]
)
def test_no_frame_holds_spokes_of_two_beats(r_waves):
    for frame in frames(r_waves):
        assert len(set(np.searchsorted(r_waves, frame.spoke_times_s[0], "right"))) == 1


def test_every_spoke_is_in_one_frame():
    found = np.concatenate([frame.data[0, 0, :, 0].real for frame in frames(irregular() - 1.0)])
    np.testing.assert_array_equal(np.sort(found), 1 + np.arange(600))


def test_the_number_of_a_frame_is_its_beat_and_phase():
    r_waves = -0.2 + 0.85 * np.arange(12)
    for frame in frames(r_waves)[3 * N_PHASES :]:
        true_phase = (frame.times_s[0] - r_waves[0]) % 0.85 / 0.85 * N_PHASES
        assert abs(frame.first_frame % N_PHASES + 0.5 - true_phase) < 0.6
    numbers = [frame.first_frame for frame in frames(r_waves)]
    assert numbers == sorted(set(numbers))


def test_a_phase_comes_with_its_last_spoke():
    taken = 0

    def counted():
        nonlocal taken
        for readout in readouts(-0.2 + 0.85 * np.arange(12)):
            taken += 1
            yield readout

    stream = locate(counted(), make_scan(), GOLDEN)
    for frame in bin_frames(stream, make_scan(), BEAT, MATRIX):
        last = frame.data[0, 0, -1, 0].real
        assert taken <= max(last + 1, 8) or taken == 600, "one spoke of the next phase, or the first look"


def test_a_missed_trigger_makes_no_long_frame():
    r_waves = np.delete(-0.2 + 0.85 * np.arange(12), 5)
    longest = max(frame.n_spokes for frame in frames(r_waves))
    assert longest * STEP_S < 0.85 / 2 + 2 * 0.85 / N_PHASES


def test_without_r_waves_frames_are_those_of_time(caplog):
    found = frames(np.array([0.0]), is_stamped=False)
    assert {frame.comment for frame in found} == {"no R wave has been seen: the frame is one of time"}
    assert "no R wave has been seen" in caplog.text
    assert np.ptp([frame.n_spokes for frame in found[:-1]]) <= 1


def test_stamps_that_fail_in_mid_scan_are_gone_on_without():
    r_waves = -0.2 + 0.85 * np.arange(12)
    found = [
        replace(each, physiology_s=(0.0, 0.0, 0.0)) if number > 300 else each
        for number, each in enumerate(readouts(r_waves))
    ]
    late = list(bin_frames(locate(found, make_scan(), GOLDEN), make_scan(), BEAT, MATRIX))[-2 * N_PHASES : -1]
    assert max(frame.n_spokes for frame in late) * STEP_S < 0.3
