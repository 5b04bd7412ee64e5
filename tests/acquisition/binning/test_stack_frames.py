"""Single frames to one k-space."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.acquisition.binning.binning import stack_frames
from python_recon.data import KSpace
from python_recon.errors import ShapeError


def make_frame(number, n_spokes, n_coils=2, is_shared=None, density=False):
    rng = np.random.default_rng(number)
    shape = (1, n_coils, n_spokes, 6)
    return KSpace(
        (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64),
        rng.normal(size=(1, n_spokes, 6, 2)).astype(np.float32),
        (16, 18),
        density=np.full((1, n_spokes, 6), number + 1, np.float32) if density else None,
        is_shared=None if is_shared is None else np.array([is_shared]),
        spoke_times_s=number + 0.01 * np.arange(n_spokes)[None],
        times_s=np.array([float(number)]),
        physiology_s=np.array([[0.1 * number, 0.0, 0.0]]),
        first_frame=number,
    )


def test_stack_pads_and_masks():
    frames = [make_frame(3, 10), make_frame(4, 8), make_frame(5, 10)]
    stack = stack_frames(frames)
    assert stack.data.shape == (3, 2, 10, 6)
    assert stack.spoke_mask.tolist() == [[True] * 10, [True] * 8 + [False] * 2, [True] * 10]
    assert not stack.data[1, :, 8:].any()
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(stack.data[i, :, : frame.n_spokes], frame.data[0])
        np.testing.assert_array_equal(stack.trajectory[i, : frame.n_spokes], frame.trajectory[0])
        np.testing.assert_array_equal(stack.spoke_times_s[i, : frame.n_spokes], frame.spoke_times_s[0])
    np.testing.assert_array_equal(stack.times_s, [3, 4, 5])
    np.testing.assert_array_equal(stack.physiology_s[:, 0], [0.1 * 3, 0.1 * 4, 0.1 * 5])
    assert stack.first_frame == 3


def test_equal_frames_need_no_mask():
    stack = stack_frames([make_frame(0, 7), make_frame(1, 7)])
    assert stack.spoke_mask is None
    assert stack.is_shared is None
    assert stack.density is None


def test_marks_of_shared_spokes_are_kept():
    edge, middle = [False, False, True], [True, False, False, True]
    stack = stack_frames([make_frame(0, 3, is_shared=edge), make_frame(1, 4, is_shared=middle)])
    assert stack.is_shared.tolist() == [[*edge, False], middle]
    assert stack.spoke_mask.tolist() == [[True, True, True, False], [True] * 4]


def test_density_is_zero_in_the_padding():
    stack = stack_frames([make_frame(0, 3, density=True), make_frame(1, 4, density=True)])
    np.testing.assert_array_equal(stack.density[0, :, 0], [1, 1, 1, 0])
    assert stack_frames([make_frame(0, 3, density=True), make_frame(1, 4)]).density is None


def test_stacks_can_be_stacked_again():
    frames = [make_frame(0, 3), make_frame(1, 5), make_frame(2, 4)]
    once, twice = stack_frames(frames), stack_frames([stack_frames(frames[:2]), frames[2]])
    np.testing.assert_array_equal(twice.data, once.data)
    np.testing.assert_array_equal(twice.spoke_mask, once.spoke_mask)


def test_frames_that_differ_do_not_stack():
    with pytest.raises(ShapeError, match="differ"):
        stack_frames([make_frame(0, 3), make_frame(1, 3, n_coils=3)])
    with pytest.raises(ShapeError, match="no frame"):
        stack_frames([])
