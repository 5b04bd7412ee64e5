"""Siemens twix files, small ones that twixtools writes."""

from __future__ import annotations

import shlex
import shutil
import struct
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from gadgets.convert.twix import directions
from gadgets.files.mrd_file import ScanFile
from tests.readme import command

pytest.importorskip("twixtools", reason="twixtools is an extra")
from twixtools import write_twix
from twixtools.mdb import Mdb_local

GOLDEN = "111.24611797498108"
QUATERNION = (np.cos(0.3), 0.0, 0.0, np.sin(0.3))
"""(w, x, y, z): a turn by 0.6 in the transverse plane."""
PROTOCOL = """### ASCCONV BEGIN ###
tProtocolName = ""{name}""
sSliceArray.asSlice[0].dReadoutFOV = 160.0
sSliceArray.asSlice[0].dPhaseFOV = 160.0
sSliceArray.asSlice[0].dThickness = 8.0
sKSpace.lBaseResolution = 32
sKSpace.ucTrajectory = 0x2
sTXSPEC.asNucleusInfo[0].lFrequency = 123251815
sRXSPEC.alDwellTime[0] = 2600
alTR[0] = 3100
alTE[0] = 1500
### ASCCONV END ###"""
MEASUREMENT = '<ParamString."tPatientPosition"> { "FFS" } <ParamString."tPatientName"> { "Doe^Jane" }'
DICOM = '<ParamDouble."flMagneticFieldStrength"> { <Precision> 6 2.893620 }'


