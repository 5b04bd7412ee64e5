"""A scan that is too large for the memory is refused before its first readout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.stack.slab import slice_scan
from python_recon.config import load_config
from python_recon.errors import DataError
from python_recon.resources.memory import GB, MemoryLimits
from python_recon.stream.chain import image_matrix, reconstruct_stream
from python_recon.stream.memory_forecast import forecast
from tests.heart_stream import COILS, FRAMES, MATRIX, SCAN, SPOKES, readouts

CLINICAL = replace(
    SCAN,
    matrix=(256, 256),
    n_coils=30,
    limits={"kspace_encode_step_1": 33, "repetition": 199, "slice": 11},
)


def expected(scan=SCAN, **settings):
    config = load_config({"method": "grasp", **settings})
    return forecast(scan, config, image_matrix(scan, config))


def test_a_scan_is_what_its_header_announces():
    scan = replace(SCAN, n_coils=COILS, limits={**SCAN.limits, "slice": 2, "contrast": 1})
    found = expected(scan)
    size = found.size
    assert (size.n_frames, size.n_spokes, size.n_coils) == (FRAMES, SPOKES, COILS)
    assert (size.n_samples, size.matrix, found.n_slices) == (2 * MATRIX, (MATRIX, MATRIX), 6)
    n_bytes = sum(r.data.nbytes for r in readouts() if not r.is_noise)
    assert found.held == 6 * n_bytes


@pytest.mark.parametrize(
    ("limits", "settings", "frames"),
    [
        ({"kspace_encode_step_1": 399}, {"binning.spokes_per_frame": 20}, (20, 20)),
        ({"kspace_encode_step_1": 399}, {"binning.spokes_per_frame": 20, "binning.step": 10}, (39, 20)),
        ({"repetition": 399}, {"binning.by": "spokes", "binning.spokes_per_frame": 20}, (20, 20)),
        ({"repetition": 9}, {}, (10, 34)),
        ({"kspace_encode_step_1": 12, "repetition": 9}, {"binning.by": "repetition"}, (10, 13)),
        ({"phase": 24, "kspace_encode_step_1": 12}, {}, (25, 13)),
        ({"kspace_encode_step_1": 499}, {"binning.by": "cardiac"}, (25, 20)),
        ({}, {}, (1, 34)),
    ],
)
def test_frames_are_counted_as_they_will_be_cut(limits, settings, frames):
    size = expected(replace(SCAN, limits=limits), **settings).size
    assert (size.n_frames, size.n_spokes) == frames


def test_what_fits_is_taken(caplog):
    expected(CLINICAL).check(MemoryLimits(host=40 * GB))
    assert not caplog.records


def test_a_warning_tells_of_coils_that_will_be_left_out(caplog):
    found = expected(CLINICAL, **{"coils.virtual": 30})
    tight = found.held + found.size.preparation
    found.check(MemoryLimits(host=tight, device=2.0 * GB))
    assert "virtual coils only" in caplog.text


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            MemoryLimits(host=8 * GB),
            r"12 slices of 200 frames of 34 spokes, 30 coils.*host memory.*max_host_gb",
        ),
        (MemoryLimits(host=40 * GB, device=0.5 * GB), r"of GPU memory for grasp, and 0.5 GB are.*max_gpu_gb"),
    ],
)
def test_what_cannot_fit_is_refused_with_need_limit_and_cure(limits, told):
    with pytest.raises(DataError, match=told):
        expected(CLINICAL).check(limits)


def test_the_refusal_comes_before_the_first_readout():
    def none():
        raise AssertionError("a readout was asked for")
        yield

    config = load_config({"method": "grasp", "max_host_gb": 0.01})
    with pytest.raises(DataError, match="that the header announces"):
        next(reconstruct_stream(none(), CLINICAL, config))


def test_previews_alone_need_no_memory_for_the_scan():
    config = load_config({"method": "gridding", "max_host_gb": 0.01})
    assert len(list(reconstruct_stream(readouts(), replace(SCAN, n_coils=10_000), config))) == FRAMES


def test_a_scan_that_outgrows_its_header_is_ended_by_a_clear_error():
    many_coils = (replace(r, data=np.tile(r.data, (120, 1))) for r in readouts() if not r.is_noise)
    config = load_config({"method": "grasp", "preview": "none", "max_host_gb": 0.02})
    unannounced = replace(SCAN, limits={"repetition": FRAMES - 1}, n_coils=None)
    with pytest.raises(DataError, match=r"grown to 2. MB in . frames that wait for the method.*max_host_gb"):
        list(reconstruct_stream(many_coils, unannounced, config))


def test_a_volume_is_all_of_its_slices():
    volume = replace(
        SCAN,
        partitions=24,
        n_coils=8,
        field_of_view_mm=(300.0, 300.0, 60.0),
        encoded_field_of_view_mm=(300.0, 300.0, 60.0),
        limits={"kspace_encode_step_1": 399, "kspace_encode_step_2": 23},
    )
    found = expected(slice_scan(volume), **{"binning.spokes_per_frame": 40})
    assert (found.n_slices, found.size.n_frames, found.size.n_spokes) == (24, 10, 40)
    assert found.held == 24 * 400 * 8 * 2 * MATRIX * 8, "bytes of all samples of all partitions"
    with pytest.raises(DataError, match="24 slices of 10 frames"):
        found.check(MemoryLimits(host=0.9 * found.held))
