"""The protocol of a twix measurement as an ISMRMRD header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from gadgets.files.headers import SCHEMA_POSITION, angle_description, unknown_position
from gadgets.wire.header import header_text
from python_recon.errors import DataError

_TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral"}
"""By sKSpace.ucTrajectory."""
_BANDWIDTH_RATIO = 0.793
"""Share of a noise readout's bandwidth that the receiver's filter passes."""
_POSITIONS = {"HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"}


@dataclass(frozen=True)
class Angles:
    """Angles of the spokes, which twix files do not hold."""

    increment_deg: float | None = None
    """None: not known either; the reconstruction has to be told."""
    offset_deg: float = 0.0


@dataclass(frozen=True)
class Settings:
    """The numbers of a protocol.

    Raises
    ------
    DataError
        When one is asked for that the protocol does not hold.
    """

    header: Mapping[str, Any]
    """As twixtools reads it: ``MeasYaps``, ``Meas``, ``Dicom`` and others."""

    @property
    def dwell_time_us(self) -> float:
        return self._number("sRXSPEC", "alDwellTime", 0) * 1e-3

    @property
    def matrix(self) -> int:
        return int(self._number("sKSpace", "lBaseResolution"))

    @property
    def field_of_view_mm(self) -> tuple[float, float, float]:
        """Along the readout, across it in the slice, and the slice's thickness."""
        names = ("dReadoutFOV", "dPhaseFOV", "dThickness")
        x, y, z = (self._number("sSliceArray", "asSlice", 0, name) for name in names)
        return x, y, z

    @property
    def trajectory(self) -> str:
        kind = value_at(self.header, "MeasYaps", "sKSpace", "ucTrajectory")
        return _TRAJECTORIES.get(int(kind), "other") if isinstance(kind, int | float) else "other"

    def times_ms(self, name: str) -> list[float]:
        """``alTR`` or ``alTE``."""
        held = value_at(self.header, "MeasYaps", name)
        return [float(time) * 1e-3 for time in held if isinstance(time, int | float)] if held else []

    def _number(self, *path: str | int) -> float:
        value = value_at(self.header, "MeasYaps", *path)
        if not isinstance(value, int | float):
            name = ".".join(map(str, path))
            raise DataError(f"the protocol of the twix file holds no {name}; was the file cut or anonymised?")
        return float(value)


def value_at(header: Any, *path: str | int) -> Any:
    """What lies there in nested mappings and lists; None where there is nothing."""
    for step in path:
        try:
            header = header[step]
        except (KeyError, IndexError, TypeError):
            return None
    return header


def text_at(header: Any, *path: str | int) -> str:
    """The text that lies there; empty where there is none."""
    value = value_at(header, *path)
    return value.strip('"') if isinstance(value, str) else ""


def header_xml(
    header: Mapping[str, Any],
    limits: Mapping[str, int],
    n_coils: int,
    angles: Angles,
) -> bytes:
    """The ISMRMRD header of a measurement; names and dates of the patient stay behind."""
    position = text_at(header, "Meas", "tPatientPosition") or text_at(header, "Meas", "sPatPosition")
    frequency = value_at(header, "MeasYaps", "sTXSPEC", "asNucleusInfo", 0, "lFrequency")
    settings = Settings(header)
    result = xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            patientPosition=position if position in _POSITIONS else SCHEMA_POSITION,
            protocolName=text_at(header, "MeasYaps", "tProtocolName"),
        ),
        acquisitionSystemInformation=_system(header, n_coils),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=int(frequency or 0)),
        encoding=[_encoding(settings, limits, angles)],
        userParameters=None if position in _POSITIONS else unknown_position(),
        sequenceParameters=xsd.sequenceParametersType(
            TR=settings.times_ms("alTR"), TE=settings.times_ms("alTE")
        ),
    )
    return header_text(result).encode()


def _system(header: Mapping[str, Any], n_coils: int) -> xsd.acquisitionSystemInformationType:
    field_t = value_at(header, "Dicom", "flMagneticFieldStrength")
    return xsd.acquisitionSystemInformationType(
        systemVendor="SIEMENS",
        systemModel=text_at(header, "Dicom", "ManufacturersModelName") or None,
        systemFieldStrength_T=field_t if isinstance(field_t, float) else None,
        relativeReceiverNoiseBandwidth=_BANDWIDTH_RATIO,
        receiverChannels=n_coils,
    )


def _encoding(settings: Settings, limits: Mapping[str, int], angles: Angles) -> xsd.encodingType:
    x, y, z = settings.field_of_view_mm
    space = xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=settings.matrix, y=round(settings.matrix * y / x), z=1),
        fieldOfView_mm=xsd.fieldOfViewMm(x=x, y=y, z=z),
    )
    kind, description = settings.trajectory, None
    if angles.increment_deg is not None:
        kind = "goldenangle"
        description = angle_description(angles.increment_deg, angles.offset_deg)
    ranges = {
        name.replace("encode", "encoding"): xsd.limitType(minimum=0, maximum=top, center=(top + 1) // 2)
        for name, top in limits.items()
    }
    return xsd.encodingType(
        encodedSpace=space,
        reconSpace=space,
        encodingLimits=xsd.encodingLimitsType(**ranges),
        trajectory=xsd.trajectoryType(kind),
        trajectoryDescription=description,
    )
