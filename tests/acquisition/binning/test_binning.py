"""Frames from readouts."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_recon.acquisition.binning.binning import bin_frames
from python_recon.acquisition.radial.trajectory import locate
from python_recon.config import BinningConfig
from python_recon.data import Geometry
from python_recon.errors import DataError, MissingTrajectoryError
from tests.acquisition.numbered_readouts import (
    GOLDEN,
    MATRIX,
    frames_of,
    make_readout,
    make_scan,
    spokes_of,
)


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 60),
    length=st.integers(1, 13),
    n_slices=st.integers(1, 3),
    lost=st.sets(st.integers(0, 179)),
)
def test_every_spoke_lands_in_the_one_frame_that_is_its_own(total, length, n_slices, lost):
    readouts = [
        make_readout(i, kspace_encode_step_1=i // n_slices, slice=i % n_slices)
        for i in range(total * n_slices)
    ]
    kept = [r for r in readouts if r.scan_counter not in lost]
    if not kept:
        return
    config = BinningConfig(spokes_per_frame=length, minimum_fraction=1e-6)
    landed = {}
    # Two spokes a slice at least, or nothing tells how they are counted.
    scan = make_scan(kspace_encode_step_1=total - 1)
    for frame in frames_of(kept, config, scan):
        spokes = spokes_of(frame)
        assert spokes == sorted(spokes)
        for spoke in spokes:
            assert spoke not in landed
            landed[spoke] = (frame.counters.slice, frame.first_frame)
            step = spoke // n_slices
            if total > 1:
                assert landed[spoke] == (spoke % n_slices, step // length)
    assert sorted(landed) == [r.scan_counter for r in kept]


@settings(max_examples=40, deadline=None)
@given(total=st.integers(3, 60), length=st.integers(2, 13), lost=st.sets(st.integers(0, 59), max_size=20))
def test_nothing_is_lost_silently(total, length, lost):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("python_recon.acquisition.binning.runs")
    logger.addHandler(handler)
    readouts = [make_readout(i) for i in range(total) if i not in lost]
    try:
        frames = frames_of(readouts, BinningConfig(spokes_per_frame=length, minimum_fraction=0.6))
    except DataError:
        frames = []
    finally:
        logger.removeHandler(handler)
    kept = sum(frame.n_spokes for frame in frames)
    dropped = sum(record.args[2] for record in records if "left out" in record.msg)
    assert kept + dropped == len(readouts)


@settings(max_examples=40, deadline=None)
@given(total=st.integers(9, 50), length=st.integers(1, 9), step=st.integers(1, 12))
def test_sliding_windows_hold_what_they_should(total, length, step):
    config = BinningConfig(spokes_per_frame=length, step=step, minimum_fraction=1.0)
    frames = frames_of([make_readout(i) for i in range(total)], config)
    expected = [list(range(s, s + length)) for s in range(0, total - length + 1, step)]
    assert [spokes_of(frame) for frame in frames] == expected
    assert [frame.first_frame for frame in frames] == list(range(len(expected)))


def test_a_frame_comes_with_its_last_spoke():
    seen = []

    def stream():
        for i in range(26):
            seen.append(i)
            yield make_readout(i)

    scan = make_scan()
    frames = bin_frames(locate(stream(), scan, GOLDEN), scan, BinningConfig(spokes_per_frame=13), MATRIX)
    next(frames)
    assert seen[-1] == 12


def test_frame_carries_what_belongs_to_it():
    config = BinningConfig(spokes_per_frame=5)
    geometry = Geometry(position_mm=(1.0, 2.0, 3.0))
    readouts = [make_readout(i, geometry=geometry, slice=4, set=1) for i in range(15)]
    frame = frames_of(readouts, config)[1]
    assert frame.data.shape == (1, 2, 5, 6)
    assert frame.data.dtype == np.complex64
    assert frame.trajectory.shape == (1, 5, 6, 2)
    assert frame.matrix == MATRIX
    assert frame.geometry == geometry
    assert (frame.counters.slice, frame.counters.set, frame.measurement_id) == (4, 1, "m1")
    np.testing.assert_allclose(frame.spoke_times_s, 0.01 * np.arange(5, 10)[None])
    np.testing.assert_allclose(frame.times_s, 0.07)
    np.testing.assert_allclose(frame.physiology_s, [[0.007, 0, 0]])
    located = list(locate(readouts, make_scan(), GOLDEN))
    np.testing.assert_array_equal(frame.trajectory[0, 2], located[7].trajectory)


def test_shared_spokes_are_marked_and_not_counted():
    config = BinningConfig(spokes_per_frame=4, shared_spokes=2, minimum_fraction=1.0)
    frames = frames_of([make_readout(i) for i in range(12)], config)
    assert [spokes_of(f) for f in frames] == [[0, 1, 2, 3, 4, 5], list(range(2, 10)), [6, 7, 8, 9, 10, 11]]
    assert frames[1].is_shared.tolist() == [[True] * 2 + [False] * 4 + [True] * 2]
    np.testing.assert_allclose([f.times_s[0] for f in frames], [0.015, 0.055, 0.095])


def test_lost_spokes_leave_a_hole_that_is_told(caplog):
    readouts = [make_readout(i) for i in range(30) if i not in (12, 13, 14)]
    frames = frames_of(readouts, BinningConfig(spokes_per_frame=10))
    assert [f.n_spokes for f in frames] == [10, 7, 10]
    assert "3 spokes are missing in 1 frames" in caplog.text


def test_a_frame_that_was_lost_leaves_its_number_free():
    readouts = [make_readout(i) for i in range(40) if not 10 <= i < 20]
    assert [f.first_frame for f in frames_of(readouts, BinningConfig(spokes_per_frame=10))] == [0, 2, 3]


@pytest.mark.parametrize(("total", "n_frames"), [(25, 3), (24, 2)])
def test_trailing_frame_needs_its_share(total, n_frames, caplog):
    frames = frames_of([make_readout(i) for i in range(total)], BinningConfig(spokes_per_frame=10))
    assert len(frames) == n_frames
    assert ("frame 2 left out, it has only 4 of 10 spokes" in caplog.text) == (n_frames == 2)


def test_configured_spokes_overrule_the_limits():
    readouts = [make_readout(i) for i in range(12)]
    frames = frames_of(readouts, BinningConfig(spokes_per_frame=4), make_scan(phase=2, repetition=5))
    assert [f.n_spokes for f in frames] == [4, 4, 4]


@pytest.mark.parametrize(("user", "length"), [({"profiles_per_frame": 7.0}, 7), ({}, 34)])
def test_spokes_from_the_header_or_a_default(user, length):
    frames = frames_of([make_readout(i) for i in range(70)], BinningConfig(), make_scan(user))
    assert frames[0].n_spokes == length


@pytest.mark.parametrize(
    ("limits", "lengths"),
    [
        ({"kspace_encode_step_1": 47, "repetition": 0}, [48]),
        ({"kspace_encode_step_1": 47}, [34]),
        ({"kspace_encode_step_1": 999, "repetition": 0}, [34]),
    ],
)
def test_one_announced_repetition_is_one_frame(limits, lengths):
    frames = frames_of([make_readout(i) for i in range(48)], BinningConfig(), make_scan(**limits))
    assert [f.n_spokes for f in frames] == lengths


def test_interleaved_slices_and_sets_are_cut_by_themselves():
    readouts = [
        make_readout(i, kspace_encode_step_1=i // 4, slice=i % 2, set=(i // 2) % 2) for i in range(48)
    ]
    frames = frames_of(readouts, BinningConfig(spokes_per_frame=6))
    assert len(frames) == 8
    for frame in frames:
        offset = frame.counters.slice + 2 * frame.counters.set
        start = 24 * frame.first_frame
        assert spokes_of(frame) == [start + offset + 4 * i for i in range(6)]


@pytest.mark.parametrize(
    "change",
    [
        {"n_coils": 3},
        {"channel_mask": (6,)},
        {"n_samples": 8},
        {"geometry": Geometry(position_mm=(0.0, 0.0, 9.0))},
    ],
)
def test_a_change_in_mid_scan_begins_a_new_run(change, caplog):
    before = [make_readout(i) for i in range(18)]
    after = [make_readout(i, **change) for i in range(18, 30)]
    frames = frames_of([*before, *after], BinningConfig(spokes_per_frame=10))
    # 18 spokes: a frame of 10 and one of 8; spokes 18 and 19 are too few for a frame of the new run.
    assert [(f.run, f.first_frame, f.n_spokes) for f in frames] == [(0, 0, 10), (0, 1, 8), (1, 2, 10)]
    assert "a new run of frames begins" in caplog.text
    assert "2 of 10" in caplog.text


def test_jitter_of_the_position_is_no_change():
    readouts = [make_readout(i, geometry=Geometry(position_mm=(1e-4 * (i % 2), 0.0, 0.0))) for i in range(20)]
    assert [f.run for f in frames_of(readouts, BinningConfig(spokes_per_frame=10))] == [0, 0]


def three_places(n_readouts, **counters):
    return [
        make_readout(
            i,
            geometry=Geometry(position_mm=(0.0, 0.0, 8.0 * (i % 3))),
            kspace_encode_step_1=i // 3,
            **counters,
        )
        for i in range(n_readouts)
    ]


@pytest.mark.parametrize("n_readouts", [60, 54], ids=["whole", "the last frame is short"])
def test_slices_that_share_a_label_are_slices_of_one_series(n_readouts):
    frames = frames_of(three_places(n_readouts), BinningConfig(spokes_per_frame=10))
    assert [(f.run, f.first_frame, f.counters.slice, f.geometry.position_mm[2]) for f in frames] == [
        (0, frame, place, 8.0 * place) for frame in range(2) for place in range(3)
    ]
    assert all(len({s % 3 for s in spokes_of(f)}) == 1 for f in frames)


def test_places_get_no_number_that_is_a_label():
    labelled = [
        readout
        for one, other in zip(three_places(30, slice=0), three_places(30, slice=1), strict=True)
        for readout in (one, other)
    ]
    found = {
        (f.counters.slice, f.geometry.position_mm[2], f.run)
        for f in frames_of(labelled, BinningConfig(spokes_per_frame=10))
    }
    assert found == {(label + 2 * place, 8.0 * place, 0) for label in range(2) for place in range(3)}


def test_slices_in_other_directions_are_series_of_their_own():
    turned = Geometry(read_dir=(0.0, 1.0, 0.0), phase_dir=(0.0, 0.0, 1.0), slice_dir=(1.0, 0.0, 0.0))
    readouts = [make_readout(i, geometry=turned if i % 2 else Geometry()) for i in range(40)]
    frames = frames_of(readouts, BinningConfig(spokes_per_frame=10))
    assert {(f.run, f.counters.slice, f.geometry.slice_dir[0]) for f in frames} == {(0, 0, 0.0), (1, 0, 1.0)}


def test_a_table_that_drifts_slowly_makes_no_new_run(caplog):
    readouts = [make_readout(i, geometry=Geometry(table_position_mm=(0, 0, 0.05 * i))) for i in range(40)]
    frames = frames_of(readouts, BinningConfig(spokes_per_frame=10))
    assert [(f.run, f.first_frame) for f in frames] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert "drifts by 1.9 mm" in caplog.text or "drifts by 2.0 mm" in caplog.text


def test_counters_that_start_anew_begin_a_new_run():
    scan = make_scan(kspace_encode_step_1=99)
    steps = [*range(30), *range(30)]
    located = locate([make_readout(i) for i in range(60)], scan, GOLDEN)
    restarted = [replace(r, spoke_index=step) for r, step in zip(located, steps, strict=True)]
    frames = list(bin_frames(restarted, scan, BinningConfig(spokes_per_frame=10), MATRIX))
    assert [(f.run, f.first_frame) for f in frames] == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]


def test_late_readouts_are_sorted_in_or_told(caplog):
    order = [0, 2, 1, 3, 4, 5, 8, 6, 7, 9, 6]
    readouts = [make_readout(i) for i in order]
    located = locate([make_readout(i) for i in range(11)], make_scan(), GOLDEN)
    by_number = {r.spoke_index: r for r in located}
    stream = [replace(by_number[i], data=readouts[n].data) for n, i in enumerate(order)]
    frames = list(bin_frames(stream, make_scan(), BinningConfig(spokes_per_frame=5), MATRIX))
    assert [spokes_of(f) for f in frames] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert "1 readouts are in no frame" in caplog.text


def test_empty_scan_is_an_error():
    with pytest.raises(DataError, match="empty"):
        frames_of([], BinningConfig())


def test_too_few_spokes_for_any_frame_is_an_error():
    with pytest.raises(DataError, match="4 readouts fill no frame"):
        frames_of([make_readout(i) for i in range(4)], BinningConfig(spokes_per_frame=10))


def test_readouts_must_be_located():
    with pytest.raises(MissingTrajectoryError, match="not located"):
        list(bin_frames([make_readout(0)], make_scan(), BinningConfig(), MATRIX))
