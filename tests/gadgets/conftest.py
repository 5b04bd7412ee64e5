"""A radial scan with a known image, and Gadgetron's side of the connection to a gadget in a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.wire.messages import ErrorText
from gadgets.wire.wire import Wire

ACCEPT_SECONDS = 60
MATRIX = (40, 48)
BLOB = (9.0, -6.0)
"""Where the object is, in pixels (x, y) from the isocentre."""

HEADER_XML = f"""<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<measurementInformation><measurementID>blob</measurementID><patientPosition>HFS</patientPosition>
</measurementInformation>
<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding>
<encodedSpace><matrixSize><x>{MATRIX[1]}</x><y>{MATRIX[0]}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>240</x><y>200</y><z>8</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{MATRIX[1]}</x><y>{MATRIX[0]}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>240</x><y>200</y><z>8</z></fieldOfView_mm></reconSpace>
<encodingLimits/><trajectory>goldenangle</trajectory></encoding></ismrmrdHeader>"""


@dataclass
class Scan:
    """The messages of one scan."""

    header_xml: str
    items: list = field(default_factory=list)
    peak: tuple[int, int] = (0, 0)
    """Index (y, x) of the brightest pixel."""


def blob_signal(kx, ky):
    """Analytic transform of a Gaussian of 1.5 pixels at BLOB; k in cycles per field of view."""
    u, v = kx / MATRIX[1], ky / MATRIX[0]
    shift = np.exp(-2j * np.pi * (u * BLOB[0] + v * BLOB[1]))
    return np.exp(-2 * np.pi**2 * 1.5**2 * (u**2 + v**2)) * shift


def blob_readout(number, coils=3, samples=96):
    angle = number * np.pi * (np.sqrt(5) - 1) / 2
    radius = (np.arange(samples) - samples // 2) / samples
    trajectory = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    signal = blob_signal(trajectory[:, 0] * MATRIX[1], trajectory[:, 1] * MATRIX[0])
    gains = np.exp(2j * np.pi * np.arange(coils) / coils)
    rng = np.random.default_rng(number)
    noise = rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))
    data = gains[:, None] * signal + 1e-3 * noise
    acquisition = ismrmrd.Acquisition.from_array(data.astype(np.complex64), trajectory.astype(np.float32))
    acquisition.idx.kspace_encode_step_1 = number
    acquisition.scan_counter = number + 1
    acquisition.center_sample = samples // 2
    acquisition.acquisition_time_stamp = 100 + 4 * number
    acquisition.measurement_uid = 1234
    acquisition.sample_time_us = 5.0
    acquisition.read_dir, acquisition.phase_dir, acquisition.slice_dir = (0, 1, 0), (0, 0, 1), (1, 0, 0)
    acquisition.position = (1.0, 2.0, 3.0)
    return acquisition


def noise_readout(coils=3, samples=96):
    rng = np.random.default_rng(77)
    data = rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))
    acquisition = ismrmrd.Acquisition.from_array(1e-3 * data.astype(np.complex64))
    acquisition.flags |= 1 << (ismrmrd.ACQ_IS_NOISE_MEASUREMENT - 1)
    acquisition.sample_time_us = 5.0
    return acquisition


@pytest.fixture
def blob_scan(new_blob_scan):
    """One of those of new_blob_scan."""
    return new_blob_scan()


@pytest.fixture(scope="session")
def new_blob_scan():
    """Makes scans to be changed at will."""
    return _blob_scan


def _blob_scan():
    """A noise scan and 68 golden-angle spokes (2 frames of 34) of a blob off the centre."""
    items = [noise_readout(), *(blob_readout(number) for number in range(68))]
    peak = (MATRIX[0] // 2 + int(BLOB[1]), MATRIX[1] // 2 + int(BLOB[0]))
    return Scan(HEADER_XML, items, peak)


@dataclass
class Outcome:
    """What a gadget sent, until it closed."""

    items: list
    errors: list
    after_close: bytes
    """What followed the CLOSE."""
    exit_status: int
    log: str


def converse(sock, configuration, scan):
    """Gadgetron's side: configuration, header, items and CLOSE out, while items come in."""
    wire = Wire.from_socket(sock, 60)

    def feed():
        wire.send_config_text(configuration)
        wire.send_header(scan.header_xml)
        for item in scan.items:
            wire.send(item)
        wire.send_close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    received = list(wire)
    feeder.join()
    errors = [item for item in received if isinstance(item, ErrorText)]
    items = [item for item in received if not isinstance(item, ErrorText)]
    return items, errors, sock.recv(100)


