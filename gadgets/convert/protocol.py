"""What arrays do not tell of the scan that they come from."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from ismrmrd import xsd
from pydantic import Field, model_validator

from gadgets.files.headers import SCHEMA_POSITION, angle_description, unknown_position
from gadgets.wire.header import header_text
from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.config import Section
from python_recon.data import Vector

_Coordinate = Annotated[float, Field(ge=-1e5, le=1e5)]
_Vector = tuple[_Coordinate, _Coordinate, _Coordinate]
Unit = Literal["auto", "cycles_per_fov", "normalised", "per_mm"]


_UNKNOWN = (0.0, 0.0, 0.0)


class Protocol(Section):
    """A scan, as far as its arrays do not hold it."""

    matrix: int = Field(ge=2, le=8192)
    """Pixels along a side of the image."""
    field_of_view_mm: float = Field(gt=0, le=10_000)
    """A side of the image."""
    slice_thickness_mm: float = Field(5.0, gt=0, le=10_000)
    """Of a slice or partition; also the distance of neighbouring ones."""
    repetition_time_ms: float | None = Field(None, gt=0, le=100_000)
    """From one readout to the next; None: not known, and frames have no times."""
    angle_increment_deg: float = Field(GOLDEN_ANGLE_DEG, ge=-3600, le=3600)
    """From one spoke to the next, where there is no trajectory."""
    angle_offset_deg: float = Field(0.0, ge=-3600, le=3600)
    """Of the first spoke, beyond 180 degrees: a spoke at 180 degrees runs towards -x."""
    center_sample: int | None = Field(None, ge=0, le=65535)
    """Sample at the centre of k-space; None: the middle."""
    position_mm: _Vector = _UNKNOWN
    """Centre of the middle of all slices (LPS)."""
    read_dir: _Vector = _UNKNOWN
    """Direction of kx and of the image's x axis (LPS); zeros: not known."""
    phase_dir: _Vector = _UNKNOWN
    """Direction of ky and of the image's y axis (LPS); zeros: not known."""
    name: str = ""

    @model_validator(mode="after")
    def _needs_both_directions(self) -> Protocol:
        if any(self.read_dir) != any(self.phase_dir):
            raise ValueError("give --read-direction and --phase-direction, or neither")
        return self

    @property
    def slice_dir(self) -> Vector:
        """Normal of the slices."""
        x, y, z = np.cross(self.read_dir, self.phase_dir).tolist()
        return x, y, z


def header_xml(
    protocol: Protocol, n_coils: int, limits: xsd.encodingLimitsType, has_trajectory: bool
) -> bytes:
    """The ISMRMRD header of a scan of arrays."""
    side, partitions = protocol.field_of_view_mm, 1
    if limits.kspace_encoding_step_2 is not None:
        partitions = limits.kspace_encoding_step_2.maximum + 1
    space = xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=protocol.matrix, y=protocol.matrix, z=partitions),
        fieldOfView_mm=xsd.fieldOfViewMm(x=side, y=side, z=partitions * protocol.slice_thickness_mm),
    )
    encoding = xsd.encodingType(
        encodedSpace=space,
        reconSpace=space,
        encodingLimits=limits,
        trajectory=xsd.trajectoryType("radial" if has_trajectory else "goldenangle"),
        trajectoryDescription=None
        if has_trajectory
        else angle_description(protocol.angle_increment_deg, protocol.angle_offset_deg),
    )
    return header_of(protocol, n_coils, encoding)


def header_of(protocol: Protocol, n_coils: int, encoding: xsd.encodingType) -> bytes:
    """The ISMRMRD header of a scan of one encoding."""
    header = xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            measurementID=protocol.name, patientPosition=SCHEMA_POSITION, protocolName=protocol.name
        ),
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(receiverChannels=n_coils),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=0),
        encoding=[encoding],
        userParameters=unknown_position(),
        sequenceParameters=None
        if protocol.repetition_time_ms is None
        else xsd.sequenceParametersType(TR=[protocol.repetition_time_ms]),
    )
    return header_text(header).encode()
