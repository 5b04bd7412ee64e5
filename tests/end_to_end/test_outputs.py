"""One replay into every format: they hold the same images, in the same place of the patient."""

from __future__ import annotations

import re
import shutil
import subprocess

import ismrmrd
import nibabel
import numpy as np
import pydicom
import pytest

DCIODVFY, DCM2NIIX = shutil.which("dciodvfy"), shutil.which("dcm2niix")
N_FRAMES, N_SLICES, MATRIX = 3, 2, 48


@pytest.fixture(scope="module")
def replayed(replay_into, new_scan, tmp_path_factory):
    """Two slices through ``radial_cg_sense``, into everything but films."""
    folder = tmp_path_factory.mktemp("outputs")
    places = ("--dicom", folder / "dicom", "--nifti", folder / "x.nii.gz", "--report", folder / "r.html")
    scan = new_scan(slices=N_SLICES)
    done = replay_into(folder / "images.h5", scan, "radial_cg_sense", *places)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(replayed):
    return replayed.output.parent


@pytest.fixture(scope="module")
def dicoms(folder):
    paths = sorted((folder / "dicom" / "series_2_cg_sense").glob("*.dcm"))
    return [pydicom.dcmread(path) for path in paths]


def voxel_places(first, x_step, y_step, shape):
    """(y, x, 3) from the first voxel and the steps between voxels."""
    y, x = np.mgrid[: shape[0], : shape[1]][..., np.newaxis]
    return first + x * x_step + y * y_step


def places_in_ismrmrd(head):
    """(y, x, 3) LPS: voxel n // 2 lies at the position."""
    x_step, y_step = (
        np.array(direction) * extent / MATRIX
        for direction, extent in zip((head.read_dir, head.phase_dir), head.field_of_view, strict=False)
    )
    first = np.array(head.position) - MATRIX // 2 * (x_step + y_step)
    return voxel_places(first, x_step, y_step, (MATRIX, MATRIX))


def places_in_dicom(image):
    across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    row_spacing, column_spacing = image.PixelSpacing
    steps = column_spacing * across, row_spacing * down
    return voxel_places(np.array(image.ImagePositionPatient, float), *steps, (image.Rows, image.Columns))


def nifti_at(volume, places):
    """Values (y, x, frame) of a NIfTI file at places in LPS, which must be centres of voxels."""
    ras = places * (-1, -1, 1)
    index = (ras - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    np.testing.assert_allclose(index, np.round(index), atol=1e-3)
    x, y, number = np.moveaxis(np.round(index).astype(int), -1, 0)
    return np.asanyarray(volume.dataobj)[x, y, number]


def test_all_formats_agree_at_every_place(replayed, folder, dicoms):
    volume = nibabel.load(folder / "x.nii.gz")
    assert volume.shape == (MATRIX, MATRIX, N_SLICES, N_FRAMES)
    heads, images = replayed.heads[2], replayed.images[2]
    for head, image in zip(heads, images, strict=True):
        values = nifti_at(volume, places_in_ismrmrd(head))
        np.testing.assert_array_equal(values[..., head.repetition], image)
    for dicom in dicoms:
        values = nifti_at(volume, places_in_dicom(dicom))
        np.testing.assert_array_equal(values[..., dicom.TemporalPositionIdentifier - 1], dicom.pixel_array)


def test_times_and_names_come_from_the_scan(replayed, folder, dicoms):
    interval_s = 21 * 3e-3  # 21 spokes of 3 ms
    assert nibabel.load(folder / "x.nii.gz").header.get_zooms()[3] == pytest.approx(interval_s, abs=2.5e-3)
    assert {image.ProtocolName for image in dicoms} == {"simulated_radial_heart"}
    assert {image.RepetitionTime for image in dicoms} == {3}
    assert all("TriggerTime" in image for image in dicoms)
    times = [image.AcquisitionTime for image in dicoms]
    assert times[::N_SLICES] == sorted(times[::N_SLICES])
    assert times[0].startswith("100000")
    assert replayed.metas[2][0]["plugin_version"] in dicoms[0].DerivationDescription


@pytest.mark.skipif(DCIODVFY is None, reason="no dciodvfy (dicom3tools) on this machine")
def test_dciodvfy_finds_no_error(folder):
    for path in (folder / "dicom").rglob("image_00002.dcm"):
        told = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True).stderr
        assert "MRImage" in told.splitlines()
        assert "Error" not in told


@pytest.mark.skipif(DCM2NIIX is None, reason="no dcm2niix on this machine")
def test_dcm2niix_finds_the_images_where_ours_are(folder, tmp_path):
    command = [DCM2NIIX, "-o", tmp_path, "-f", "theirs", "-z", "n", folder / "dicom" / "series_2_cg_sense"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "slice direction" not in told
    theirs, ours = nibabel.load(tmp_path / "theirs.nii"), nibabel.load(folder / "x.nii.gz")
    y, x, number = np.mgrid[:MATRIX, :MATRIX, :N_SLICES]
    voxels = np.stack([x, y, number, np.ones_like(x)], -1)
    for n in range(N_SLICES):
        places = (voxels[:, :, n] @ theirs.affine.T)[..., :3] * (-1, -1, 1)
        expected = np.asanyarray(theirs.dataobj)[x[..., n], y[..., n], n]
        np.testing.assert_array_equal(nifti_at(ours, places), expected)


def test_the_report_shows_maps_that_are_not_among_the_images(folder):
    page = (folder / "r.html").read_text()
    assert len(re.findall(r"<summary>nlinv, slice \d: \d coils</summary>", page)) == N_SLICES
    for text in ("cg_sense, slice 1: coil maps", "scan sent", "cg_sense, slice 0: process"):
        assert text in page
    with ismrmrd.Dataset(str(folder / "images.h5"), create_if_needed=False) as dataset:
        assert {name for name in dataset.list() if name.startswith("image_")} == {"image_1", "image_2"}


def test_coil_maps_are_images_where_they_are_asked_for(replay, scan, tmp_path):
    done = replay(scan, "radial_cg_sense", "--report", tmp_path / "r.html", **{"output.coil_maps": "true"})
    assert done.exit_code == 0, done.stderr
    (meta,) = done.metas[3]
    assert meta["DataRole"] == "CoilMaps"
    assert "nlinv, slice 0" in (tmp_path / "r.html").read_text()


def test_a_folder_that_holds_dicom_is_refused_before_the_work(folder, replay, scan):
    done = replay(scan, "radial_preview", "--dicom", folder / "dicom")
    assert "holds DICOM files already" in done.error
    assert not done.output.exists()
