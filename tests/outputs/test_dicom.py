from __future__ import annotations

import datetime
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from python_recon.data import Geometry
from python_recon.errors import ConfigError, DataError
from python_recon.outputs.dicom import require_empty, write_dicom
from python_recon.outputs.study import Study
from tests.outputs.places import PLANES, bright_voxels, place_of_voxel

DCIODVFY = shutil.which("dciodvfy")
FULL = Study(
    patient_name="Doe^Jané",
    patient_id="4711",
    birth_date=datetime.date(1980, 2, 29),
    sex="F",
    weight_kg=61.5,
    patient_position="HFS",
    body_part="HEART",
    study_uid="1.2.840.99999.1.2",
    study_date=datetime.date(2024, 5, 6),
    study_time=datetime.time(9, 58, 1),
    study_id="S1",
    series_date=datetime.date(2024, 5, 6),
    series_time=datetime.time(10, 0, 0),
    frame_of_reference_uid="1.2.840.99999.1.3",
    protocol="radial heart",
    vendor="simulation",
    model="phantom",
    station="a station with a name that is long",
    field_strength_t=1.5,
    frequency_mhz=63.87,
    sequence="Flash",
    repetition_time_ms=3.1,
    echo_times_ms=(1.5, 3.5),
    flip_angle_deg=12.0,
)


@pytest.fixture(autouse=True)
def _strictly():
    """What pydicom finds wrong with a value is an error, on writing and on reading."""
    with pydicom.config.strict_reading():
        yield


def read(paths):
    return [pydicom.dcmread(path) for path in paths]


def place_of_brightest(image):
    """(3,) LPS of the brightest pixel, as a viewer works it out (PS3.3, C.7.6.2.1.1)."""
    row, column = np.unravel_index(image.pixel_array.argmax(), image.pixel_array.shape)
    across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    row_spacing, column_spacing = image.PixelSpacing
    return np.array(image.ImagePositionPatient) + column * column_spacing * across + row * row_spacing * down


@pytest.mark.parametrize("shape", [(12, 16), (13, 17), (12, 17)])
@pytest.mark.parametrize("plane", PLANES)
def test_a_voxel_lies_where_it_lay(plane, shape, tmp_path):
    series = bright_voxels(plane, shape, n_slices=2)
    images = read(write_dicom(series, Study(), tmp_path))
    brightness = [int(image.pixel_array.max()) for image in images]
    assert brightness == [100, 200, 101, 201], "volume after volume"
    for image, one in zip(images, series * 2, strict=True):
        np.testing.assert_allclose(place_of_brightest(image), place_of_voxel(one), atol=1e-4)
        across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        normal = np.cross(across, down)
        assert image.SliceLocation == pytest.approx(normal @ one.geometry.position_mm, abs=1e-4)


def test_images_are_turned_as_radiologists_look_at_them(tmp_path):
    (first, *_) = read(write_dicom(bright_voxels("coronal"), Study(), tmp_path))
    # Rows run to the patient's left, columns to the feet.
    assert list(first.ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]
    assert (first.Rows, first.Columns) == (16, 12)
    assert list(first.PixelSpacing) == [20, 15]


def test_a_series_of_each_kind_in_one_study(pieces, tmp_path):
    paths = write_dicom(pieces, FULL, tmp_path / "new")
    names = [str(path.relative_to(tmp_path / "new")) for path in paths]
    assert names[0] == "series_1_gridding/image_00001.dcm"
    assert names[-1] == "series_2_grasp/image_00010.dcm"
    images = read(paths)
    previews, finals = images[:20], images[20:]
    assert {image.SOPClassUID for image in images} == {MRImageStorage}
    assert {image.file_meta.TransferSyntaxUID for image in images} == {ExplicitVRLittleEndian}
    assert {image.StudyInstanceUID for image in images} == {"1.2.840.99999.1.2"}
    assert {image.FrameOfReferenceUID for image in images} == {"1.2.840.99999.1.3"}
    assert len({image.SeriesInstanceUID for image in previews}) == 1
    assert {image.SeriesInstanceUID for image in finals}.isdisjoint({previews[0].SeriesInstanceUID})
    assert len({image.SOPInstanceUID for image in images}) == 30
    assert [image.InstanceNumber for image in previews] == list(range(1, 21))
    assert len({(image.WindowCenter, image.WindowWidth) for image in previews}) == 1


def test_times(tmp_path):
    beats = np.array([[0.35, 0, 0], [0.4, 0, 0]])
    series = bright_voxels("oblique", physiology_s=beats)
    first, second = read(write_dicom(series, FULL, tmp_path))
    assert (first.TemporalPositionIdentifier, second.TemporalPositionIdentifier) == (1, 2)
    assert second.NumberOfTemporalPositions == 2
    assert second.TemporalResolution == pytest.approx(50)
    assert first.AcquisitionDate == "20240506"
    assert (first.BitsStored, "RescaleSlope" in first) == (12, False)
    assert (first.AcquisitionTime, second.AcquisitionTime) == ("100000.000000", "100000.050000")
    assert [first.TriggerTime, second.TriggerTime] == pytest.approx([350, 400])
    assert (first.RepetitionTime, first.EchoTime, first.FlipAngle) == (3.1, 1.5, 12)


