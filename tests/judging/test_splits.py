from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.judging.splits import NO_GROUP, sample_groups
from tests.numerics import cartesian_grid, golden_spokes

MATRIX = (32, 24)


def kspace_of(trajectory, density=None, **more):
    frames, spokes, readout, _ = trajectory.shape
    density = np.ones((frames, spokes, readout), np.float32) if density is None else density
    data = np.ones((frames, 1, spokes, readout), np.complex64)
    return KSpace(data=data, trajectory=trajectory, matrix=MATRIX, density=density, **more)


def radial(n_frames=6, n_spokes=10):
    return kspace_of(golden_spokes(n_frames, n_spokes, 48, MATRIX))


def lines():
    """Every other line and the centre, two frames."""
    rows = [row for row in range(32) if row % 2 == 0 or 12 <= row < 20]
    return kspace_of(np.repeat(cartesian_grid(MATRIX)[:, rows], 2, 0), encoding="cartesian")


def points():
    mask = np.random.default_rng(3).uniform(size=(1, *MATRIX)) < 0.4
    mask[:, 12:20, 8:16] = True
    return kspace_of(cartesian_grid(MATRIX), mask.astype(np.float32), encoding="cartesian"), mask


def sizes(groups, n_groups):
    return np.array([(groups == group).sum() for group in range(n_groups)])


def test_spokes_are_held_out_whole_and_evenly_over_angles():
    kspace = radial()
    groups = sample_groups(kspace, 5, 0)
    assert (groups == groups[..., :1]).all()
    assert (sizes(groups, 5) == 6 * 2 * 48).all()
    along = np.asarray(kspace.trajectory)[:, :, -1]
    angle = np.arctan2(along[..., 1], along[..., 0]) % np.pi
    for frame, held in zip(angle, groups[..., 0] == 2, strict=True):
        ranks = np.argsort(np.argsort(frame))[held]
        assert sorted(ranks // 5) == [0, 1]


def test_lines_are_held_out_whole_and_the_centre_stays():
    kspace = lines()
    groups = sample_groups(kspace, 4, 0)
    ky = np.asarray(kspace.trajectory)[..., 1]
    assert (groups[np.abs(ky) <= 2] == NO_GROUP).all()
    assert (groups[np.abs(ky) > 2] != NO_GROUP).all()
    assert (groups == groups[..., :1]).all()
    assert np.ptp(sizes(groups, 4)) <= MATRIX[1]


def test_points_are_held_out_one_by_one():
    kspace, mask = points()
    groups = sample_groups(kspace, 4, 0)
    centre = np.abs(np.asarray(kspace.trajectory)).max(-1) <= 2
    assert (groups[~mask] == NO_GROUP).all()
    assert (groups[centre] == NO_GROUP).all()
    assert (groups[mask & ~centre] != NO_GROUP).all()
    assert np.ptp(sizes(groups, 4)) <= 1
    quarters = [(groups == 1)[:, rows, columns].sum() for rows in (slice(16), slice(16, 32))
                for columns in (slice(12), slice(12, 24))]  # fmt: skip
    assert min(quarters) > 0.15 * sum(quarters)


def test_what_was_not_measured_or_is_borrowed_is_in_no_group():
    kspace = radial()
    mask, borrowed = np.ones((6, 10), bool), np.zeros((6, 10), bool)
    mask[1, 3:], borrowed[2, :4] = False, True
    groups = sample_groups(replace(kspace, spoke_mask=mask, is_shared=borrowed), 3, 0)
    assert (groups[1, 3:] == NO_GROUP).all()
    assert (groups[2, :4] == NO_GROUP).all()
    assert (groups[2, 4:] != NO_GROUP).all()


def test_a_seed_gives_the_same_groups_and_another_one_others():
    one, same, other = (sample_groups(radial(), 5, seed) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_few_spokes_a_frame_fill_the_groups_over_the_series():
    groups = sample_groups(radial(12, 2), 6, 0)
    assert (sizes(groups, 6) == 4 * 48).all()


@pytest.mark.parametrize(
    "kspace", [radial(1, 3), kspace_of(cartesian_grid(MATRIX)[:, 14:18], encoding="cartesian")]
)
def test_fewer_spokes_or_lines_than_groups_are_refused(kspace):
    with pytest.raises(DataError, match="8 groups of held-out samples are asked for"):
        sample_groups(kspace, 8, 0)
