from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.data import Counters, Geometry, ImageSeries
from python_recon.evaluation.liveliest import liveliest_point
from python_recon.outputs.series import (
    TICK_S,
    by_kind,
    evenly_taken,
    file_stems,
    frame_interval_s,
    join_series,
    title,
)


def test_pieces_are_joined_by_series_and_slice_in_the_order_of_frames(pieces, beating_disc):
    first, second, final = join_series(pieces)
    assert [(each.series_index, each.counters.slice) for each in (first, second, final)] == [
        (1, 0),
        (1, 1),
        (2, 1),
    ]
    np.testing.assert_array_equal(first.images, beating_disc)
    np.testing.assert_array_equal(second.images, 2 * beating_disc)
    np.testing.assert_allclose(second.times_s, 1 + 0.05 * np.arange(10))
    np.testing.assert_array_equal(second.physiology_s[:, 0], np.arange(10))
    assert first.comment == "preview"
    assert first.details == {"seconds": 0.1}
    assert final.details == {"iterations": 7}


def test_details_are_those_of_all_pieces_and_seconds_their_sum(pieces):
    details = {"losses": [2.0, 1.0], "seconds_coil_maps": 0.25}
    of_slice_0 = [piece for piece in pieces[1:] if piece.counters.slice == 0]
    # Two frames are made at a time.
    own = [
        {"seconds_method": 0.5 + piece.first_frame // 2, "step": piece.first_frame} for piece in of_slice_0
    ]
    (joined,) = join_series(
        replace(piece, details=details | mine) for piece, mine in zip(of_slice_0, own, strict=True)
    )
    assert joined.details == details | {"seconds_method": 12.5}


def test_slices_of_an_output_are_one_kind_until_the_matrix_changes(pieces):
    larger = replace(pieces[0], images=np.zeros((2, 42, 48), np.complex64))
    kinds = by_kind(join_series([*pieces, larger]))
    assert [[(each.series_index, each.counters.slice, each.n_frames) for each in kind] for kind in kinds] == [
        [(1, 0, 10), (1, 1, 10)],
        [(2, 1, 10)],
        [(2, 1, 2)],
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": Geometry(position_mm=(9.0, 0, 0))},
        {"counters": Counters(slice=1, contrast=1)},
        {"measurement_id": "7"},
    ],
)
def test_a_change_in_mid_scan_begins_another_series(pieces, change):
    of_slice_1 = [piece for piece in pieces[1:] if piece.counters.slice == 1]
    moved = [replace(piece, **change) if piece.first_frame >= 6 else piece for piece in of_slice_1]
    before, after = join_series(moved)
    assert (before.n_frames, after.n_frames) == (6, 4)
    assert after.first_frame == 6


def test_rounding_of_the_geometry_is_no_change(pieces):
    def rounded(piece):
        position = tuple(np.float32(v) + 1e-5 * (piece.first_frame % 2) for v in piece.geometry.position_mm)
        return replace(piece, geometry=replace(piece.geometry, position_mm=position))

    assert [each.n_frames for each in join_series(map(rounded, pieces))] == [10, 10, 10]


def test_a_frame_that_fell_down_the_ladder_stays_in_its_series(pieces):
    of_slice_1 = [piece for piece in pieces[1:] if piece.counters.slice == 1]
    fallen = [replace(p, method="adjoint", comment="fell") if p.first_frame == 0 else p for p in of_slice_1]
    (joined,) = join_series(fallen)
    assert (joined.n_frames, joined.method, joined.comment) == (10, "gridding", "fell; preview")


def test_unknown_times_of_one_piece_leave_the_times_of_all_unknown(pieces):
    first = join_series(
        [replace(piece, times_s=None) if piece.first_frame == 3 else piece for piece in pieces[1:]]
    )[0]
    assert first.times_s is None
    assert frame_interval_s(first) is None


def test_file_stems_differ_and_are_plain(pieces):
    final = pieces[0]
    moved = replace(final, geometry=Geometry(position_mm=(9.0, 0, 0)))
    foreign = replace(final, method="lab/../fit 2", counters=Counters(slice=1, contrast=2, set=3))
    stems = file_stems([final, moved, moved, foreign])
    assert stems[:3] == [
        "series_2_grasp_slice_1",
        "series_2_grasp_slice_1_part_2",
        "series_2_grasp_slice_1_part_3",
    ]
    assert stems[3] == "series_2_lab-fit-2_slice_1_contrast_2_set_3"
    assert title(foreign) == "lab/../fit 2, slice 1, contrast 2, set 3"


@pytest.mark.parametrize(("n_frames", "at_most"), [(1, 24), (24, 24), (25, 24), (100, 7)])
def test_frames_taken_evenly(n_frames, at_most):
    taken = evenly_taken(n_frames, at_most)
    assert len(taken) == min(n_frames, at_most)
    assert (taken[0], taken[-1]) == (0, n_frames - 1)
    assert np.ptp(np.diff(taken)) <= 1 if len(taken) > 1 else True


def test_interval_is_robust_against_one_pause(pieces):
    first = join_series(pieces)[0]
    paused = first.times_s + 5.0 * (np.arange(10) > 4)
    assert frame_interval_s(replace(first, times_s=paused)) == pytest.approx(0.05)


def test_liveliest_point_is_in_what_moves(beating_disc):
    noise = np.random.default_rng(3).normal(scale=20, size=beating_disc.shape)
    y, x = liveliest_point(beating_disc + noise)
    assert np.hypot(y - 14, x - 30) < 4
    assert liveliest_point(beating_disc[:1]) == (20, 24)


def test_ticks_do_not_change_the_time_between_frames():
    times = np.round(0.039 * np.arange(50) / TICK_S) * TICK_S
    series = ImageSeries(np.zeros((50, 2, 2), np.complex64), "grasp", 2, times_s=times)
    assert frame_interval_s(series) == pytest.approx(0.039, rel=2e-3)
    late = np.where(np.arange(50) > 30, times + 1.0, times)
    assert frame_interval_s(replace(series, times_s=late)) == pytest.approx(0.040, abs=1e-6)
