"""Frames that the counters of repetition and cardiac phase announce."""

from __future__ import annotations

import pytest

from python_recon.acquisition.binning.binning import bin_frames
from python_recon.acquisition.radial.trajectory import locate
from python_recon.config import BinningConfig
from tests.acquisition.numbered_readouts import (
    GOLDEN,
    MATRIX,
    frames_of,
    make_readout,
    make_scan,
    spokes_of,
)


def test_repetitions_close_when_they_change():
    readouts = [make_readout(i, kspace_encode_step_1=i % 6, repetition=i // 6) for i in range(21)]
    scan = make_scan(repetition=3, kspace_encode_step_1=5)
    frames = frames_of(readouts, BinningConfig(), scan)
    assert [spokes_of(f) for f in frames] == [list(range(6 * i, min(6 * i + 6, 21))) for i in range(4)]
    assert [f.first_frame for f in frames] == [0, 1, 2, 3]


def test_short_last_repetition_is_left_out(caplog):
    readouts = [make_readout(i, kspace_encode_step_1=i % 6, repetition=i // 6) for i in range(14)]
    assert len(frames_of(readouts, BinningConfig(), make_scan(repetition=3, kspace_encode_step_1=5))) == 2
    assert "2 of 6" in caplog.text


def repetitions(*counts, n_steps=6):
    """Readouts of repetitions with so many spokes."""
    pairs = [(repetition, step) for repetition, count in enumerate(counts) for step in range(count)]
    return [
        make_readout(n_steps * repetition + step, kspace_encode_step_1=step, repetition=repetition)
        for repetition, step in pairs
    ]


@pytest.mark.parametrize("limits", [{}, {"kspace_encode_step_1": 5}, {"kspace_encode_step_1": 99}])
def test_short_first_repetition_is_left_out(limits, caplog):
    config, scan = BinningConfig(by="repetition"), make_scan(repetition=3, **limits)
    frames = frames_of(repetitions(2, 6, 6, 5), config, scan)
    assert [(f.first_frame, f.n_spokes) for f in frames] == [(1, 6), (2, 6), (3, 5)]
    assert "frame 0 left out, it has only 2 of 6 spokes" in caplog.text


def test_one_long_repetition_does_not_cost_the_others():
    config, scan = BinningConfig(by="repetition"), make_scan(repetition=4)
    frames = frames_of(repetitions(4, 4, 12, 4, 4, n_steps=12), config, scan)
    assert [f.n_spokes for f in frames] == [4, 4, 12, 4, 4]


@pytest.mark.parametrize("counts", [(5,), (2,), (3, 6), (6, 3)])
def test_few_repetitions_are_kept_by_the_same_rule(counts):
    frames = frames_of(
        repetitions(*counts), BinningConfig(by="repetition"), make_scan(kspace_encode_step_1=5)
    )
    assert [f.n_spokes for f in frames] == list(counts)


def arrival(limits, frame):
    """How many readouts had come when that frame did."""
    seen = 0

    def stream():
        nonlocal seen
        for readout in repetitions(6, 6, 6):
            seen += 1
            yield readout

    scan = make_scan(repetition=2, **limits)
    located = list(locate(repetitions(6, 6, 6), scan, GOLDEN))
    frames = bin_frames((located[r.scan_counter] for r in stream()), scan, BinningConfig(), MATRIX)
    for _ in range(frame + 1):
        next(frames)
    return seen


@pytest.mark.parametrize(
    ("announced", "arrivals"), [(6, [7, 12, 18]), (9, [13, 13, 18]), (4, [7, 13, 18])], ids=str
)
def test_a_repetition_comes_early_where_header_and_frames_agree(announced, arrivals):
    limits = {"kspace_encode_step_1": announced - 1}
    assert [arrival(limits, frame) for frame in range(3)] == arrivals


def test_more_spokes_than_announced_and_seen_are_told(caplog):
    readouts = repetitions(6, 6)
    late = make_readout(12, kspace_encode_step_1=3, repetition=1)
    located = [*locate(readouts, make_scan(), GOLDEN), *locate([late], make_scan(), GOLDEN)]
    scan = make_scan(repetition=1, kspace_encode_step_1=5)
    frames = list(bin_frames(located, scan, BinningConfig(), MATRIX))
    assert [f.n_spokes for f in frames] == [6, 6]
    assert "1 readouts are in no frame" in caplog.text


def test_a_phase_with_few_spokes_is_left_out(caplog):
    phases = [0] * 6 + [1] * 6 + [2] * 5 + [3] * 2
    readouts = [make_readout(i, phase=phase) for i, phase in enumerate(phases)]
    frames = frames_of(readouts, BinningConfig(), make_scan(phase=3))
    assert [f.n_spokes for f in frames] == [6, 6, 5]
    assert "frame 3 left out, it has only 2 of 5 spokes" in caplog.text
    assert "are missing" not in caplog.text, "phases need not have as many spokes as each other"


def test_phases_are_gathered_over_the_heartbeats():
    readouts = [make_readout(i, phase=(i // 2) % 3) for i in range(18)]
    frames = frames_of(readouts, BinningConfig(), make_scan(phase=2, repetition=5))
    assert [spokes_of(f) for f in frames] == [
        [0, 1, 6, 7, 12, 13],
        [2, 3, 8, 9, 14, 15],
        [4, 5, 10, 11, 16, 17],
    ]
    assert [f.first_frame for f in frames] == [0, 1, 2]
