from __future__ import annotations

import logging
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from python_recon.data import Geometry
from python_recon.errors import ConfigError, DataError
from python_recon.outputs.grey import window_of
from python_recon.outputs.nifti import require_name, write_nifti
from tests.outputs.places import PLANES, VOXEL, bright_voxels, place_of_voxel


def to_lps(image, voxel):
    """(3,) LPS of the voxel (x, y, slice)."""
    return (image.affine @ (*voxel, 1))[:3] * (-1, -1, 1)


@pytest.mark.parametrize("shape", [(12, 16), (13, 17)])
@pytest.mark.parametrize("plane", PLANES)
def test_a_voxel_lies_where_it_lay(plane, shape, tmp_path):
    series = bright_voxels(plane, shape, n_slices=3)
    (path,) = write_nifti(series[::-1], tmp_path / "new" / "images.nii.gz")
    image = nibabel.load(path)
    data = np.asanyarray(image.dataobj)
    assert data.shape == (shape[1], shape[0], 3, 2)
    assert data.dtype == np.uint16
    y, x = VOXEL
    assert data[x, y].tolist() == [[100, 101], [200, 201], [300, 301]]
    for number, one in enumerate(series):
        np.testing.assert_allclose(to_lps(image, (x, y, number)), place_of_voxel(one), atol=1e-4)
    assert image.header["qform_code"] == image.header["sform_code"] == 1
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)


def test_the_header_tells_spacing_units_and_origin(tmp_path):
    header = nibabel.load(write_nifti(bright_voxels("oblique"), tmp_path / "images.nii")[0]).header
    np.testing.assert_allclose(header.get_zooms(), (20, 15, 8, 0.05), rtol=1e-4)
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header["descrip"].item() == b"grasp gadgetron-pisco 1.2.3"


def test_other_series_come_beside_the_method_s(pieces, tmp_path):
    paths = write_nifti(pieces, tmp_path / "images.nii.gz")
    assert [path.name for path in paths] == ["images.nii.gz", *OTHERS]
    assert [nibabel.load(path).shape for path in paths] == [(48, 40, 1, 10)] * 3


OTHERS = ["images_series_1_gridding_slice_0.nii.gz", "images_series_1_gridding_slice_1.nii.gz"]
"""The two slices of the pieces lie in one place, which makes no stack."""


def moved(series, **changes):
    return replace(series, geometry=replace(series.geometry, **changes))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda s: replace(s, images=s.images[:1], times_s=s.times_s[:1]), "different numbers of frames"),
        (lambda s: moved(s, read_dir=(-1.0, 0.0, 0.0), phase_dir=(0.0, -1.0, 0.0)), "not parallel"),
        (lambda s: moved(s, position_mm=(12.0, -20.0, 62.0)), "not equally far"),
        (lambda s: moved(s, position_mm=(13.0, -20.0, 53.0)), "not equally far"),
    ],
)
def test_what_makes_no_stack_becomes_several_files(spoil, reason, tmp_path, caplog):
    *others, last = bright_voxels("transverse", n_slices=3)
    with caplog.at_level(logging.WARNING):
        paths = write_nifti([*others, spoil(last)], tmp_path / "images.nii")
    assert reason in caplog.text
    assert [nibabel.load(path).shape[2] for path in paths] == [1, 1, 1]
    first = nibabel.load(paths[0])
    np.testing.assert_allclose(to_lps(first, (VOXEL[1], VOXEL[0], 0)), place_of_voxel(others[0]), atol=1e-4)


def test_slices_that_are_shifted_make_no_stack(tmp_path, caplog):
    one, other = bright_voxels("transverse", n_slices=2)
    with caplog.at_level(logging.WARNING):
        assert len(write_nifti([one, moved(other, position_mm=(15.0, -20.0, 44.0))], tmp_path / "a.nii")) == 2
    assert "shifted" in caplog.text


def test_contrasts_become_files_of_their_own(tmp_path, caplog):
    (series,) = bright_voxels("oblique")
    second = replace(series, counters=replace(series.counters, contrast=1))
    paths = write_nifti([series, second], tmp_path / "images.nii")
    assert [path.name for path in paths] == ["images.nii", "images_series_2_grasp_slice_0_contrast_1.nii"]
    assert not caplog.text


def test_complex_images_stay_complex_and_others_real(tmp_path):
    (series,) = bright_voxels("oblique")
    for images, kind in ((series.images * 1j, np.complex64), (series.images * 0.3, np.float32)):
        (path,) = write_nifti([replace(series, images=images.astype(np.complex64))], tmp_path / "images.nii")
        stored = np.asanyarray(nibabel.load(path).dataobj)
        assert stored.dtype == kind
        expected = images if kind is np.complex64 else images.real
        np.testing.assert_array_equal(stored[:, :, 0].transpose(2, 1, 0), expected)


def test_unknown_times_and_thickness(tmp_path):
    (series,) = bright_voxels("oblique", times_s=None)
    flat = moved(series, field_of_view_mm=(320.0, 180.0, 0.0))
    header = nibabel.load(write_nifti([flat], tmp_path / "images.nii")[0]).header
    assert header.get_zooms()[2:] == (1.0, 0.0)


def test_names_and_places_that_are_missing_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.nii\.gz or \.nii"):
        require_name(tmp_path / "images.h5", overwrite=False)
    taken = tmp_path / "images.nii"
    taken.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        require_name(taken, overwrite=False)
    require_name(taken, overwrite=True)
    (series,) = bright_voxels("oblique")
    with pytest.raises(DataError, match="the position of the images is not known"):
        write_nifti([replace(series, geometry=Geometry())], taken)
    assert taken.read_text() == "precious"


def test_the_window_is_that_of_the_pictures(tmp_path):
    (series,) = bright_voxels("transverse")
    (path,) = write_nifti([series], tmp_path / "images.nii")
    header, window = nibabel.load(path).header, window_of(series.images)
    assert (float(header["cal_min"]), float(header["cal_max"])) == pytest.approx((window.low, window.high))
