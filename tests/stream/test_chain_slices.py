"""Several slices through the chain: each as if it were alone, whatever becomes of the others."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.data import FINAL_SERIES, PREVIEW_SERIES, ImageSeries, Readout
from python_recon.errors import BackendError, DataError
from python_recon.stream import chain, preparation
from python_recon.stream.chain import reconstruct_stream
from tests.heart_stream import FRAMES, SCAN, readouts


@pytest.fixture(scope="module")
def three_slices() -> list[Readout]:
    """The noise scan, then three slices of unlike noise, a spoke of each in turn."""
    return list(readouts((0, 1, 2)))


def one_after_the_other(scan: list[Readout]) -> list[Readout]:
    return sorted(scan, key=lambda readout: (not readout.is_noise, readout.counters.slice))


def only(scan: list[Readout], index: int) -> list[Readout]:
    return [readout for readout in scan if readout.is_noise or readout.counters.slice == index]


def reconstruct(scan, **settings) -> list[ImageSeries]:
    return list(reconstruct_stream(scan, SCAN, load_config(settings)))


@pytest.mark.parametrize("method", ["gridding", "cg_sense"])
@pytest.mark.parametrize("order", [list, one_after_the_other], ids=["interleaved", "sequential"])
def test_slices_are_the_same_whether_fitted_early_or_at_the_end(three_slices, method, order):
    settings = {"method": method, "preview": "none", "options": {}}
    series = reconstruct(order(three_slices), **settings)
    assert sorted(each.counters.slice for each in series) == [0, 1, 2]
    for each in series:
        (alone,) = reconstruct(only(three_slices, each.counters.slice), **settings)
        assert each.n_frames == FRAMES
        np.testing.assert_allclose(each.images, alone.images, rtol=0, atol=1e-5 * np.abs(alone.images).max())
        np.testing.assert_array_equal(each.times_s, alone.times_s)


@pytest.fixture
def fits_done(monkeypatch):
    """An event that is set after the first fit."""
    done, fit = threading.Event(), chain._fit

    def noting(*arguments):
        yield from fit(*arguments)
        done.set()

    monkeypatch.setattr(chain, "_fit", noting)
    return done


def test_the_first_slice_is_shown_while_the_second_is_received(three_slices, fits_done):
    scan = one_after_the_other(three_slices)
    late = [r for r in scan if r.counters.slice == 2 and r.counters.repetition == FRAMES - 2]

    def received():
        for readout in scan:
            if readout is late[0]:
                assert fits_done.wait(60)
            yield readout

    series = reconstruct(received(), method="cg_sense")
    kinds = [(each.series_index, each.counters.slice) for each in series]
    assert kinds.index((FINAL_SERIES, 0)) < kinds.index((FINAL_SERIES, 1))
    last_preview = max(place for place, kind in enumerate(kinds) if kind == (PREVIEW_SERIES, 2))
    assert kinds.index((FINAL_SERIES, 0)) < last_preview
    assert kinds.count((FINAL_SERIES, 0)) == 1


def no_fit_is_running() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("slice-fit")]


def test_a_consumer_that_leaves_early_leaves_no_thread(three_slices):
    scan = one_after_the_other(three_slices)
    stream = reconstruct_stream(scan, SCAN, load_config({"method": "grasp", "options.iterations": 10_000}))
    while next(stream).counters.slice < 2:
        pass
    assert not no_fit_is_running(), "the fit of slice 0 is under way"
    stream.close()
    assert no_fit_is_running()


def test_a_stream_that_breaks_leaves_no_thread(three_slices):
    def broken():
        yield from one_after_the_other(three_slices)
        raise DataError("the peer is gone")

    with pytest.raises(DataError, match="the peer is gone"):
        reconstruct(broken(), **{"method": "grasp", "options.iterations": 10_000})
    assert no_fit_is_running()


@pytest.mark.parametrize("order", [list, one_after_the_other], ids=["interleaved", "sequential"])
def test_a_slice_that_fails_costs_no_other_and_is_told_last(three_slices, order, monkeypatch):
    estimate = preparation.estimate

    def fail_at_1(kspace, coils):
        if kspace.counters.slice == 1:
            raise np.linalg.LinAlgError("SVD did not converge")
        return estimate(kspace, coils)

    monkeypatch.setattr(preparation, "estimate", fail_at_1)
    settings = load_config({"method": "cg_sense", "preview": "none"})
    stream, series = reconstruct_stream(order(three_slices), SCAN, settings), []
    with pytest.raises(BackendError, match="1 of 3 slices failed: slice 1: SVD did not converge"):
        series.extend(stream)
    assert [each.counters.slice for each in series] == [0, 2]


def test_a_slice_without_any_preview_is_told_where_previews_are_all_there_is(three_slices):
    silenced = (replace(r, data=0 * r.data) if r.counters.slice == 1 else r for r in three_slices)
    stream, series = reconstruct_stream(silenced, SCAN, load_config({"method": "gridding"})), []
    with pytest.raises(DataError, match=r"1 of 3 slices failed: slice 1: .*no signal"):
        series.extend(stream)
    assert [each.counters.slice for each in series] == [0, 2] * FRAMES