def header(name: str) -> np.ndarray:
    """The bytes in front of a measurement: their number, the number of texts, and each text with its name."""
    texts = {"Dicom": DICOM, "Meas": MEASUREMENT, "MeasYaps": PROTOCOL.format(name=name) + "\n"}
    body = b"".join(
        key.encode() + b"\0" + struct.pack("<I", len(text)) + text.encode() for key, text in texts.items()
    )
    length = -(-(8 + len(body)) // 32) * 32
    return np.frombuffer((struct.pack("<II", length, len(texts)) + body).ljust(length, b"\0"), "S1")


def readout(data: np.ndarray, number: int, *flags: str, **counters: int) -> Mdb_local:
    """(coil, readout) samples with their header."""
    mdb = Mdb_local(data)
    mdb.mdh.MeasUID, mdb.mdh.ScanCounter, mdb.mdh.TimeStamp = 77, number + 1, 1000 + 2 * number
    mdb.mdh.PMUTimeStamp, mdb.mdh.CenterCol = 300 + number, data.shape[1] // 2
    mdb.mdh.SliceData.SlicePos.Sag, mdb.mdh.SliceData.SlicePos.Tra = 5.0, -20.0
    for index, value in enumerate(QUATERNION):
        mdb.mdh.SliceData.Quaternion[index] = value
    for name, value in counters.items():
        setattr(mdb.mdh.Counter, name, value)
    for flag in flags:
        mdb.add_flag(flag)
    return mdb


@pytest.fixture(scope="module")
def twix(blob, tmp_path_factory) -> Path:
    """A noise adjustment and a radial measurement of two frames, with a readout of phase correction."""
    generator = np.random.default_rng(8)
    noise = generator.standard_normal((4, 3, 128, 2)).view(complex)[..., 0]
    adjustment = [readout(samples, number, "NOISEADJSCAN") for number, samples in enumerate(noise)]
    frames, _, spokes, _ = blob.data.shape
    imaging = [readout(blob.data[0, :, 0], 0, "PHASCOR")]
    for number in range(frames * spokes):
        frame, spoke = divmod(number, spokes)
        flags = ["LASTSCANINMEAS"] if number + 1 == frames * spokes else []
        imaging.append(readout(blob.data[frame, :, spoke], number + 1, *flags, Lin=spoke, Rep=frame))
    path = tmp_path_factory.mktemp("twix") / "meas.dat"
    scans = [("AdjCoilSens", adjustment), ("radial_heart", imaging)]
    write_twix([{"hdr_str": header(name), "mdb": mdbs} for name, mdbs in scans], path)
    return path


@pytest.fixture
def target(twix, tmp_path, convert) -> Path:
    path = tmp_path / "scan.h5"
    result = convert(twix, path, "--angle-increment", GOLDEN)
    assert result.exit_code == 0, result.stderr
    assert "73 readouts" in result.stdout
    return path


def test_the_image_is_right(target, check_blob):
    check_blob(target)


def test_the_line_in_the_readme(twix, target, convert, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copy(twix, tmp_path / "meas.dat").parent)
    result = convert(*shlex.split(command("gadgetron-pisco convert meas.dat "))[2:])
    assert result.exit_code == 0, result.stderr
    with ScanFile(tmp_path / "meas.h5") as scan, ScanFile(target) as expected:
        assert scan.header_xml == expected.header_xml
        np.testing.assert_array_equal(scan.heads(), expected.heads())


def test_readouts_keep_counters_times_and_places(target):
    with ScanFile(target) as scan:
        heads, data = scan.heads(), next(scan.acquisitions()).data
    noise, imaging = heads[:4], heads[5:]
    assert data.shape == (3, 128)
    assert (noise["flags"] == 1 << (ismrmrd.ACQ_IS_NOISE_MEASUREMENT - 1)).all()
    assert heads["flags"][4] == 1 << (ismrmrd.ACQ_IS_PHASECORR_DATA - 1)
    assert imaging["flags"][-1] == 1 << (ismrmrd.ACQ_LAST_IN_MEASUREMENT - 1)
    assert (noise["sample_time_us"][0], imaging["sample_time_us"][0]) == (5.0, np.float32(2.6))
    assert imaging["idx"]["kspace_encode_step_1"].tolist() == [*range(34), *range(34)]
    assert imaging["idx"]["repetition"].tolist() == [0] * 34 + [1] * 34
    assert imaging["acquisition_time_stamp"][:2].tolist() == [1002, 1004]
    assert imaging["physiology_time_stamp"][0, 0] == 301
    assert imaging["position"][0].tolist() == [5, 0, -20]
    assert imaging["center_sample"][0] == 32
    np.testing.assert_allclose(imaging["phase_dir"][0], [np.cos(0.6), np.sin(0.6), 0], atol=1e-6)
    np.testing.assert_allclose(imaging["read_dir"][0], [-np.sin(0.6), np.cos(0.6), 0], atol=1e-6)
    np.testing.assert_allclose(imaging["slice_dir"][0], [0, 0, 1], atol=1e-6)


def test_the_header_tells_the_protocol_and_no_patient(target):
    with ScanFile(target) as scan:
        head, xml = scan.header, scan.header_xml
    encoding = head.encoding[0]
    assert head.measurementInformation.protocolName == "radial_heart"
    assert head.measurementInformation.patientPosition.value == "FFS"
    assert head.experimentalConditions.H1resonanceFrequency_Hz == 123251815
    assert head.acquisitionSystemInformation.systemFieldStrength_T == pytest.approx(2.89362)
    assert head.sequenceParameters.TR == [3.1]
    assert (encoding.reconSpace.matrixSize.x, encoding.reconSpace.matrixSize.y) == (32, 32)
    assert encoding.reconSpace.fieldOfView_mm.z == 8
    assert encoding.encodingLimits.kspace_encoding_step_1.maximum == 33
    assert encoding.encodingLimits.repetition.maximum == 1
    assert "Doe" not in xml


def test_without_an_increment_the_sequence_is_radial_and_its_angles_are_asked_for(twix, convert, tmp_path):
    path = tmp_path / "scan.h5"
    assert convert(twix, path).exit_code == 0
    with ScanFile(path) as scan:
        assert scan.header.encoding[0].trajectory.value == "radial"
        assert scan.header.encoding[0].trajectoryDescription is None


def test_directions_are_the_columns_of_the_rotation():
    quarter = np.sqrt(0.5)
    phase, read, normal = directions((quarter, quarter, 0, 0))
    np.testing.assert_allclose((phase, read, normal), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    np.testing.assert_array_equal(directions((0, 0, 0, 0))[2], [0, 0, 1])


def test_what_is_no_twix_file_is_one_error(convert, tmp_path):
    (tmp_path / "meas.dat").write_bytes(b"no raw data" * 100)
    for name in ("meas.dat", "none.dat"):
        result = convert(tmp_path / name, tmp_path / "scan.h5")
        assert result.exit_code == 1
        assert name in result.stderr
    assert not (tmp_path / "scan.h5").exists()


def test_what_the_file_tells_itself_is_refused(twix, convert, tmp_path):
    result = convert(twix, tmp_path / "scan.h5", "--matrix", 32)
    assert result.exit_code == 1
    assert "tells all but the angles" in result.stderr