@pytest.fixture(scope="session")
def run_gadget():
    """Run a gadget as Gadgetron does, in a process of its own, over TCP."""

    def run(
        scan, module="gadgets.radial", target="reconstruct", python_path=None, variables=None, **properties
    ):
        items = "".join(f'<property name="{name}" value="{value}"/>' for name, value in properties.items())
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GADGETRON_EXTERNAL_LOG_LEVEL": "INFO"}
        environment.update(variables or {})
        if python_path is not None:
            environment["PYTHONPATH"] = str(python_path)
        with socket.create_server(("localhost", 0)) as server:
            server.settimeout(ACCEPT_SECONDS)
            command = [sys.executable, "-m", "gadgetron", str(server.getsockname()[1]), module, target]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
                connection, _ = server.accept()
                with connection:
                    talk = converse(connection, f"<configuration>{items}</configuration>", scan)
                log = process.stderr.read()
        return Outcome(*talk, process.returncode, log)

    return run


# A scan in a file and configurations, for what replays them.

N_WAVEFORMS = 3


@pytest.fixture(scope="session")
def scan_path(tmp_path_factory):
    """A file with a noise scan, two frames of five spokes and three waveforms spread over their time."""
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate(path, SimulateOptions(matrix=16, coils=2, frames=2, spokes_per_frame=5, seed=7))
    with closing(ismrmrd.Dataset(str(path), "dataset")) as dataset:
        last = dataset.read_acquisition(dataset.number_of_acquisitions() - 1)
        for number in range(N_WAVEFORMS):
            data = np.arange(4, dtype=np.uint32).reshape(1, 4) + number
            stamp = last.acquisition_time_stamp - 4 * (N_WAVEFORMS - 1 - number)
            dataset.append_waveform(ismrmrd.Waveform.from_array(data, waveform_id=1, time_stamp=stamp))
    return path


@pytest.fixture
def write_config(tmp_path, monkeypatch):
    """Writes a configuration of external nodes, by default with functions of sample_gadgets."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def write(*targets, properties="", name="chain.xml"):
        nodes = "".join(_external(target, properties) for target in targets)
        path = tmp_path / name
        path.write_text(f"<configuration><version>2</version>{_ENDS}<stream>{nodes}</stream></configuration>")
        return path

    return write


_ENDS = """
<readers>
  <reader><dll>gadgetron_core_readers</dll><classname>AcquisitionReader</classname></reader>
  <reader><dll>gadgetron_core_readers</dll><classname>WaveformReader</classname></reader>
</readers>
<writers><writer><dll>gadgetron_core_writers</dll><classname>ImageWriter</classname></writer></writers>
"""


def _external(target, properties):
    module, _, function = target.rpartition(":")
    execute = f'<execute type="python" name="{module or "sample_gadgets"}" target="{function}"/>'
    return f"<external>{execute}<configuration>{properties}</configuration></external>"


@pytest.fixture(scope="session")
def two_slices(tmp_path_factory) -> Path:
    """A scan with noise, and two slices whose spokes are interleaved."""
    path = tmp_path_factory.mktemp("two_slices") / "scan.h5"
    options = SimulateOptions(
        matrix=24, coils=2, frames=2, spokes_per_frame=13, slices=2, slice_order="interleaved", seed=5
    )
    simulate(path, options)
    return path
