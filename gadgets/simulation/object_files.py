"""Objects to scan, from files: NumPy, NIfTI and DICOM, as (slice, frame, y, x)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from nibabel.filebasedimages import ImageFileError
from pydicom.errors import InvalidDicomError

from python_recon.errors import DataError

_LARGEST_SIDE, _MOST_VALUES = 4096, 1 << 30


def read_object(path: Path) -> np.ndarray:
    """The images of a file, real or complex: rows run to the patient's back, columns to the left.

    ================ ===============================================================================
    .npy, .npz       (y, x), (frame, y, x) or (slice, frame, y, x); of several arrays, ``images``
    .nii, .nii.gz    axes x, y, slice, time; turned to the patient's axes
    folder or file   DICOM: slices by their position, frames of each by trigger, time and number
    ================ ===============================================================================

    Raises
    ------
    DataError
        When there is no such file, or it cannot be read, or what it holds is no series of images.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no {path}: give a NumPy file, a NIfTI file or a folder of DICOM files")
    if path.is_file() and path.suffix in (".npy", ".npz"):
        images = _from_numpy(path)
    elif path.is_file() and path.name.endswith((".nii", ".nii.gz")):
        images = _from_nifti(path)
    else:
        images = _from_dicom(path)
    return _checked(images, path)


def _checked(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim != 4 or min(images.shape) < 1 or min(images.shape[2:]) < 2:
        raise DataError(f"{path} holds an array of {images.shape}; expected images of 2 x 2 pixels or more")
    if max(images.shape[2:]) > _LARGEST_SIDE or images.size > _MOST_VALUES:
        raise DataError(
            f"{path} holds images of {images.shape} (slice, frame, y, x); at most {_LARGEST_SIDE} pixels "
            f"a side and {_MOST_VALUES} in all can be scanned: crop it, or take fewer frames"
        )
    if images.dtype.kind not in "biufc":
        raise DataError(f"{path} holds values of type {images.dtype}; expected numbers")
    bad = int((~np.isfinite(images)).sum())
    if bad:
        raise DataError(f"{path} holds {bad} values that are not finite: replace them, for example by zeros")
    return images


def _from_numpy(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            array = found
        else:
            with found:
                array = found[_name_of(found.files, path)]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a NumPy file: {error}") from error
    if not 2 <= array.ndim <= 4:
        raise DataError(
            f"{path} holds an array of shape {array.shape}; expected (y, x), (frame, y, x) or "
            "(slice, frame, y, x)"
        )
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def _name_of(names: list[str], path: Path) -> str:
    """The array that holds the images."""
    if "images" in names:
        return "images"
    if len(names) != 1:
        raise DataError(
            f"{path} holds the arrays {', '.join(names) or 'none'}; name the one to scan 'images'"
        )
    return names[0]


def _from_nifti(path: Path) -> np.ndarray:
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        volume = np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        raise DataError(f"{path} cannot be read as NIfTI: {error}") from error
    if not 2 <= volume.ndim <= 4:
        raise DataError(f"{path} holds an array of {volume.shape}; expected axes x, y, slice, time")
    volume = volume.reshape(volume.shape + (1,) * (4 - volume.ndim))
    # Canonical axes run to the right, to the front and to the head.
    return np.ascontiguousarray(volume[::-1, ::-1].transpose(2, 3, 1, 0))


def _from_dicom(path: Path) -> np.ndarray:
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    images = [(_order(dataset), pixels) for dataset in _datasets(files) for pixels in _frames(dataset)]
    if not images:
        raise DataError(
            f"{path} holds no DICOM images ({len(files)} files were tried): give a folder with one series"
        )
    shapes = {pixels.shape for _, pixels in images}
    if len(shapes) > 1:
        raise DataError(f"{path} holds images of shapes {sorted(shapes)}: keep one series in the folder")
    places: dict[float, list[tuple[tuple[float, ...], np.ndarray]]] = {}
    for (place, *time), pixels in images:
        places.setdefault(place, []).append((tuple(time), pixels))
    counts = {len(frames) for frames in places.values()}
    if len(counts) > 1:
        raise DataError(
            f"{path} holds slices with {sorted(counts)} images: keep one series, "
            "or as many images of each slice"
        )
    by_time = [sorted(places[place], key=lambda item: item[0]) for place in sorted(places)]
    return np.stack([np.stack([pixels for _, pixels in frames]) for frames in by_time])


def _datasets(files: list[Path]) -> list[pydicom.Dataset]:
    found = []
    for file in files:
        try:
            dataset = pydicom.dcmread(file)
        except (InvalidDicomError, EOFError):
            continue
        if "PixelData" in dataset:
            found.append(dataset)
    return found


def _frames(dataset: pydicom.Dataset) -> list[np.ndarray]:
    """(y, x) images of one file, in the order of their numbers."""
    name = Path(str(dataset.filename)).name
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise DataError(f"{name} holds a colour image: give grey ones")
    try:
        pixels = np.asarray(dataset.pixel_array, np.float64)
    except (AttributeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"the pixels of {name} cannot be read: {error}") from error
    pixels = pixels * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    return list(pixels.reshape(-1, *pixels.shape[-2:]))


def _order(dataset: pydicom.Dataset) -> tuple[float, float, float, float]:
    """Position along the normal of the slice in mm, then trigger time, acquisition time and number."""
    directions = np.array(dataset.get("ImageOrientationPatient", (1, 0, 0, 0, 1, 0)), float)
    normal = np.cross(directions[:3], directions[3:])
    place = normal @ np.array(dataset.get("ImagePositionPatient", (0, 0, 0)), float)
    return (
        round(float(place), 2),
        float(dataset.get("TriggerTime", 0) or 0),
        float(dataset.get("AcquisitionTime", 0) or 0),
        float(dataset.get("InstanceNumber", 0) or 0),
    )
