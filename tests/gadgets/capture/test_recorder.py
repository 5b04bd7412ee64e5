"""What comes in is kept as it came, with the configuration that ran, and gives the same images again."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest
from defusedxml.ElementTree import fromstring

from gadgets.capture.recorder import (
    FOLDER_VARIABLE,
    NAMES_VARIABLE,
    QUOTA_VARIABLE,
    Capture,
    CaptureSettings,
    settings_from_environment,
)
from gadgets.capture.scan import configuration_text
from gadgets.files.mrd_file import ScanFile
from gadgets.replay.config_xml import parse_config
from gadgets.replay.properties import properties_of
from gadgets.wire.header import parse_header
from gadgets.wire.messages import AcquisitionBucket, Text
from gadgets.wire.prefetch import Prefetch
from gadgets.wire.wire import Wire
from python_recon.config import load_config, preset_names

NAMES = ("Doe^Jane", "PID-4711", "1980-05-17", "Dr^Who", "Mercy", "SN-9", "Clinic-7", "Secret")
IDENTIFYING = """<subjectInformation><patientName>Doe^Jane</patientName>
<patientWeight_kg>60</patientWeight_kg>
<patientID>PID-4711</patientID><patientBirthdate>1980-05-17</patientBirthdate></subjectInformation>
<studyInformation><studyDate>2025-01-02</studyDate><referringPhysicianName>Dr^Who</referringPhysicianName>
</studyInformation>"""
SYSTEM = """<acquisitionSystemInformation><systemVendor>V</systemVendor>
<relativeReceiverNoiseBandwidth>0.79</relativeReceiverNoiseBandwidth><receiverChannels>3</receiverChannels>
<institutionName>Mercy</institutionName><stationName>Clinic-7</stationName>
<deviceSerialNumber>SN-9</deviceSerialNumber></acquisitionSystemInformation>"""
PARAMETERS = """<userParameters><userParameterLong><name>spokes</name><value>34</value></userParameterLong>
<userParameterDouble><name>angle</name><value>111.246117975</value></userParameterDouble>
<userParameterString><name>sPatientComment</name><value>Secret</value></userParameterString>
<userParameterBase64><name>Protocol</name><value>U2VjcmV0</value></userParameterBase64></userParameters>"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def named_scan(blob_scan):
    """A scan whose header says whose it is."""
    for place, text in {"<meas": IDENTIFYING, "<expe": SYSTEM, "</ismrmrdHeader": PARAMETERS}.items():
        start, found, rest = blob_scan.header_xml.partition(place)
        blob_scan.header_xml = start + text + found + rest
    return blob_scan


def receive(settings, scan, config=None, is_closed=True):
    """Receive a scan over a socket with capture on; what arrived."""
    ours, theirs = socket.socketpair()

    def feed():
        with ours:
            host = Wire.from_socket(ours, 10)
            for item in scan.items:
                host.send(item)
            if is_closed:
                host.send_close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    arrived = []
    with theirs, Capture(settings) as capture, Prefetch(Wire.from_socket(theirs, 10)) as items:
        capture.attach(items, parse_header(scan.header_xml.encode()))
        if config is not None:
            capture.keep_config(config)
        try:
            arrived.extend(items)
        finally:
            feeder.join()
    return arrived


def only_file(folder):
    (path,) = folder.iterdir()
    assert path.suffix == ".h5"
    return path


def bits(item):
    traj = item.traj.tobytes() if isinstance(item, ismrmrd.Acquisition) else b""
    return type(item).__name__, bytes(item.getHead()), traj, item.data.tobytes()


# What is kept


def test_items_are_kept_in_the_order_in_which_they_came(blob_scan, folder):
    """Waveforms stay where they came, though their time stamps say otherwise."""
    data = np.arange(6, dtype=np.uint32).reshape(2, 3)
    wave = ismrmrd.Waveform.from_array(data, time_stamp=7, waveform_id=1)
    empty = ismrmrd.Acquisition.from_array(np.zeros((2, 0), np.complex64))
    blob_scan.items[3:3] = [wave, wave, Text("no scan data"), empty]
    blob_scan.items.append(wave)
    receive(CaptureSettings(folder), blob_scan)
    with ScanFile(only_file(folder)) as kept:
        found = [bits(item) for item in kept.items()]
        assert kept.skipped == []
    assert found == [bits(item) for item in blob_scan.items if not isinstance(item, Text)]


def test_other_programs_can_read_it(blob_scan, folder):
    receive(CaptureSettings(folder), blob_scan)
    dataset = ismrmrd.Dataset(str(only_file(folder)), "dataset", create_if_needed=False)
    assert dataset.number_of_acquisitions() == len(blob_scan.items)
    assert dataset.read_acquisition(5) == blob_scan.items[5]
    assert b"<measurementID>blob" in dataset.read_xml_header()
    dataset.close()


