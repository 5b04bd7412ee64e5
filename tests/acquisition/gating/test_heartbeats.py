"""Where moments lie in beats that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_recon.acquisition.gating.heartbeats import Heartbeats
from tests.acquisition.recordings import irregular


@given(
    lengths=st.lists(st.floats(0.3, 2.0), min_size=1, max_size=9),
    times=st.lists(st.floats(-5, 25), min_size=1, max_size=9),
)
def test_every_moment_has_a_phase(lengths, times):
    beats = Heartbeats(np.cumsum([0.5, *lengths]))
    phase = beats.phase(np.array(times))
    assert ((phase >= 0) & (phase < 1)).all()
    assert (beats.since_r_wave_s(np.array(times)) >= 0).all()


def test_phases_run_from_one_r_wave_to_the_next():
    beats = Heartbeats(np.array([1.0, 2.0, 2.8, 4.0]))
    times = np.array([1.0, 1.25, 2.0, 2.4, 3.4, 0.8, 4.5])
    np.testing.assert_allclose(beats.phase(times), [0, 0.25, 0, 0.5, 0.5, 0.8, 0.5])
    np.testing.assert_allclose(beats.since_r_wave_s(times), [0, 0.25, 0, 0.4, 0.6, 0.8, 0.5])
    assert beats.usual_s == 1.0


def test_a_missed_trigger_makes_no_long_beat():
    whole = irregular()
    regular = 0.9 * np.arange(12)
    times = np.linspace(0.1, 9.5, 200)
    np.testing.assert_allclose(
        Heartbeats(np.delete(regular, [4, 8])).phase(times), Heartbeats(regular).phase(times), atol=1e-9
    )
    assert Heartbeats(np.delete(whole, 3)).usual_s == pytest.approx(Heartbeats(whole).usual_s, abs=0.03)


@pytest.mark.parametrize(("tolerance", "n_left_out"), [(0.25, 10), (0.9, 0), (0.001, 36)])
def test_beats_that_depart_are_irregular(tolerance, n_left_out):
    beats = Heartbeats(irregular())
    regular = beats.is_regular(tolerance)
    assert abs((~regular).sum() - n_left_out) <= 2
    middles = beats.r_waves_s[:-1] + beats.lengths_s / 2
    np.testing.assert_array_equal(beats.lies_in(middles, regular), regular)


def test_what_is_far_from_all_r_waves_lies_in_no_beat():
    beats = Heartbeats(np.array([10.0, 11.0, 12.0]))
    times = np.array([8.9, 9.1, 10.5, 12.9, 13.1])
    assert beats.lies_in(times, np.array([True, True])).tolist() == [False, True, True, True, False]
