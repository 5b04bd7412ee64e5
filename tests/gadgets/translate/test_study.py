"""ISMRMRD header to Study."""

from __future__ import annotations

import datetime

from gadgets.translate.study import study_from
from gadgets.wire.header import parse_header
from python_recon.outputs.study import Study

ENCODING = """<encoding>
  <encodedSpace><matrixSize><x>8</x><y>8</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>300</x><y>300</y><z>8</z></fieldOfView_mm></encodedSpace>
  <trajectory>radial</trajectory>
</encoding>"""
HEADER = f"""<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <subjectInformation><patientName>Doe^Jane</patientName><patientWeight_kg>61.5</patientWeight_kg>
    <patientID>4711</patientID><patientBirthdate>1980-02-29</patientBirthdate>
    <patientGender>F</patientGender></subjectInformation>
  <studyInformation><studyDate>2024-05-06</studyDate><studyTime>09:58:01</studyTime><studyID>S1</studyID>
    <studyInstanceUID>1.2.3</studyInstanceUID><bodyPartExamined>HEART</bodyPartExamined></studyInformation>
  <measurementInformation><measurementID>42</measurementID><patientPosition>FFS</patientPosition>
    <protocolName>radial</protocolName><sequenceName>seq</sequenceName>
    <frameOfReferenceUID>1.2.4</frameOfReferenceUID></measurementInformation>
  <acquisitionSystemInformation><systemVendor>V</systemVendor><systemModel>M</systemModel>
    <systemFieldStrength_T>2.89</systemFieldStrength_T></acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123200000</H1resonanceFrequency_Hz></experimentalConditions>
  {ENCODING}
  <sequenceParameters><TR>3.1</TR><TE>1.5</TE><TE>3.5</TE><flipAngle_deg>12</flipAngle_deg></sequenceParameters>
</ismrmrdHeader>"""


def test_all_that_the_header_tells():
    assert study_from(parse_header(HEADER.encode())) == Study(
        patient_name="Doe^Jane",
        patient_id="4711",
        birth_date=datetime.date(1980, 2, 29),
        sex="F",
        weight_kg=61.5,
        patient_position="FFS",
        body_part="HEART",
        study_uid="1.2.3",
        study_date=datetime.date(2024, 5, 6),
        study_time=datetime.time(9, 58, 1),
        study_id="S1",
        frame_of_reference_uid="1.2.4",
        protocol="radial",
        measurement_id="42",
        vendor="V",
        model="M",
        field_strength_t=2.89,
        frequency_mhz=123.2,
        sequence="seq",
        repetition_time_ms=3.1,
        echo_times_ms=(1.5, 3.5),
        flip_angle_deg=12.0,
    )


def test_a_header_that_tells_nothing():
    bare = f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{ENCODING}</ismrmrdHeader>'
    assert study_from(parse_header(bare.encode())) == Study()
    assert study_from(None) == Study()
