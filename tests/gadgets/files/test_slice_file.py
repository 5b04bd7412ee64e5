"""The slices of a scan: which there are, and what belongs to each."""

from __future__ import annotations

import shutil

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.files.slice_file import SliceFile, slice_numbers
from gadgets.translate.flags import NOISE, PHASE_STABILISATION, PHASE_STABILISATION_REFERENCE, mask


@pytest.fixture
def with_flags(two_slices, tmp_path):
    """A copy of the scan whose last readout is of slice 7, with flags; its path."""

    def copy(*flags):
        path = tmp_path / "scan.h5"
        shutil.copy2(two_slices, path)
        with h5py.File(path, "r+") as file:
            row = file["dataset/data"][-1]
            row["head"]["flags"], row["head"]["idx"]["slice"] = mask(*flags), 7
            file["dataset/data"][-1] = row
        return path

    return copy


def test_a_slice_has_its_own_readouts_and_all_noise(two_slices):
    assert slice_numbers(two_slices, "dataset") == [0, 1]
    with SliceFile(two_slices, "dataset", 1) as scan:
        readouts = list(scan.acquisitions())
        n_noise = np.count_nonzero(scan.heads()["flags"] & np.uint64(NOISE))
    noise = [each for each in readouts if each.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    assert len(noise) == n_noise > 0
    assert [each.idx.slice for each in readouts[n_noise:]] == [1] * 26


def test_a_slice_of_one_readout_counts(with_flags):
    assert slice_numbers(with_flags(ismrmrd.ACQ_LAST_IN_MEASUREMENT), "dataset") == [0, 1, 7]


@pytest.mark.parametrize(
    "flag",
    [
        ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
        ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        PHASE_STABILISATION_REFERENCE,
        PHASE_STABILISATION,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
        ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    ],
)
def test_readouts_that_do_not_image_make_no_slice(with_flags, flag):
    assert slice_numbers(with_flags(flag, ismrmrd.ACQ_LAST_IN_MEASUREMENT), "dataset") == [0, 1]
