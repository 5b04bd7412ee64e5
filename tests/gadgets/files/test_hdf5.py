"""Files that lead elsewhere, and tables that are stored in another way."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from python_recon.errors import DataError


@pytest.fixture
def path(scan_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(scan_path, tmp_path / "copy.h5"))


def _external_header(file: h5py.File, other: Path) -> None:
    del file["dataset/xml"]
    file["dataset/xml"] = h5py.ExternalLink(str(other), "dataset/xml")


def _external_group(file: h5py.File, other: Path) -> None:
    del file["dataset"]
    file["dataset"] = h5py.ExternalLink(str(other), "dataset")


def _external_storage(file: h5py.File, other: Path) -> None:
    del file["dataset/xml"]
    file["dataset"].create_dataset("xml", (64,), np.uint8, external=[(str(other), 0, 64)])


def _virtual(file: h5py.File, other: Path) -> None:
    del file["dataset/xml"]
    layout = h5py.VirtualLayout((1,), h5py.string_dtype())
    layout[:] = h5py.VirtualSource(str(other), "dataset/xml", (1,))
    file["dataset"].create_virtual_dataset("xml", layout)


def _soft_link(file: h5py.File, other: Path) -> None:
    file.move("dataset/data", "elsewhere")
    file["dataset/data"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize(
    "lead_away", [_external_header, _external_group, _external_storage, _virtual, _soft_link]
)
def test_nothing_leads_out_of_a_file(path, tmp_path, scan_path, lead_away):
    secret = Path(shutil.copy(scan_path, tmp_path / "secret.h5"))
    with h5py.File(path, "a") as file:
        lead_away(file, secret)
    with pytest.raises(DataError, match=r"is a link|in another file") as caught:
        ScanFile(path)
    assert "ismrmrdHeader" not in str(caught.value)


def _replace_table(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "a") as file:
        del file["dataset/data"]
        file["dataset/data"] = rows


def _rows(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["dataset/data"][()]


def test_a_number_that_does_not_fit_is_told(path):
    rows = _rows(path)
    head = [
        (n, "<i8") if n == "number_of_samples" else (n, rows.dtype["head"][n])
        for n in rows.dtype["head"].names
    ]
    kind = np.dtype([("head", head), ("traj", rows.dtype["traj"]), ("data", rows.dtype["data"])])
    wide = rows.astype(kind)
    wide["head"]["number_of_samples"][3] = 70_000
    _replace_table(path, wide)
    with ScanFile(path) as scan, pytest.raises(DataError, match=r"number_of_samples.* such as 70000"):
        list(scan.items())


def test_headers_that_lack_a_field_are_refused(path):
    rows = _rows(path)
    names = [n for n in rows.dtype["head"].names if n != "scan_counter"]
    kind = np.dtype(
        [
            ("head", [(n, rows.dtype["head"][n]) for n in names]),
            ("traj", rows.dtype["traj"]),
            ("data", rows.dtype["data"]),
        ]
    )
    short = np.empty(rows.shape, kind)
    for name in names:
        short["head"][name] = rows["head"][name]
    short["traj"], short["data"] = rows["traj"], rows["data"]
    _replace_table(path, short)
    with pytest.raises(DataError, match="lack scan_counter"):
        ScanFile(path)


def test_samples_that_are_no_numbers_are_told(path):
    with h5py.File(path, "a") as file:
        head = file["dataset/data"].dtype["head"]
        rows = np.zeros(2, np.dtype([("head", head), ("traj", "<f4", (2,)), ("data", "S3", (4,))]))
        del file["dataset/data"]
        file["dataset/data"] = rows
    with ScanFile(path) as scan, pytest.raises(DataError, match="expected numbers"):
        list(scan.items())


def test_a_scan_without_one_good_readout_is_an_error(path):
    with h5py.File(path, "a") as file:
        rows = file["dataset/data"][()]
        rows["head"]["active_channels"] += 1
        file["dataset/data"][...] = rows
    with (
        ScanFile(path) as scan,
        pytest.raises(DataError, match=r"no readout that can be read.*its header says"),
    ):
        list(scan.items())


@pytest.mark.parametrize("places", [[5, 3, 4], [1]])
def test_damaged_places_of_waveforms_fall_back_to_time(path, places, caplog):
    with h5py.File(path, "a") as file:
        file["dataset/waveform_places"] = np.array(places)
    with ScanFile(path) as scan:
        assert len(list(scan.items())) == scan.n_items
    assert "places of the waveforms are damaged" in caplog.text


def test_a_recorded_stream_is_told_from_other_files(tmp_path):
    path = tmp_path / "scan.mrd"
    path.write_bytes(b"\x03\x00\x10\x00\x00\x00<ismrmrdHeader/>")
    with pytest.raises(DataError, match=r"replay -f .* reads it"):
        ScanFile(path)
