from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.files.mrd_file import ImageFile, ScanFile
from python_recon.errors import ConfigError, DataError


def _image(
    value: float, shape: tuple[int, ...] = (5, 3), series: int = 1, dtype: type = np.float32
) -> ismrmrd.Image:
    image = ismrmrd.Image.from_array(
        np.full(shape, value, dtype),
        transpose=False,
        image_series_index=series,
        field_of_view=(30.0, 50.0, 8.0),
    )
    image.meta = {"WindowCenter": "12"}
    return image


@pytest.fixture
def copy_path(scan_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(scan_path, tmp_path / "copy.h5"))


class TestReading:
    def test_items_are_as_ismrmrd_reads_them(self, scan_path, copy_path):
        with (
            ScanFile(scan_path) as scan,
            closing(ismrmrd.Dataset(str(copy_path), create_if_needed=False)) as dataset,
        ):
            for number, acquisition in enumerate(scan.acquisitions()):
                assert acquisition == dataset.read_acquisition(number)
            assert number + 1 == scan.n_acquisitions == dataset.number_of_acquisitions()
            waveforms = [item for item in scan.items() if isinstance(item, ismrmrd.Waveform)]
            assert [item.time_stamp for item in waveforms] == [
                dataset.read_waveform(number).time_stamp for number in range(scan.n_waveforms)
            ]
            np.testing.assert_array_equal(waveforms[2].data, [[2, 3, 4, 5]])
            assert scan.n_items == scan.n_acquisitions + 3

    def test_the_file_is_not_touched(self, scan_path, copy_path):
        copy_path.chmod(0o444)
        with ScanFile(copy_path) as scan:
            list(scan.items())
        assert copy_path.read_bytes() == scan_path.read_bytes()

    def test_two_readers_at_once(self, scan_path):
        with ScanFile(scan_path) as first, ScanFile(scan_path) as second:
            assert next(first.items()) == next(second.items())

    def test_another_group(self, copy_path):
        with h5py.File(copy_path, "a") as file:
            file.move("dataset", "dataset_2")
        with ScanFile(copy_path, "dataset_2") as scan:
            assert scan.n_acquisitions == 42
        with pytest.raises(DataError, match=r"no group 'dataset'; did you mean 'dataset_2'.*-g"):
            ScanFile(copy_path)

    def test_readouts_that_contradict_their_header_are_left_out(self, copy_path):
        with h5py.File(copy_path, "a") as file:
            row = file["dataset/data"][35]
            row["data"] = row["data"][:-2]
            file["dataset/data"][35] = row
            row = file["dataset/data"][36]
            row["traj"] = row["traj"][:-1]
            file["dataset/data"][36] = row
        with ScanFile(copy_path) as scan:
            assert len(list(scan.acquisitions())) == 40
            assert len(scan.skipped) == 2
            assert scan.skipped[0].startswith(
                "readout 35 left out: it holds 126 numbers, its header says 128"
            )
            assert scan.skipped[1].startswith("readout 36 left out: its trajectory holds 63 numbers")

    def test_a_header_without_required_elements_is_mended(self, copy_path, caplog):
        with h5py.File(copy_path, "a") as file:
            xml = file["dataset/xml"][0].decode()
            start, end = xml.index("<experimentalConditions>"), xml.index("</experimentalConditions>")
            file["dataset/xml"][0] = xml[:start] + xml[end + len("</experimentalConditions>") :]
        with ScanFile(copy_path) as scan:
            assert "experimentalConditions" in caplog.text
            assert ismrmrd.xsd.CreateFromDocument(scan.header_xml).experimentalConditions is not None


def _no_hdf5(path: Path) -> None:
    path.write_text("Siemens meas.dat, so to say")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _missing(path: Path) -> None:
    path.unlink()


