"""Who was scanned, where and how: what images are to say of their origin in other formats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time


@dataclass(frozen=True)
class Study:
    """What a scan's header tells of patient, study, equipment and sequence; None or empty: not told."""

    patient_name: str = ""
    """As DICOM writes it: FAMILY^GIVEN."""
    patient_id: str = ""
    birth_date: date | None = None
    sex: str = ""
    """M, F or O."""
    weight_kg: float | None = None
    height_m: float | None = None
    patient_position: str = ""
    """HFS, FFS and so on."""
    body_part: str = ""

    study_uid: str = ""
    study_date: date | None = None
    study_time: time | None = None
    study_id: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    study_description: str = ""
    series_date: date | None = None
    series_time: time | None = None
    frame_of_reference_uid: str = ""
    protocol: str = ""
    measurement_id: str = ""

    vendor: str = ""
    model: str = ""
    station: str = ""
    institution: str = ""
    device_serial_number: str = ""
    field_strength_t: float | None = None
    frequency_mhz: float | None = None
    """Of hydrogen."""

    sequence: str = ""
    """Its name or type."""
    repetition_time_ms: float | None = None
    echo_times_ms: tuple[float, ...] = ()
    """One for each contrast."""
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """What is the same for all scans of a study, and of no other; empty: it is not told."""
        told = (self.study_id, self.accession_number, self.study_date, self.study_time)
        if any(told):
            return tuple(map(str, ("study", self.patient_id, self.device_serial_number, *told)))
        return self._of_measurement("study")

    @property
    def place_identity(self) -> tuple[str, ...]:
        """What is the same wherever positions may be compared: within a measurement, for want of more."""
        return self._of_measurement("frame of reference")

    def _of_measurement(self, kind: str) -> tuple[str, ...]:
        if not self.measurement_id:
            return ()
        times = (self.study_date, self.study_time, self.series_date, self.series_time)
        told = (self.measurement_id, self.patient_id, self.device_serial_number, self.protocol, *times)
        return tuple(map(str, (kind, *told)))
