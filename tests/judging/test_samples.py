from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.spokes import frame_times, has_clock, spoke_times
from python_recon.fields.time_axis import TimeAxis
from python_recon.judging.held_out import FEWEST_SPOKES, split_spokes
from python_recon.judging.samples import Samples
from tests.fields.toys import MATRIX, radial_kspace


def times_of(kspace, spokes):
    return TimeAxis.from_times(spoke_times(kspace)).of(spoke_times(kspace)[spokes])


def test_samples_are_those_of_whole_spokes_in_order():
    kspace = radial_kspace()
    spokes = np.zeros((6, 5), bool)
    spokes[1, 3] = spokes[4, 0] = True
    samples = Samples.of_spokes(kspace, spokes, times_of(kspace, spokes), 2.5)
    assert samples.n_points == 2 * 14
    for number, (frame, spoke) in enumerate([(1, 3), (4, 0)]):
        part = slice(14 * number, 14 * (number + 1))
        torch.testing.assert_close(samples.values[part], kspace.data[frame, :, spoke].T / 2.5)
        expected = kspace.trajectory[frame, spoke] / torch.tensor([MATRIX[1] / 2, MATRIX[0] / 2])
        torch.testing.assert_close(samples.k[part], expected)
        torch.testing.assert_close(samples.t[part], torch.full((14,), (5 * frame + spoke) / 29))


def test_spokes_reach_the_edges_of_both_axes():
    kspace = radial_kspace(n_frames=40, n_samples=30)
    spokes = np.ones((40, 5), bool)
    samples = Samples.of_spokes(kspace, spokes, times_of(kspace, spokes), 1.0)
    for axis in (0, 1):
        assert 0.99 < samples.k[:, axis].abs().max() <= 1


def test_each_sample_counts_as_its_encoding_says():
    """Of spokes by the radius, of lines all alike, and what a partial echo left out is no sample."""
    spokes = np.zeros((6, 5), bool)
    spokes[1, 3] = spokes[4, 0] = True
    kspace = radial_kspace()
    samples = Samples.of_spokes(kspace, spokes, times_of(kspace, spokes), 1.0)
    torch.testing.assert_close(samples.importance, samples.k.norm(dim=-1))

    density = torch.ones(kspace.trajectory.shape[:-1])
    density[4, 0, :4] = 0
    lines = replace(kspace, encoding="cartesian", density=density)
    fewer = Samples.of_spokes(lines, spokes, times_of(kspace, spokes), 1.0)
    torch.testing.assert_close(fewer.importance, torch.ones(24))
    there = torch.ones(28, dtype=torch.bool)
    there[14:18] = False
    for name in ("k", "t", "values"):
        torch.testing.assert_close(getattr(fewer, name), getattr(samples, name)[there])


def test_without_stamps_the_frames_are_the_clock():
    kspace = replace(radial_kspace(), spoke_times_s=None)
    assert not has_clock(kspace)
    np.testing.assert_array_equal(spoke_times(kspace), np.arange(6)[:, None] * np.ones((1, 5)))
    np.testing.assert_array_equal(frame_times(kspace), np.arange(6))


def test_stamps_that_are_all_equal_are_none():
    kspace = replace(radial_kspace(), spoke_times_s=np.full((6, 5), 36_000.0))
    assert not has_clock(kspace)
    np.testing.assert_array_equal(frame_times(kspace), np.arange(6))


def test_padding_has_no_time():
    kspace, mask = radial_kspace(), np.ones((6, 5), bool)
    mask[2, 3:] = False
    times = np.where(mask, kspace.spoke_times_s, 0.0)
    kspace = replace(kspace, spoke_mask=torch.as_tensor(mask), spoke_times_s=times)
    assert has_clock(kspace)
    np.testing.assert_allclose(frame_times(kspace)[2], times[2, :3].mean())


def test_a_frame_without_spokes_lies_between_its_neighbours():
    kspace, mask = radial_kspace(), np.ones((6, 5), bool)
    mask[3] = False
    kspace = replace(
        kspace, spoke_mask=torch.as_tensor(mask), spoke_times_s=np.where(mask, kspace.spoke_times_s, 0.0)
    )
    np.testing.assert_allclose(frame_times(kspace), radial_kspace().times_s)


def numbers_of(kspace, spokes):
    """The spokes by their samples."""
    return {kspace.data[frame, 0, spoke].numpy().tobytes() for frame, spoke in np.argwhere(spokes)}


def sliding_window(step=2):
    """Frames of 5 spokes, of which 3 are those of the frame before."""
    index = step * np.arange(12)[:, None] + np.arange(5)
    one = radial_kspace(n_frames=1, n_spokes=int(index.max()) + 1)
    return replace(
        one,
        data=one.data[0][:, index].permute(1, 0, 2, 3),
        trajectory=one.trajectory[0][index],
        spoke_times_s=one.spoke_times_s[0][index],
        times_s=one.spoke_times_s[0][index].mean(1),
    )


@pytest.mark.parametrize("kspace", [radial_kspace(), sliding_window()], ids=["apart", "sliding"])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_kept_and_held_out_share_nothing_and_are_all(kspace, share):
    kept, held = split_spokes(kspace, share)
    assert held.any()
    assert (kept ^ held).all()
    assert not numbers_of(kspace, kept) & numbers_of(kspace, held)
    n_spokes = len(numbers_of(kspace, kept | held))
    assert len(numbers_of(kspace, held)) == pytest.approx(share * n_spokes, abs=1)


def test_padding_and_borrowed_spokes_are_on_neither_side():
    kspace = radial_kspace(n_frames=8)
    mask, shared = torch.ones(8, 5, dtype=torch.bool), torch.zeros(8, 5, dtype=torch.bool)
    mask[:, 4], shared[:, 0] = False, True
    kept, held = split_spokes(replace(kspace, spoke_mask=mask, is_shared=shared), 0.2)
    assert held.any()
    np.testing.assert_array_equal(kept | held, (mask & ~shared).numpy() & np.ones((8, 5), bool))


@pytest.mark.parametrize(("n_spokes", "share"), [(FEWEST_SPOKES - 1, 0.2), (FEWEST_SPOKES, 0.0)])
def test_few_spokes_are_all_kept(n_spokes, share):
    kept, held = split_spokes(radial_kspace(1, n_spokes), share)
    assert kept.all()
    assert not held.any()


def test_from_the_fewest_spokes_on_some_are_held_out():
    assert split_spokes(radial_kspace(1, FEWEST_SPOKES), 0.05)[1].sum() == 1
