"""Cartesian k-space arrays, of slices or volumes, as an ISMRMRD file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ismrmrd import xsd
from ismrmrd.hdf5 import acquisition_header_dtype

from gadgets.convert.arrays import arrange, placed_heads
from gadgets.convert.protocol import Protocol, header_of
from gadgets.files.headers import limit
from gadgets.files.tables import readout_rows, write_scan
from python_recon.errors import ConfigError, DataError

AXES = ("slice", "frame", "coil", "kz", "ky", "readout")


@dataclass(frozen=True)
class Spaces:
    """Matrix (x, y) and extent in mm (x, y) of the images, and extent of what was encoded."""

    matrix: tuple[int, int]
    field_of_view_mm: tuple[float, float]
    encoded_mm: tuple[float, float]

    @classmethod
    def of(cls, data: np.ndarray, protocol: Protocol) -> Spaces:
        """Of square pixels: what is beyond the matrix along the readout is its oversampling."""
        n_lines, n_samples = data.shape[-2:]
        pixel = protocol.field_of_view_mm / protocol.matrix
        extent = protocol.field_of_view_mm, n_lines * pixel
        return cls((protocol.matrix, n_lines), extent, (n_samples * pixel, n_lines * pixel))


def arrange_grid(array: np.ndarray, axes: Sequence[str] | None) -> np.ndarray:
    """k-space with its axes in the order of AXES, complex64.

    Raises
    ------
    ConfigError
        Where the array is not complex, or the names do not fit it.
    """
    if not np.iscomplexobj(array):
        raise ConfigError(f"the k-space is of type {array.dtype}; expected complex numbers")
    return arrange(array, axes or AXES[max(0, len(AXES) - array.ndim) :], AXES, "--axes").astype(np.complex64)


def write_grid(
    path: Path, data: np.ndarray, protocol: Protocol, spaces: Spaces, *, overwrite: bool = False
) -> int:
    """Write k-space (slice, frame, coil, kz, ky, readout); returns the number of readouts.

    Its middle (n // 2 of each axis) is the centre of k-space. Lines that are zero in all coils were not
    measured, and are left out.

    Raises
    ------
    DataError
        Where all of it is zero.
    """
    if not data.any():
        raise DataError("the k-space is zero throughout: there is nothing to convert")
    slices, frames, coils, partitions, lines, samples = data.shape
    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=limit(lines), slice=limit(slices), repetition=limit(frames),
        kspace_encoding_step_2=limit(partitions) if partitions > 1 else None,
    )  # fmt: skip
    depth = protocol.slice_thickness_mm * partitions
    encoding = xsd.encodingType(
        encodedSpace=_space((samples, lines), spaces.encoded_mm, partitions, depth),
        reconSpace=_space(spaces.matrix, spaces.field_of_view_mm, partitions, depth),
        encodingLimits=limits,
        trajectory=xsd.trajectoryType("cartesian"),
    )
    return write_scan(
        path, header_of(protocol, coils, encoding), _blocks(data, protocol), overwrite=overwrite
    )


def _space(
    matrix: tuple[int, int], extent_mm: tuple[float, float], partitions: int, depth_mm: float
) -> xsd.encodingSpaceType:
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=matrix[0], y=matrix[1], z=partitions),
        fieldOfView_mm=xsd.fieldOfViewMm(x=extent_mm[0], y=extent_mm[1], z=depth_mm),
    )


def _blocks(data: np.ndarray, protocol: Protocol) -> Iterator[np.ndarray]:
    """The lines of each frame of each slice."""
    counter = 0
    for number, frame in np.ndindex(data.shape[:2]):
        kspace = data[number, frame]  # coil, kz, ky, readout
        partitions, lines = np.nonzero(kspace.any(axis=(0, 3)))
        heads = np.zeros(len(lines), acquisition_header_dtype)
        placed_heads(heads, protocol, counter, number, len(data), frame)
        counter += len(lines)
        heads["number_of_samples"], heads["center_sample"] = data.shape[-1], data.shape[-1] // 2
        heads["available_channels"] = heads["active_channels"] = data.shape[2]
        heads["idx"]["kspace_encode_step_1"], heads["idx"]["kspace_encode_step_2"] = lines, partitions
        yield readout_rows(heads, kspace[:, partitions, lines].swapaxes(0, 1))
