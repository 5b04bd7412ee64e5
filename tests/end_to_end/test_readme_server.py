"""The README's lines for servers and pipes, against our own daemon."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.wire.wire import Wire
from tests.readme import command, shell
from tests.serving import daemon_process

TOOLS = ("ismrmrd_hdf5_to_stream", "ismrmrd_stream_to_hdf5")


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Where our daemon serves MRD clients."""
    with daemon_process(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon.port


@pytest.fixture
def folder(scan, tmp_path):
    """A folder with ``scan.h5``."""
    shutil.copy(scan, tmp_path / "scan.h5")
    return tmp_path


def send(path, wire):
    """A whole scan as a stream."""
    with ScanFile(path) as scan:
        wire.send_header(scan.header_xml)
        for item in scan.items():
            wire.send(item)
    wire.send_close()


def n_series(path):
    with h5py.File(path) as file:
        return sum(name.startswith("image_") for name in file["dataset"])


def test_a_server_runs_the_configuration_that_is_named(port, folder):
    shell(command("gadgetron-pisco replay -a ", {"9002": port}), folder)
    assert n_series(folder / "server.h5") == 2


def test_the_letters_are_those_of_gadgetrons_client(port, folder):
    ours = f"gadgetron-pisco replay -p {port} "
    shell(command("gadgetron_ismrmrd_client ", {"gadgetron_ismrmrd_client ": ours}), folder)
    assert n_series(folder / "images.h5") == 2


def test_our_part_of_the_pipe(folder):
    _, ours, _ = command("ismrmrd_hdf5_to_stream ").split(" | ")
    with Path(os.devnull).open("rb") as nothing, (folder / "stream").open("wb") as sink:
        send(folder / "scan.h5", Wire.from_files(nothing, sink, 5.0))
    shell(f"{ours} < stream > images", folder)
    with (folder / "images").open("rb") as source, (folder / "sink").open("wb") as sink:
        images = list(Wire.from_files(source, sink, 5.0))
    assert {image.image_series_index for image in images} == {1, 2}


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"{' and '.join(TOOLS)} are not installed"
)
def test_the_whole_pipe(folder):
    shell(command("ismrmrd_hdf5_to_stream "), folder)
    assert n_series(folder / "piped.h5") == 2
