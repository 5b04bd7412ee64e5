"""Scans of objects from files: NumPy, NIfTI, DICOM."""

from __future__ import annotations

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest

from gadgets.simulation.object_files import read_object
from gadgets.simulation.objects import phantoms_of
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.plan import plan_readouts
from gadgets.simulation.scan import simulate
from python_recon.errors import ConfigError, DataError
from tests.gadgets.simulation.dicom_files import write_dicom

SMALL = {"matrix": 16, "coils": 2, "frames": 3, "spokes_per_frame": 4}


def pictures(*shape):
    """Asymmetric values, never zero."""
    return np.random.default_rng(0).uniform(1, 2, shape)


def series(path):
    """(frame, y, x) of the one slice of a file."""
    found = read_object(path)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5), (2, 3, 6, 5)])
def test_a_numpy_file_holds_an_image_a_series_or_slices(tmp_path, shape):
    images = pictures(*shape)
    np.save(tmp_path / "object.npy", images)
    np.savez(tmp_path / "one.npz", anything=images)
    np.savez(tmp_path / "several.npz", times=np.arange(3), images=images)
    for name in ("object.npy", "one.npz", "several.npz"):
        found = read_object(tmp_path / name)
        assert found.ndim == 4
        np.testing.assert_array_equal(found.reshape(shape), images)


def test_a_complex_object_keeps_its_phase(tmp_path):
    np.save(tmp_path / "object.npy", pictures(6, 5) * 1j)
    assert series(tmp_path / "object.npy").imag.min() >= 1


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ARS"])
def test_nifti_is_turned_to_the_patients_axes(tmp_path, codes):
    """The same anatomy, however the file stores it."""
    image = nibabel.Nifti1Image(pictures(5, 6, 2, 3), np.eye(4))
    orientation = nibabel.orientations.axcodes2ornt(codes)
    stored = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), orientation)
    )
    assert nibabel.aff2axcodes(stored.affine) == tuple(codes)
    nibabel.save(stored, tmp_path / "object.nii.gz")
    found = read_object(tmp_path / "object.nii.gz")
    assert found.shape == (2, 3, 6, 5)
    right, front = found[1, 2, -1, 0], found[1, 2, 0, -1]  # back right, front left
    data = pictures(5, 6, 2, 3)
    assert (right, front) == (data[-1, 0, 1, 2], data[0, -1, 1, 2])


def test_a_folder_of_dicom_is_sorted_by_place_and_time(tmp_path):
    images = np.arange(2 * 3 * 6 * 5).reshape(2, 3, 6, 5)
    for name, (place, frame) in enumerate([(1, 2), (0, 1), (1, 0), (0, 2), (0, 0), (1, 1)]):
        write_dicom(
            tmp_path / f"{name}.dcm", images[place, frame], place_mm=8.0 * place, trigger_ms=40.0 * frame
        )
    (tmp_path / "README.txt").write_text("no image")
    np.testing.assert_array_equal(read_object(tmp_path), images)
    np.testing.assert_array_equal(series(tmp_path / "4.dcm"), images[:1, 0])


