"""From an ISMRMRD header to a Study."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ismrmrd.xsd import ismrmrdHeader

from python_recon.outputs.study import Study

POSITION_MARK = ("patientPosition", "unknown")
"""User parameter of headers whose ``patientPosition`` is there only because the schema demands it."""


def study_from(header: ismrmrdHeader | None) -> Study:
    """What the header says of patient, study, equipment and sequence; without a header, nothing."""
    if header is None:
        return Study()
    return Study(**_patient(header), **_study(header), **_equipment(header), **_sequence(header))


def _patient(header: ismrmrdHeader) -> dict[str, Any]:
    subject = header.subjectInformation
    return {
        "patient_name": _text(subject, "patientName"),
        "patient_id": _text(subject, "patientID"),
        "birth_date": _date(subject, "patientBirthdate"),
        "sex": _text(subject, "patientGender"),
        "weight_kg": getattr(subject, "patientWeight_kg", None),
        "height_m": getattr(subject, "patientHeight_m", None),
        "patient_position": _position(header),
        "body_part": _text(header.studyInformation, "bodyPartExamined"),
    }


def _position(header: ismrmrdHeader) -> str:
    """Empty where it is marked as unknown: the schema demands a value."""
    marks = getattr(header.userParameters, "userParameterString", ())
    if any((mark.name, mark.value) == POSITION_MARK for mark in marks):
        return ""
    return _text(header.measurementInformation, "patientPosition")


def _study(header: ismrmrdHeader) -> dict[str, Any]:
    study, measurement = header.studyInformation, header.measurementInformation
    return {
        "study_uid": _text(study, "studyInstanceUID"),
        "study_date": _date(study, "studyDate"),
        "study_time": _time(study, "studyTime"),
        "study_id": _text(study, "studyID"),
        "accession_number": _text(study, "accessionNumber"),
        "referring_physician": _text(study, "referringPhysicianName"),
        "study_description": _text(study, "studyDescription"),
        "series_date": _date(measurement, "seriesDate"),
        "series_time": _time(measurement, "seriesTime"),
        "frame_of_reference_uid": _text(measurement, "frameOfReferenceUID"),
        "protocol": _text(measurement, "protocolName"),
        "measurement_id": _text(measurement, "measurementID"),
    }


def _equipment(header: ismrmrdHeader) -> dict[str, Any]:
    system = header.acquisitionSystemInformation
    frequency_hz = getattr(header.experimentalConditions, "H1resonanceFrequency_Hz", None) or None
    return {
        "vendor": _text(system, "systemVendor"),
        "model": _text(system, "systemModel"),
        "station": _text(system, "stationName"),
        "institution": _text(system, "institutionName"),
        "device_serial_number": _text(system, "deviceSerialNumber"),
        "field_strength_t": getattr(system, "systemFieldStrength_T", None),
        "frequency_mhz": frequency_hz and frequency_hz / 1e6,
    }


def _sequence(header: ismrmrdHeader) -> dict[str, Any]:
    sequence = header.sequenceParameters
    return {
        "sequence": _text(sequence, "sequence_type") or _text(header.measurementInformation, "sequenceName"),
        "repetition_time_ms": _first(getattr(sequence, "TR", ())),
        "echo_times_ms": tuple(getattr(sequence, "TE", ())),
        "inversion_time_ms": _first(getattr(sequence, "TI", ())),
        "flip_angle_deg": _first(getattr(sequence, "flipAngle_deg", ())),
    }


def _text(section: Any, name: str) -> str:
    value = getattr(section, name, None)
    return "" if value is None else str(getattr(value, "value", value)).strip()


def _date(section: Any, name: str) -> Any:
    value = getattr(section, name, None)
    return None if value is None else value.to_date()


def _time(section: Any, name: str) -> Any:
    value = getattr(section, name, None)
    return None if value is None else value.to_time()


def _first(values: Iterable[float]) -> float | None:
    return next(iter(values), None)
