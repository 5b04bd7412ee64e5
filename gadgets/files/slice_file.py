"""The slices of a scan, each as a scan of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path

import ismrmrd
import numpy as np

from gadgets.files.mrd_file import ScanFile
from gadgets.translate.flags import NOISE, NOT_IMAGING

_NO_SLICE = np.uint64(reduce(or_, NOT_IMAGING.values(), NOISE))
"""Readouts that make no slice an image."""


class SliceFile(ScanFile):
    """One slice of a measurement in a file, with the noise readouts and waveforms that belong to all."""

    def __init__(self, path: Path, group: str, number: int) -> None:
        super().__init__(path, group)
        self.number = number

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Readouts of the slice, and noise."""
        for acquisition in super().acquisitions():
            if acquisition.idx.slice == self.number or acquisition.flags & NOISE:
                yield acquisition


def slice_numbers(path: Path, group: str) -> list[int]:
    """The slices that are imaged, in ascending order; raises DataError where the file cannot be read."""
    with ScanFile(path, group) as scan:
        heads = scan.heads()
    images = (heads["flags"] & _NO_SLICE) == 0
    return [int(number) for number in np.unique(heads["idx"]["slice"][images])]