def test_dicom_values_are_rescaled(tmp_path):
    write_dicom(tmp_path / "one.dcm", np.ones((4, 4)), slope=2.5, intercept=-1.0)
    np.testing.assert_array_equal(series(tmp_path), np.full((1, 4, 4), 1.5))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("object.npy", lambda path: np.save(path, np.ones(5)), r"expected \(y, x\), \(frame, y, x\)"),
        ("object.npy", lambda path: np.save(path, np.ones((0, 5, 5))), "2 x 2 pixels or more"),
        ("object.npy", lambda path: np.save(path, np.array([["a", "b"]] * 2)), "expected numbers"),
        ("object.npy", lambda path: np.save(path, np.full((4, 4), np.nan)), "16 values .* replace them"),
        ("object.npy", lambda path: path.write_bytes(b"no array"), "cannot be read as a NumPy file"),
        ("object.npy", lambda path: np.save(path, np.array([[{}]]), allow_pickle=True), "cannot be read"),
        ("object.npz", lambda path: np.savez(path, a=np.ones(2), b=np.ones(2)), "a, b; name the one"),
        ("object.nii", lambda path: path.write_bytes(b"no image"), "cannot be read as NIfTI"),
        ("folder", lambda path: path.mkdir(), "no DICOM images .0 files were tried"),
        ("object.jpg", lambda path: path.write_bytes(b"\0" * 500), "no DICOM images .1 files were tried"),
        ("nothing.npy", lambda path: None, "there is no .*: give a NumPy file"),
    ],
)
def test_what_is_no_object_is_refused_with_the_cure(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read_object(tmp_path / name)


def test_dicom_that_is_not_one_series_is_refused(tmp_path):
    for number, (place, size) in enumerate([(0, 4), (0, 4), (1, 4)]):
        write_dicom(tmp_path / f"{number}.dcm", np.ones((size, size)), place_mm=place)
    with pytest.raises(DataError, match=r"slices with \[1, 2\] images: keep one series"):
        read_object(tmp_path)
    write_dicom(tmp_path / "other.dcm", np.ones((6, 4)))
    with pytest.raises(DataError, match="keep one series in the folder"):
        read_object(tmp_path)


def scanned(tmp_path, images, **changes):
    np.save(tmp_path / "object.npy", images)
    options = SimulateOptions(**{**SMALL, "object": tmp_path / "object.npy", **changes})
    return options, simulate(tmp_path / "scan.h5", options, overwrite=True)


def test_a_still_image_is_scanned_with_its_truth(tmp_path):
    options, truth = scanned(tmp_path, pictures(20, 24), contraction=0.4, repetition_time=30.0)
    with h5py.File(truth) as file:
        images, r_waves = file["images"][0], file["r_waves_s"][()]
    (phantom,) = phantoms_of(options, plan_readouts(options))
    reference = phantom.reference(plan_readouts(options).frame_times_s()[0], (16, 16))
    correlation = np.corrcoef(np.abs(images).ravel(), np.abs(reference).ravel())[0, 1]
    assert correlation > 0.97  # but for the shading of whitened coils
    assert np.ptp(np.abs(images), axis=0).max() > 0.05
    assert len(r_waves) >= 2


def test_a_series_spans_the_scan_and_brings_no_heartbeat(tmp_path):
    images = np.stack([pictures(20, 20), 3 * pictures(20, 20)])
    options, _ = scanned(tmp_path, images, noise=0.0)
    spokes = plan_readouts(options)
    (phantom,) = phantoms_of(options, spokes)
    first, last = np.abs(phantom.image(spokes.times_s[[0, -1]], (16, 16)))
    np.testing.assert_allclose(last, 3 * first, rtol=1e-4)
    dataset = ismrmrd.Dataset(str(tmp_path / "scan.h5"), "dataset", create_if_needed=False)
    try:
        stamps = {dataset.read_acquisition(i).physiology_time_stamp[0] for i in range(12)}
    finally:
        dataset.close()
    assert stamps == {0}


def test_the_interval_of_a_series_is_as_asked(tmp_path):
    options, _ = scanned(tmp_path, pictures(4, 20, 20), object_interval=12.0)
    (phantom,) = phantoms_of(options, plan_readouts(options))
    assert phantom.interval_s == pytest.approx(0.012)


def test_slices_are_those_around_the_middle(tmp_path):
    images = np.arange(1, 6).reshape(5, 1, 1, 1) * pictures(1, 1, 8, 8)
    options, _ = scanned(tmp_path, images, slices=3)
    found = [phantom.images for phantom in phantoms_of(options, plan_readouts(options))]
    np.testing.assert_array_equal(found, images[1:4])


def test_the_grid_is_twice_the_matrix_and_no_coarser_than_the_pixels(tmp_path):
    for side, grid in ((10, 32), (100, 118)):
        options, _ = scanned(tmp_path, pictures(side, 8))
        assert phantoms_of(options, plan_readouts(options))[0].grid_size == grid


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((8, 8), {"texture": 0.1}, "an object has its own: leave one of both out"),
        ((2, 1, 8, 8), {"slices": 3}, "has 2 slices, 3 are asked for: ask for fewer"),
        ((2, 8, 8), {"cardiac_signal": "ecg"}, "heartbeats and breath are not known"),
        ((2, 8, 8), {"respiratory_signal": True}, "heartbeats and breath are not known"),
    ],
)
def test_options_that_exclude_each_other_are_told(tmp_path, shape, changes, message):
    with pytest.raises(ConfigError, match=message):
        scanned(tmp_path, pictures(*shape), **changes)
    assert not (tmp_path / "scan.h5").exists()


def test_an_interval_without_an_object_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="needs an object"):
        simulate(tmp_path / "scan.h5", SimulateOptions(**SMALL, object_interval=5.0))


def test_texture_reaches_the_scan_and_its_truth(tmp_path):
    images = []
    for texture in (0.0, 0.2):
        options = SimulateOptions(**{**SMALL, "matrix": 48}, texture=texture)
        with h5py.File(simulate(tmp_path / "scan.h5", options, overwrite=True)) as file:
            images.append(file["images"][0])
    assert np.linalg.norm(images[1] - images[0]) > 0.02 * np.linalg.norm(images[0])
