"""The slices of a scan, each as a scan of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ismrmrd
import numpy as np

from gadgets.mrd_file import ScanFile

_NOISE = 1 << (ismrmrd.ACQ_IS_NOISE_MEASUREMENT - 1)
_NO_SLICE = _NOISE | sum(
    1 << (flag - 1)
    for flag in (
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
        ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
        ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
        ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    )
)
"""Readouts that make no slice an image."""


class SliceFile(ScanFile):
    """One slice of a measurement in a file, with the noise readouts and waveforms that belong to all."""

    def __init__(self, path: Path, group: str, number: int) -> None:
        super().__init__(path, group)
        self.number = number

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Readouts of the slice, and noise."""
        for acquisition in super().acquisitions():
            if acquisition.idx.slice == self.number or acquisition.flags & _NOISE:
                yield acquisition


def slice_numbers(path: Path, group: str) -> list[int]:
    """The slices that are imaged, in ascending order; raises DataError where the file cannot be read."""
    with ScanFile(path, group) as scan:
        heads = scan.heads()
    images = (heads["flags"] & np.uint64(_NO_SLICE)) == 0
    return [int(number) for number in np.unique(heads["idx"]["slice"][images])]