def test_echo_times_follow_the_contrast(tmp_path):
    (series,) = bright_voxels("oblique")
    second = replace(series, counters=replace(series.counters, contrast=1))
    images = read(write_dicom([series, second], FULL, tmp_path))
    assert [(image.EchoNumbers, image.EchoTime) for image in images[::2]] == [(1, 1.5), (2, 3.5)]


def test_what_made_the_images_is_told(tmp_path):
    (series,) = bright_voxels("oblique", comment="fell back to grasp")
    (image, *_) = read(write_dicom([series], FULL, tmp_path))
    assert list(image.ImageType[:2]) == ["DERIVED", "PRIMARY"]
    assert image.DerivationDescription.endswith("by grasp of gadgetron-pisco 1.2.3")
    assert "not for diagnosis" in image.ImageComments
    assert "fell back to grasp" in image.ImageComments
    assert image.SeriesDescription == "radial heart grasp"
    assert (image.PatientName, image.ManufacturerModelName) == ("Doe^Jané", "phantom")
    assert image.StationName == "a station with a"


def test_what_the_header_does_not_tell_is_empty_or_new(tmp_path):
    one, other = (read(write_dicom(bright_voxels("oblique"), Study(), tmp_path / name))[0] for name in "ab")
    assert (one.PatientName, one.PatientID, one.StudyDate) == ("", "", "")
    assert one.StudyInstanceUID != other.StudyInstanceUID
    assert "MagneticFieldStrength" not in one


@pytest.mark.parametrize("uid", ["1.2.03.4", "a study", "1." * 40 + "1"])
def test_an_illegal_identifier_is_replaced(uid, tmp_path):
    (image, *_) = read(write_dicom(bright_voxels("oblique"), replace(FULL, study_uid=uid), tmp_path))
    assert image.StudyInstanceUID.is_valid
    assert image.StudyInstanceUID != uid


def test_texts_that_dicom_does_not_allow_are_mended(tmp_path):
    study = replace(FULL, protocol="a\\b\n" + "c" * 80, patient_name="=" + "x" * 70, body_part="left knée!")
    (image, *_) = read(write_dicom(bright_voxels("oblique"), study, tmp_path))
    assert image.ProtocolName == "a/b" + "c" * 61
    assert image.BodyPartExamined == "LEFT KN_E_"


def test_magnitudes_that_are_no_whole_numbers_are_rescaled(tmp_path):
    (series,) = bright_voxels("oblique")
    images = (series.images * 1e-4 * np.exp(1j)).astype(np.complex64)
    first, second = read(write_dicom([replace(series, images=images)], FULL, tmp_path))
    stored = [int(image.pixel_array.max()) for image in (first, second)]
    assert (stored[1], first.BitsStored, first.HighBit) == (65535, 16, 15)
    np.testing.assert_allclose(np.array(stored) * float(first.RescaleSlope), [0.01, 0.0101], rtol=1e-5)


def test_files_of_another_scan_do_not_mix(pieces, tmp_path):
    write_dicom(pieces, FULL, tmp_path)
    with pytest.raises(ConfigError, match="holds DICOM files already"):
        require_empty(tmp_path, overwrite=False)
    require_empty(tmp_path, overwrite=True)
    foreign = tmp_path / "series_2_grasp" / "IM0001.dcm"
    foreign.write_bytes(b"of somebody else")
    paths = write_dicom(pieces[:1], FULL, tmp_path)
    assert set(tmp_path.rglob("*.dcm")) == {*paths, foreign}


def test_images_without_a_place_are_refused(tmp_path):
    (series,) = bright_voxels("oblique")
    with pytest.raises(DataError, match="the position of the images is not known"):
        write_dicom([series, replace(series, geometry=Geometry())], FULL, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(DCIODVFY is None, reason="no dciodvfy (dicom3tools) on this machine")
@pytest.mark.parametrize("body_part", ["HEART", "KNEE", ""])
@pytest.mark.parametrize("study", [FULL, Study()], ids=["full", "empty"])
@pytest.mark.parametrize("has_beats", [False, True])
def test_dciodvfy_finds_no_error(study, body_part, has_beats, tmp_path):
    beats = np.full((2, 3), 0.1) if has_beats else None
    study = replace(study, body_part=body_part)
    (path, *_) = write_dicom(bright_voxels("oblique", physiology_s=beats), study, tmp_path)
    found = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True)
    assert "MRImage" in found.stderr.splitlines()
    assert "Error" not in found.stderr
    assert found.returncode == 0


def test_all_reconstructions_of_a_scan_link(pieces, tmp_path):
    """Without UIDs of its own, a scan has the same study and frame of reference every time; others differ."""
    scan = Study(measurement_id="41_2", patient_id="7", series_date=datetime.date(2026, 3, 1))
    found = []
    for number, study in enumerate((scan, scan, replace(scan, measurement_id="42_2"), Study(), Study())):
        path = write_dicom(pieces[:1], study, tmp_path / str(number))[0]
        image = pydicom.dcmread(path)
        found.append((image.StudyInstanceUID, image.FrameOfReferenceUID))
    assert found[0] == found[1]
    assert len(set(found[0])) == 2
    assert len({uid for pair in found[1:] for uid in pair}) == 8
