"""What all DICOM files of a study, and all of a series, have in common."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.uid import MRImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from python_recon.data import ImageSeries
from python_recon.outputs.notice import NOTICE
from python_recon.outputs.study import Study

if TYPE_CHECKING:
    from pydicom.uid import UID

_GRADIENT_ECHOES = ("flash", "gre", "gradient", "spgr", "ffe", "ssfp", "trufi", "fisp")
_UNPAIRED = ("HEART", "CHEST", "ABDOMEN", "LIVER", "PELVIS", "PROSTATE", "HEAD", "BRAIN", "SPINE")
_LEGAL_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def study_header(study: Study, now: datetime) -> Dataset:
    """Patient, study, equipment and frame of reference.

    UIDs that the scan does not give follow from what it tells of itself, so that all reconstructions of a
    scan link; they are new where it tells nothing.
    """
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = _name(study.patient_name)
    header.PatientID = _text(study.patient_id, 64)
    header.PatientBirthDate = _date(study.birth_date)
    header.PatientSex = study.sex if study.sex in ("M", "F", "O") else ""
    header.StudyInstanceUID = _uid(study.study_uid, study.identity)
    header.StudyDate, header.StudyTime = _date(study.study_date), _time(study.study_time)
    header.StudyID = _text(study.study_id, 16)
    header.AccessionNumber = _text(study.accession_number, 16)
    header.ReferringPhysicianName = _name(study.referring_physician)
    header.FrameOfReferenceUID = _uid(study.frame_of_reference_uid, study.place_identity)
    header.PositionReferenceIndicator = ""
    header.Manufacturer = _text(study.vendor, 64)
    header.InstanceCreationDate = header.ContentDate = _date(now.date())
    header.InstanceCreationTime = header.ContentTime = _time(now.time())
    _set(header, "PatientSize", _decimal(study.height_m))
    _set(header, "PatientWeight", _decimal(study.weight_kg))
    _set(header, "StudyDescription", _text(study.study_description, 64))
    _set(header, "ManufacturerModelName", _text(study.model, 64))
    _set(header, "StationName", _text(study.station, 16))
    _set(header, "InstitutionName", _text(study.institution, 64))
    _set(header, "DeviceSerialNumber", _text(study.device_serial_number, 64))
    return header


def series_header(series: ImageSeries, study: Study) -> Dataset:
    """A new series, how it was acquired and how it was reconstructed."""
    header = Dataset()
    header.SOPClassUID = MRImageStorage
    header.Modality = "MR"
    header.SeriesInstanceUID = generate_uid(prefix=None)
    header.SeriesNumber = series.series_index
    header.SeriesDescription = _text(" ".join(filter(None, [study.protocol, series.method])), 64)
    header.PatientPosition = study.patient_position
    header.AcquisitionNumber = None
    _set(header, "SeriesDate", _date(study.series_date))
    _set(header, "SeriesTime", _time(study.series_time))
    _set(header, "AcquisitionDate", _date(study.series_date or study.study_date))
    _set(header, "ProtocolName", _text(study.protocol, 64))
    body_part = _code(study.body_part)
    _set(header, "BodyPartExamined", body_part)
    if body_part not in _UNPAIRED:
        header.Laterality = ""  # which is not known, and has to be said so
    _tell_sequence(header, study)
    _tell_derivation(header, series)
    return header


def _tell_sequence(header: Dataset, study: Study) -> None:
    is_gradient_echo = any(name in study.sequence.lower() for name in _GRADIENT_ECHOES)
    header.ScanningSequence = "GR" if is_gradient_echo else "RM"  # RM: research mode
    header.SequenceVariant = "NONE"
    header.ScanOptions = ""
    header.MRAcquisitionType = "2D"
    header.EchoTrainLength = None
    header.RepetitionTime = _decimal(study.repetition_time_ms)
    _set(header, "SequenceName", _text(study.sequence, 16))
    _set(header, "InversionTime", _decimal(study.inversion_time_ms))
    _set(header, "FlipAngle", _decimal(study.flip_angle_deg))
    _set(header, "MagneticFieldStrength", _decimal(study.field_strength_t))
    if study.frequency_mhz:
        header.ImagingFrequency, header.ImagedNucleus = _decimal(study.frequency_mhz), "1H"


def _tell_derivation(header: Dataset, series: ImageSeries) -> None:
    version = series.details.get("plugin_version")
    software = f"gadgetron-pisco {version}" if version else ""
    header.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    told = f"Reconstructed from radial k-space by {series.method}" + (f" of {software}" if software else "")
    header.DerivationDescription = _text(told, 1024)
    header.ImageComments = _text(" ".join(filter(None, [NOTICE, series.comment])), 10240)
    header.LossyImageCompression = "00"
    header.BurnedInAnnotation = "NO"
    _set(header, "SoftwareVersions", _text(software, 64))


def decimal(value: float) -> DSfloat:
    """A decimal string of at most 9 digits; the standard allows 16 characters."""
    return DSfloat(f"{float(value):.9g}")


def time_text(value: time) -> str:
    """Of a time of day, to the microsecond."""
    return value.strftime("%H%M%S.%f")


def _decimal(value: float | None) -> DSfloat | None:
    return None if value is None else decimal(value)


def _set(header: Dataset, keyword: str, value: Any) -> None:
    """Set what is known; an attribute that need not be there is not there empty."""
    if value not in (None, ""):
        setattr(header, keyword, value)


def _text(value: str, length: int) -> str:
    """Without what separates values or controls terminals."""
    return "".join(letter for letter in value.replace("\\", "/") if letter.isprintable())[:length].strip()


def _name(value: str) -> str:
    return "^".join(_text(part, 64) for part in value.replace("=", " ").split("^")[:5])


def _code(value: str) -> str:
    return re.sub(r"[^A-Z0-9_ ]+", "_", value.upper())[:16].strip()


def _date(value: date | None) -> str:
    return "" if value is None else value.strftime("%Y%m%d")


def _time(value: time | None) -> str:
    return "" if value is None else time_text(value)


def _uid(text: str, identity: tuple[str, ...]) -> UID | str:
    """The scan's identifier if it is one; else one that follows from its identity, or a new one."""
    if _LEGAL_UID.fullmatch(text) and len(text) <= 64:
        return text
    entropy = [text, *identity] if text or identity else None
    return generate_uid(prefix=None) if entropy is None else generate_uid(entropy_srcs=entropy)