def test_buckets_are_unpacked(blob_scan, folder):
    noise, *readouts = blob_scan.items
    wave = ismrmrd.Waveform.from_array(np.zeros((2, 9), np.uint32))
    blob_scan.items = [noise, AcquisitionBucket(tuple(readouts), tuple(readouts[:2]), (wave,))]
    receive(CaptureSettings(folder), blob_scan)
    with ScanFile(only_file(folder)) as kept:
        assert [bits(item) for item in kept.items()] == [bits(item) for item in (noise, wave, *readouts)]


def test_names_are_left_out(named_scan, folder):
    receive(CaptureSettings(folder), named_scan)
    raw = only_file(folder).read_bytes()
    assert [name for name in NAMES if name.encode() in raw] == []
    header = parse_header(named_scan.header_xml.encode())
    with ScanFile(only_file(folder)) as kept:
        assert kept.header.encoding == header.encoding
        assert kept.header.measurementInformation == header.measurementInformation
        assert kept.header.acquisitionSystemInformation.relativeReceiverNoiseBandwidth == 0.79
        assert kept.header.userParameters.userParameterLong == header.userParameters.userParameterLong
        assert kept.header.userParameters.userParameterDouble == header.userParameters.userParameterDouble


def test_names_are_kept_where_they_are_asked_for(named_scan, folder):
    receive(CaptureSettings(folder, keeps_names=True), named_scan)
    with ScanFile(only_file(folder)) as kept:
        assert kept.header == parse_header(named_scan.header_xml.encode())


@pytest.mark.parametrize("preset", preset_names())
def test_a_configuration_reads_as_it_was(preset):
    settings = {"method": preset, "output.series_description": "a < b", "trajectory.angle_offset_deg": 1e-7}
    config = load_config(settings)
    (node,) = parse_config(configuration_text(config), "kept").nodes
    assert load_config(properties_of(node.configuration.encode())) == config


# Where nothing is kept


def test_without_settings_nothing_is_kept(blob_scan, folder):
    assert len(receive(None, blob_scan, load_config())) == len(blob_scan.items)
    assert not folder.exists()


@pytest.mark.parametrize("n_items", [0, 20, 69])
def test_a_stream_that_breaks_off_leaves_nothing(blob_scan, folder, caplog, n_items):
    del blob_scan.items[n_items:]
    with pytest.raises(Exception, match="without closing"):
        receive(CaptureSettings(folder), blob_scan, is_closed=False)
    assert list(folder.iterdir()) == []
    assert caplog.text.count("the capture of this scan is given up: the stream broke off") == 1


def test_a_stream_without_readouts_leaves_nothing(blob_scan, folder, caplog):
    blob_scan.items.clear()
    receive(CaptureSettings(folder), blob_scan)
    assert list(folder.iterdir()) == []
    assert "it holds no readouts" in caplog.text


# What the operator says


def test_the_environment_decides(monkeypatch, tmp_path, caplog):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert settings_from_environment() is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert settings_from_environment() == CaptureSettings(tmp_path)
    monkeypatch.setenv(QUOTA_VARIABLE, "0.5")
    monkeypatch.setenv(NAMES_VARIABLE, "1")
    assert settings_from_environment() == CaptureSettings(tmp_path, 0.5, keeps_names=True)
    for wrong in ("much", "0", "nan"):
        monkeypatch.setenv(QUOTA_VARIABLE, wrong)
        assert settings_from_environment() is None
    assert caplog.text.count("nothing is captured") == 3


# Replayed


def test_a_gadget_makes_the_same_images_of_what_it_kept(named_scan, folder, run_gadget, monkeypatch):
    properties = {
        "method": "cg_sense",
        "preview_deadline_s": 600,
        "binning.spokes_per_frame": 34,
        "threads": 1,
        "output.dtype": "float32",
    }
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    at_first = run_gadget(named_scan, **properties)
    assert "captured as" in at_first.log
    path = only_file(folder)
    monkeypatch.delenv(FOLDER_VARIABLE)
    with ScanFile(path) as kept:
        (node,) = parse_config(kept.session.config_text.decode(), "kept").nodes
        properties = {item.get("name"): item.get("value") for item in fromstring(node.configuration)}
        scan = replace(named_scan, header_xml=kept.header_xml, items=list(kept.items()))
        again = run_gadget(scan, **properties)
    assert len(at_first.items) == len(again.items) == 4
    for image, other in zip(at_first.items, again.items, strict=True):
        assert image.data.tobytes() == other.data.tobytes()


def test_the_file_is_there_though_the_reconstruction_fails(blob_scan, folder, run_gadget, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    outcome = run_gadget(blob_scan, methd="gridding")
    assert len(outcome.errors) == 1
    with h5py.File(only_file(folder)) as file:
        assert set(file["dataset"]) == {"xml", "data"}
