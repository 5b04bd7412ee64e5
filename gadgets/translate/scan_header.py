"""From an ISMRMRD header to a Scan."""

from __future__ import annotations

from typing import Any

import ismrmrd
import numpy as np

from python_recon.data import Scan, Vector
from python_recon.errors import DataError


def scan_from(header: ismrmrd.xsd.ismrmrdHeader, encoding_space: int = 0) -> Scan:
    """What the header says of one encoding space.

    Raises
    ------
    DataError
        Where there is no such encoding space, or no image matrix in it.
    """
    if not 0 <= encoding_space < len(header.encoding):
        raise DataError(
            f"the header describes {len(header.encoding)} encoding spaces, the readouts refer to number "
            f"{encoding_space}; the header must hold an <encoding> for each"
        )
    encoding = header.encoding[encoding_space]
    system, measurement = header.acquisitionSystemInformation, header.measurementInformation
    return Scan(
        matrix=_matrix(encoding.reconSpace),
        encoded_matrix=_matrix(encoding.encodedSpace),
        field_of_view_mm=_field_of_view(encoding.reconSpace),
        encoded_field_of_view_mm=_field_of_view(encoding.encodedSpace),
        partitions=encoding.encodedSpace.matrixSize.z or 1,
        trajectory_kind=str(getattr(encoding.trajectory, "value", encoding.trajectory)),
        trajectory_parameters=_numbers(encoding.trajectoryDescription),
        limits=_limits(encoding.encodingLimits, "maximum"),
        centres=_limits(encoding.encodingLimits, "center"),
        n_coils=getattr(system, "receiverChannels", None),
        noise_bandwidth_ratio=_as_sent(getattr(system, "relativeReceiverNoiseBandwidth", None) or 1.0),
        measurement_id=getattr(measurement, "measurementID", None) or "",
        protocol=getattr(measurement, "protocolName", None) or "",
        user_parameters=_numbers(header.userParameters) | _texts(header.userParameters),
    )


def _matrix(space: Any) -> tuple[int, int]:
    size = (space.matrixSize.y, space.matrixSize.x)
    if not all(isinstance(length, int) and length > 1 for length in size):
        raise DataError(f"the header gives a matrix of {size[1]} x {size[0]}; expected at least 2 x 2")
    return size


def _field_of_view(space: Any) -> Vector:
    extent = space.fieldOfView_mm
    if not all(isinstance(length, float | int) and 0 < length < 1e4 for length in (extent.x, extent.y)):
        raise DataError(f"the header gives a field of view of {extent.x} x {extent.y}; expected millimetres")
    return _as_sent(extent.x), _as_sent(extent.y), _as_sent(extent.z)


def _as_sent(number: float) -> float:
    """A number that C++ holds in 32 bits: a server that writes the header anew changes the digits beyond."""
    return float(np.float32(number))


def _limits(limits: Any, bound: str) -> dict[str, int]:
    present = {name: getattr(limits, name) for name in vars(limits)} if limits is not None else {}
    return {
        name.replace("encoding", "encode"): getattr(limit, bound) for name, limit in present.items() if limit
    }


def _numbers(parameters: Any) -> dict[str, float | str]:
    if parameters is None:
        return {}
    return {
        item.name: item.value for item in [*parameters.userParameterLong, *parameters.userParameterDouble]
    }


def _texts(parameters: Any) -> dict[str, float | str]:
    return {} if parameters is None else {item.name: item.value for item in parameters.userParameterString}
