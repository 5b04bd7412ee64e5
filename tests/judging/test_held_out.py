from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_recon.acquisition.spokes import every_kth_spoke, middle_spokes, own_spokes, select, spoke_numbers
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DataError
from python_recon.judging.held_out import prediction_error
from python_recon.operators.nufft import Nufft

MATRIX = (20, 24)


def golden_kspace(n_frames=4, n_spokes=7, n_coils=3, n_samples=32, step=None, seed=0):
    """Noise on golden-angle spokes; frames begin ``step`` spokes apart, so a small step shares spokes."""
    step = step or n_spokes
    rng = np.random.default_rng(seed)
    total = step * (n_frames - 1) + n_spokes
    data = rng.normal(size=(total, n_coils, n_samples, 2)).view(complex)[..., 0].astype(np.complex64)
    angle = np.deg2rad(111.246 * np.arange(total))
    radius = (np.arange(n_samples) - n_samples // 2) * 24 / n_samples
    trajectory = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    index = step * np.arange(n_frames)[:, None] + np.arange(n_spokes)
    return KSpace(
        data=data[index].swapaxes(1, 2),
        trajectory=trajectory.astype(np.float32)[index],
        matrix=MATRIX,
        spoke_times_s=0.003 * index,
        times_s=0.003 * index.mean(axis=1),
    )


def test_spokes_are_numbered_in_the_order_of_acquisition():
    np.testing.assert_array_equal(spoke_numbers(golden_kspace(3, 5)), np.arange(15).reshape(3, 5))


@given(n_frames=st.integers(1, 5), n_spokes=st.integers(1, 8), step=st.integers(1, 8), k=st.integers(2, 9))
def test_a_spoke_that_is_held_out_is_held_out_of_all_frames(n_frames, n_spokes, step, k):
    kspace = golden_kspace(n_frames, n_spokes, step=min(step, n_spokes))
    held = every_kth_spoke(kspace, k)
    times_held, times_kept = set(kspace.spoke_times_s[held]), set(kspace.spoke_times_s[~held])
    assert not times_held & times_kept
    n_different = len(times_held | times_kept)
    assert abs(len(times_held) - n_different / k) <= 1


def test_padding_is_no_spoke():
    kspace = golden_kspace(2, 5)
    mask = np.ones((2, 5), bool)
    mask[1, 3:] = False
    data = np.where(mask[:, None, :, None], kspace.data, 0)
    padded = replace(kspace, data=data, spoke_mask=mask)
    assert spoke_numbers(padded).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, -1, -1]]
    assert not every_kth_spoke(padded, 2)[~mask].any()
    assert not middle_spokes(padded, 4)[~mask].any()
    assert middle_spokes(padded, 4).sum(axis=1).tolist() == [4, 3]


def test_middle_spokes_are_consecutive_and_keep_the_time_of_the_frame():
    kspace = golden_kspace(4, 9)
    kept = select(kspace, middle_spokes(kspace, 5))
    assert kept.data.shape == (4, 3, 5, 32)
    np.testing.assert_array_equal(kept.data, kspace.data[:, :, 2:7])
    np.testing.assert_array_equal(kept.trajectory, kspace.trajectory[:, 2:7])
    np.testing.assert_allclose(kept.spoke_times_s.mean(axis=1), kspace.times_s)


def test_borrowed_spokes_are_not_kept():
    shared = np.zeros((3, 6), bool)
    shared[:, [0, 5]] = True
    kspace = replace(golden_kspace(3, 6), is_shared=shared)
    assert middle_spokes(kspace, 2).tolist() == [[False, False, True, True, False, False]] * 3
    with pytest.raises(DataError, match=r"5 spokes a frame.*have 4"):
        middle_spokes(kspace, 5)


def test_select_moves_spokes_to_the_front_and_pads():
    kspace = golden_kspace(3, 5)
    keep = np.array([[0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    kept = select(kspace, keep)
    assert kept.data.shape == (3, 3, 3, 32)
    np.testing.assert_array_equal(kept.data[0], kspace.data[0][:, [1, 3, 4]])
    np.testing.assert_array_equal(kept.trajectory[0], kspace.trajectory[0, [1, 3, 4]])
    np.testing.assert_array_equal(kept.data[2, :, 0], kspace.data[2, :, 0])
    np.testing.assert_array_equal(kept.spoke_mask.sum(axis=1), [3, 0, 1])
    assert not kept.data[1].any()
    assert not kept.data[2, :, 1:].any()
    with pytest.raises(DataError, match="no spoke"):
        select(kspace, np.zeros((3, 5), bool))


def predicted_setting():
    noise = np.random.default_rng(5).normal(size=(7, *MATRIX, 2)).view(complex)[..., 0].astype(np.complex64)
    images, maps = noise[:4], CoilMaps(noise[4:], "test")
    kspace = golden_kspace()
    data = Nufft(kspace.trajectory, MATRIX).forward(images[:, None] * maps.maps)
    return images, maps, replace(kspace, data=data)


def test_the_images_behind_the_data_predict_them_at_any_scale():
    images, maps, kspace = predicted_setting()
    assert prediction_error(images, maps, kspace) < 1e-5
    assert prediction_error((3 - 2j) * images, maps, kspace) < 1e-5


def test_error_is_the_weighted_relative_norm():
    images, maps, kspace = predicted_setting()
    noisy = replace(kspace, data=kspace.data + golden_kspace(seed=8).data)
    weight = np.hypot(*np.moveaxis(kspace.trajectory, -1, 0))[:, None]
    predicted, measured = np.sqrt(weight) * kspace.data, np.sqrt(weight) * noisy.data
    (factor,), *_ = np.linalg.lstsq(predicted.reshape(-1, 1), measured.ravel(), rcond=None)
    expected = np.linalg.norm(measured - factor * predicted) / np.linalg.norm(measured)
    assert prediction_error(images, maps, noisy) == pytest.approx(expected, rel=1e-3)
    assert 0.05 < expected < 0.95


def test_padding_and_borrowed_spokes_do_not_count():
    images, maps, kspace = predicted_setting()
    spoilt = np.array(kspace.data)
    spoilt[1, :, 2:] = 0
    spoilt[2, :, 0] = 99
    mask, shared = np.ones((4, 7), bool), np.zeros((4, 7), bool)
    mask[1, 2:], shared[2, 0] = False, True
    kspace = replace(kspace, data=spoilt, spoke_mask=mask, is_shared=shared)
    assert own_spokes(kspace).sum() == 4 * 7 - 5 - 1
    assert prediction_error(images, maps, kspace) < 1e-5


def test_no_image_predicts_nothing():
    images, maps, kspace = predicted_setting()
    assert prediction_error(0 * images, maps, kspace) == pytest.approx(1)
