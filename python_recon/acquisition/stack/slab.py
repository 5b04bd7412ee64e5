"""What the header says of a volume, and what it says of the slices that are made of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from python_recon.data import Counters, Geometry, Readout, Scan, Vector
from python_recon.errors import DataError

PARTITION = "kspace_encode_step_2"
_GRIDS = ("cartesian", "epi")
_ALIKE = 0.02
"""Lengths that differ by less than this share are the same."""
_log = logging.getLogger(__name__)


def is_volume(scan: Scan) -> bool:
    """Whether the header's limits announce several partitions."""
    return scan.limits.get(PARTITION, 0) > 0


def is_grid(scan: Scan) -> bool:
    """Whether a volume's lines lie on a grid: else it is a stack of stars."""
    return scan.trajectory_kind in _GRIDS


def slice_scan(scan: Scan) -> Scan:
    """The header of the slices of a volume; that of a scan of slices is returned as it is.

    The slices of a stack of stars are its partitions, transformed. Those of a Cartesian volume lie across its
    readout: their x axis is ky, their y axis is kz.
    """
    if not is_volume(scan):
        return scan
    axis = Axis.of_readout(scan) if is_grid(scan) else Axis.of_partitions(scan)
    thickness = axis.step_mm
    limits = {name: value for name, value in scan.limits.items() if name != PARTITION}
    limits["slice"] = (limits.get("slice", 0) + 1) * axis.n_kept - 1
    fov, encoded = scan.field_of_view_mm, scan.encoded_field_of_view_mm
    sliced = replace(
        scan,
        partitions=1,
        limits=limits,
        field_of_view_mm=(fov[0], fov[1], thickness),
        encoded_field_of_view_mm=(encoded[0], encoded[1], thickness),
    )
    if not is_grid(scan):
        return sliced
    across = Axis.of_partitions(scan)
    return replace(
        sliced,
        matrix=(across.n_kept, scan.matrix[0]),
        encoded_matrix=(across.n_encoded, scan.encoded_matrix[0]),
        field_of_view_mm=(fov[1], fov[2], thickness),
        encoded_field_of_view_mm=(encoded[1], encoded[2], thickness),
        limits={**limits, "kspace_encode_step_1": across.n_encoded - 1},
        centres={**scan.centres, "kspace_encode_step_1": across.n_encoded // 2},
    )


@dataclass(frozen=True)
class Axis:
    """The axis along which a volume is transformed."""

    n_encoded: int
    """Samples along it, as many as its field of view demands."""
    n_kept: int
    """Slices: without those of its oversampling."""
    step_mm: float
    """From slice to slice; 0 where it is not known."""

    @classmethod
    def of_partitions(cls, scan: Scan) -> Axis:
        n_encoded = max(scan.partitions, scan.limits[PARTITION] + 1)
        return cls._cut(n_encoded, scan.field_of_view_mm[2], scan.encoded_field_of_view_mm[2])

    @classmethod
    def of_readout(cls, scan: Scan) -> Axis:
        return cls._cut(scan.encoded_matrix[1], scan.field_of_view_mm[0], scan.encoded_field_of_view_mm[0])

    @classmethod
    def _cut(cls, n_encoded: int, fov_mm: float, encoded_mm: float) -> Axis:
        encoded_mm = encoded_mm if encoded_mm > 0 else fov_mm
        is_wide = 0 < fov_mm < (1 - _ALIKE) * encoded_mm
        n_kept = max(round(n_encoded * fov_mm / encoded_mm), 1) if is_wide else n_encoded
        return cls(n_encoded, n_kept, encoded_mm / n_encoded)

    @property
    def kept(self) -> slice:
        """The slices among all: voxel n // 2 stays at the middle."""
        first = self.n_encoded // 2 - self.n_kept // 2
        return slice(first, first + self.n_kept)

    def place(self, geometry: Geometry, direction: Vector, number: int) -> Vector:
        """Centre of a slice of the volume whose centre the geometry gives."""
        offset = (number - self.n_kept // 2) * self.step_mm * np.array(direction)
        x, y, z = (np.array(geometry.position_mm) + offset).tolist()
        return x, y, z


def centre_of(scan: Scan, counter: str, n_encoded: int) -> int:
    """The value of a counter at the centre of k-space; the middle where the header does not tell."""
    centre, highest = scan.centres.get(counter, 0), scan.limits.get(counter, 0)
    if centre == 0 and highest + 1 < n_encoded:
        _log.warning(
            "the header gives no centre of %s, and %d of %d values: their middle is taken to be the centre",
            counter,
            highest + 1,
            n_encoded,
        )
        return (highest + 1) // 2
    return centre or n_encoded // 2


def partition_of(readout: Readout, centre: int, axis: Axis) -> int:
    """Place of a readout among the encoded partitions; raises DataError where it lies beyond."""
    number = readout.counters.kspace_encode_step_2
    place = number - centre + axis.n_encoded // 2
    if not 0 <= place < axis.n_encoded:
        raise DataError(
            f"readout {readout.scan_counter} is of partition {number} (kspace_encode_step_2), beyond the "
            f"{axis.n_encoded} partitions around number {centre} that the header announces: correct its "
            "encodingLimits or matrixSize"
        )
    return place


def slice_counters(counters: Counters, n_slices: int, number: int) -> Counters:
    """Counters of a slice: slabs one after the other."""
    return replace(counters, slice=counters.slice * n_slices + number, kspace_encode_step_2=0)


def normal_of(geometry: Geometry) -> Vector:
    """Direction of rising kz: the slice direction or, where it is not filled in, that of the plane."""
    if any(geometry.slice_dir):
        return geometry.slice_dir
    x, y, z = np.cross(geometry.read_dir, geometry.phase_dir).tolist()
    return x, y, z
