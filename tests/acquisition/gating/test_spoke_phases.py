"""Gating of scans of the phantom, whose phases of heart and breath are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_recon.acquisition.gating.spoke_phases import cardiac_phase, respiratory_position, sort_spokes
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.phantom import HeartPhantom
from tests.numerics import complex_noise, golden_spokes, scan_heart

TWENTY_SECONDS = {
    "n_frames": 120,
    "n_spokes": 5,
    "n_coils": 8,
    "matrix": (24, 24),
    "spacing_s": 1 / 30,
    "truth_every": 120,
}


@pytest.fixture(scope="module")
def breathing():
    return scan_heart(**TWENTY_SECONDS, contrast=0.0)


def true_inspiration(phantom: HeartPhantom, times_s):
    return phantom._state(times_s).inspiration


def ranks(values):
    return values.ravel().argsort().argsort()


def padded(kspace, n_padded=2):
    """The last spokes of every third frame are missing, as at the end of a scan; their times are 0."""
    mask = np.ones((kspace.n_frames, kspace.n_spokes), bool)
    mask[::3, -n_padded:] = False
    return replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        spoke_times_s=kspace.spoke_times_s * mask,
        spoke_mask=mask,
        density=None,
    )


def test_cardiac_phase_is_that_of_the_heart():
    scan = scan_heart(n_frames=60, n_spokes=9, n_coils=1, matrix=(16, 16), spacing_s=0.006, truth_every=60)
    kspace, beat_s = scan.kspace, 60 / scan.phantom.heart_rate_bpm
    true_phase = scan.phantom.time_since_r_wave_s(kspace.spoke_times_s) / beat_s
    error = (cardiac_phase(kspace) - true_phase + 0.5) % 1 - 0.5
    frame = np.diff(kspace.times_s)[0] / beat_s
    # The stamps are one a frame: the longest that is seen falls short of the beat by up to a frame.
    assert np.abs(error).max() < 1.5 * frame
    assert np.abs(error).mean() < 0.5 * frame


def phase_errors(kspace, true_phase):
    return np.abs((cardiac_phase(kspace) - true_phase + 0.5) % 1 - 0.5)


def stamped(times_s, r_waves_s, true_r_waves_s):
    """Stamps and true phases (frame,) at times, from the R waves that were detected and those that were."""
    since = times_s - r_waves_s[np.searchsorted(r_waves_s, times_s, "right") - 1]
    beat = np.searchsorted(true_r_waves_s, times_s, "right") - 1
    return since, (times_s - true_r_waves_s[beat]) / np.diff(true_r_waves_s)[beat]


@pytest.mark.parametrize("missed", [[3], [1], [3, 8], [11]])
def test_a_missed_trigger_does_not_stretch_the_other_beats(breathing, missed):
    times_s = breathing.kspace.times_s
    r_waves = -0.3 + 0.9 * np.arange(26)
    since, phase = stamped(times_s, np.delete(r_waves, missed), r_waves)
    kspace = replace(breathing.kspace, physiology_s=np.stack([since, 0 * since, 0 * since], 1))
    middle = kspace.n_spokes // 2
    assert phase_errors(kspace, phase[:, None])[:, middle].max() < 1e-6


def test_beats_of_unequal_length_are_stretched_alike(breathing):
    times_s = breathing.kspace.times_s
    lengths = np.random.default_rng(5).uniform(0.75, 1.05, 40)
    r_waves = -0.3 + np.cumsum(lengths)
    r_waves = np.concatenate([[-0.3], r_waves])
    since, phase = stamped(times_s, r_waves, r_waves)
    kspace = replace(breathing.kspace, physiology_s=np.stack([since, 0 * since, 0 * since], 1))
    errors = phase_errors(kspace, phase[:, None])[:, kspace.n_spokes // 2]
    assert errors[times_s < times_s[-1] - 1.1].max() < 1e-6, "but for the last beat, whose end is not seen"
    assert errors.max() < 0.35


def test_padding_does_not_change_the_cardiac_phase(breathing):
    whole = cardiac_phase(breathing.kspace)
    part = padded(breathing.kspace)
    phase = cardiac_phase(part)
    np.testing.assert_array_equal(phase[part.spoke_mask], whole[part.spoke_mask])
    assert ((phase >= 0) & (phase < 1)).all()


def test_no_cardiac_phase_without_stamps_or_beats(breathing):
    kspace = breathing.kspace
    assert cardiac_phase(replace(kspace, physiology_s=None)) is None
    assert cardiac_phase(replace(kspace, physiology_s=0 * kspace.physiology_s)) is None
    assert cardiac_phase(replace(kspace, spoke_times_s=None)) is None
    assert cardiac_phase(scan_heart().kspace) is None, "0.6 s hold no two beats"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("contrast", [0.0, 0.3])
def test_respiratory_position_follows_the_diaphragm(contrast, seed):
    scan = scan_heart(**TWENTY_SECONDS, contrast=contrast, seed=seed)
    position = respiratory_position(scan.kspace)
    truth = true_inspiration(scan.phantom, scan.kspace.spoke_times_s)
    assert abs(np.corrcoef(ranks(position), ranks(truth))[0, 1]) > 0.65
    assert position.min() == 0
    assert position.max() == 1
    assert len(np.unique(position)) == position.size, "as many spokes in every part of the range"


def test_padding_does_not_change_the_respiratory_position(breathing):
    whole, part = respiratory_position(breathing.kspace), padded(breathing.kspace)
    # Times that count from midnight, as a scanner's do, are far from the 0 of the padding.
    part = replace(part, spoke_times_s=np.where(part.spoke_mask, part.spoke_times_s + 36_000, 0))
    position = respiratory_position(part)
    there = part.spoke_mask
    assert abs(np.corrcoef(position[there], whole[there])[0, 1]) > 0.9
    assert (position[~there] == 0.5).all()


def test_order_of_the_frames_does_not_matter(breathing):
    shuffled = np.random.default_rng(3).permutation(breathing.kspace.n_frames)
    kspace = breathing.kspace
    mixed = replace(kspace, data=kspace.data[shuffled], trajectory=kspace.trajectory[shuffled], density=None)
    mixed = replace(mixed, spoke_times_s=kspace.spoke_times_s[shuffled])
    np.testing.assert_allclose(respiratory_position(mixed), respiratory_position(kspace)[shuffled], atol=0.01)


def test_no_respiratory_position_of_a_short_scan(breathing):
    assert respiratory_position(scan_heart().kspace) is None
    assert respiratory_position(replace(breathing.kspace, spoke_times_s=None)) is None


@given(
    labels=st.lists(st.integers(-1, 5), min_size=12, max_size=12).filter(lambda x: max(x) >= 0),
    lost=st.sets(st.integers(0, 11), max_size=4),
)
def test_sorting_loses_and_duplicates_nothing(labels, lost):
    mask = np.array([spoke not in lost for spoke in range(12)]).reshape(3, 4)
    labels = np.array(labels).reshape(3, 4)
    data, trajectory = complex_noise((3, 2, 4, 6)), golden_spokes(3, 4, 6, (8, 8))
    kspace = KSpace(data, trajectory, (8, 8), spoke_mask=mask, spoke_times_s=np.arange(12.0).reshape(3, 4))
    if not (mask & (labels >= 0)).any():
        with pytest.raises(DataError, match="left no spoke"):
            sort_spokes(kspace, labels, 6)
        return
    result = sort_spokes(kspace, labels, 6)
    assert result.n_frames == 6
    for label in range(6):
        chosen = mask & (labels == label)
        kept = result.spoke_mask[label]
        assert kept.sum() == chosen.sum()
        # In the order in which they came, coils and trajectory together.
        np.testing.assert_array_equal(
            result.data[label][:, kept], np.moveaxis(kspace.data.swapaxes(1, 2)[chosen], 0, 1)
        )
        np.testing.assert_array_equal(result.trajectory[label, kept], kspace.trajectory[chosen])
        np.testing.assert_array_equal(result.spoke_times_s[label, kept], kspace.spoke_times_s[chosen])
        assert not result.data[label][:, ~kept].any()
        assert not result.trajectory[label, ~kept].any()
    assert result.spoke_mask.any(0).all(), "no padding that no frame needs"


def test_what_belongs_to_the_old_frames_does_not_stay(breathing):
    kspace = breathing.kspace
    labels = np.arange(kspace.n_frames * kspace.n_spokes).reshape(kspace.n_frames, -1) % 7
    result = sort_spokes(kspace, labels, 7)
    assert result.density is None
    assert result.times_s is None
    assert result.physiology_s is None
    assert result.geometry == kspace.geometry
