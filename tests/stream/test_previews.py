"""Previews keep up with a scanner; a file loses none."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from python_recon.config import load_config
from python_recon.data import PREVIEW_SERIES
from python_recon.stream import previews
from python_recon.stream.chain import reconstruct_stream
from tests.heart_stream import FRAMES, SCAN, readouts

DEADLINE_S, LATE_S = 60.0, 600.0
"""Far apart and far from what the work takes, on any machine."""
LATE_FRAMES = (0, 1, 2)


def received(pace: float, late=LATE_FRAMES):
    """The scan at a multiple of its own pace; some of its first frames were received long ago."""
    now_s = time.monotonic()
    for readout in readouts():
        if readout.is_noise:
            yield readout
            continue
        waited_s = LATE_S if readout.counters.repetition in late else 0.0
        yield replace(readout, arrived_s=now_s + (readout.time_s - 1.0) / pace - waited_s)


def config(**settings):
    return load_config({"method": "cg_sense", "preview_deadline_s": DEADLINE_S, **settings})


def test_previews_that_come_too_late_are_left_out_and_counted(caplog):
    """A few readouts of the next frame are looked at before a frame is known to be whole."""
    series = list(reconstruct_stream(received(1.0), SCAN, config()))
    previewed = [each for each in series if each.series_index == PREVIEW_SERIES]
    frames = [each.first_frame for each in previewed]
    assert frames in ([2, 3, 4], [3, 4]), "the newest are shown again"
    assert f"{FRAMES - len(frames)} previews were left out" in caplog.text
    assert previewed[-1].details["previews_skipped"] == FRAMES - len(frames)
    assert previewed[0].details["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert series[-1].n_frames == FRAMES, "the data of the method are complete"


def test_the_time_for_the_method_counts_from_the_last_readout():
    """Where it came long ago, none is left: the images are gridded, and say why."""
    late = {"preview_deadline_s": 2 * LATE_S, "max_recon_seconds": LATE_S / 2}
    *_, final = reconstruct_stream(received(1.0, late=range(FRAMES)), SCAN, config(**late))
    assert final.method == "gridding"
    assert "cg_sense failed: no time was left" in final.comment


@pytest.mark.parametrize(
    ("stream", "settings"),
    [
        (received(1.0), {"preview_deadline_s": 2 * LATE_S}),
        (received(1000.0, range(FRAMES)), {}),
        (received(1.0), {"method": "gridding"}),
        (readouts(), {}),
    ],
    ids=["a patient configuration", "a file", "previews that are all there is", "an unknown source"],
)
def test_nothing_is_left_out_of(stream, settings):
    series = list(reconstruct_stream(stream, SCAN, config(**settings)))
    previewed = [each.first_frame for each in series if each.series_index == PREVIEW_SERIES]
    assert previewed == list(range(FRAMES))


@pytest.mark.parametrize(("pace", "expected"), [(1.0, DEADLINE_S), (1000.0, 600.0)], ids=["scanner", "file"])
def test_an_iterative_preview_ends_in_time_at_the_scanner_only(monkeypatch, pace, expected):
    """The images of a file do not depend on the speed of the machine."""
    budgets = []
    of = previews.Preview.of
    monkeypatch.setattr(previews.Preview, "of", lambda *args: budgets.append(args[2].seconds) or of(*args))
    settings = {"preview": "cg_sense", "method": "gridding"}
    list(reconstruct_stream(received(pace, ()), SCAN, config(**settings)))
    assert budgets[1:] == [expected] * (FRAMES - 1)