def _not_ismrmrd(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros(3)


def _no_header(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["dataset/xml"]


def _bad_header(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["dataset/xml"][0] = "<ismrmrdHeader"


def _no_data(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["dataset/data"]


def _zero_readouts(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["dataset/data"].resize(0, axis=0)


def _other_table(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["dataset/data"]
        file["dataset/data"] = np.zeros(4)


def _images_only(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["dataset/data"]
    with closing(ismrmrd.Dataset(str(path))) as dataset:
        dataset.append_image("image_1", _image(1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_hdf5, "not an HDF5 file; convert"),
        (_empty, "is empty"),
        (_truncated, "is truncated.*copy it again"),
        (_missing, "there is no file"),
        (_not_ismrmrd, "not an ISMRMRD file: it has no group 'dataset'"),
        (_no_header, "no XML header"),
        (_bad_header, "unreadable header"),
        (_no_data, "holds no readouts"),
        (_zero_readouts, "holds no readouts"),
        (_other_table, "no table of ISMRMRD acquisitions"),
        (_images_only, r"it holds images \(image_1\), not a scan"),
    ],
)
def test_bad_files_are_refused_with_the_cure(copy_path, spoil, message):
    spoil(copy_path)
    with pytest.raises(DataError, match=message):
        ScanFile(copy_path)


class TestWriting:
    def test_what_is_written_is_what_ismrmrd_reads(self, tmp_path):
        path = tmp_path / "images.h5"
        with ImageFile(path) as file:
            for value in (1, 2, 3):
                file.append("dataset", _image(value))
            file.append("dataset", _image(4 + 5j, series=2, dtype=np.complex64))
            file.write_header("dataset", "<ismrmrdHeader/>")
            assert not path.exists()
            file.commit()
            assert file.counts == {"dataset/image_1": 3, "dataset/image_2": 1}
            assert file.n_images == 4
        with closing(ismrmrd.Dataset(str(path), create_if_needed=False)) as dataset:
            assert dataset.number_of_images("image_1") == 3
            image = dataset.read_image("image_1", 1)
            np.testing.assert_array_equal(image.data, np.full((1, 1, 5, 3), 2.0))
            assert tuple(image.getHead().field_of_view) == (30.0, 50.0, 8.0)
            assert image.meta["WindowCenter"] == "12"
            np.testing.assert_array_equal(
                dataset.read_image("image_2", 0).data, np.full((1, 1, 5, 3), 4 + 5j)
            )
        assert [item.name for item in tmp_path.iterdir()] == ["images.h5"]

    def test_another_size_or_type_opens_another_series(self, tmp_path, caplog):
        with ImageFile(tmp_path / "images.h5") as file:
            shapes = [((5, 3), np.float32), ((6, 3), np.float32), ((6, 3), np.uint16), ((6, 3), np.float32)]
            for shape, dtype in shapes:
                file.append("g", _image(1, shape, dtype=dtype))
            assert file.counts == {"g/image_1": 1, "g/image_1_2": 2, "g/image_1_3": 1}
        assert caplog.text.count("changed size or type") == 2

    def test_nothing_is_left_of_an_interrupted_file(self, tmp_path):
        def write() -> None:
            with ImageFile(tmp_path / "images.h5") as file:
                file.append("dataset", _image(1))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write()
        assert list(tmp_path.iterdir()) == []

    def test_existing_files_are_kept(self, tmp_path):
        path = tmp_path / "images.h5"
        path.write_text("precious")
        with pytest.raises(ConfigError, match=r"exists.*--overwrite"), ImageFile(path):
            pass
        assert path.read_text() == "precious"
        with ImageFile(path, overwrite=True) as file:
            file.append("dataset", _image(1))
            assert path.read_text() == "precious"
            file.commit()
        assert h5py.is_hdf5(path)

    def test_folders_that_are_missing_are_made(self, tmp_path):
        with ImageFile(tmp_path / "new" / "folder" / "images.h5") as file:
            file.append("dataset", _image(1))
            file.commit()
        assert h5py.is_hdf5(tmp_path / "new" / "folder" / "images.h5")

    @pytest.mark.parametrize("name", ["a_file/images.h5", "."])
    def test_a_place_that_cannot_be_written(self, tmp_path, name):
        (tmp_path / "a_file").write_text("where a folder would have to be")
        with pytest.raises(ConfigError, match=r"cannot be written|is a folder"), ImageFile(tmp_path / name):
            pass
