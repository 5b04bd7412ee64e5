"""NIfTI: one file a kind of output, with axes x, y, slice, time."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from python_recon.data import ImageSeries
from python_recon.errors import ConfigError
from python_recon.outputs.grey import window_of
from python_recon.outputs.pixels import Coding, finite_magnitude
from python_recon.outputs.placement import Placement
from python_recon.outputs.series import by_kind, file_stems, frame_interval_s, join_series
from python_recon.resources.new_files import new_file, require_free

_ENDINGS = (".nii.gz", ".nii")
_TOLERANCE = 1e-4
"""Difference of a direction's component that is none."""
_TOLERANCE_MM = 0.01
"""Deviation of a slice from its place in an even stack that is none."""
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's patient coordinates (left, posterior, superior) to NIfTI's."""

_log = logging.getLogger(__name__)


def require_name(path: Path, overwrite: bool) -> None:
    """Raise ConfigError where the name is none of a NIfTI file, or taken."""
    if not path.name.endswith(_ENDINGS):
        raise ConfigError(f"--nifti {path}: expected a name that ends in {' or '.join(_ENDINGS)}")
    require_free(path, overwrite=overwrite)


def write_nifti(series: Sequence[ImageSeries], path: Path) -> list[Path]:
    """Write the images of the method to ``path`` and those of other series beside it, under their own names.

    Parallel slices at equal distances become one volume, in the order of their positions. Others become files
    of their own, and a line in the log. Whole numbers are kept as uint16, other magnitudes are float32,
    complex images stay complex64. Position and orientation are those of the scan (qform and sform, scanner
    coordinates); the fourth step is the time between frames in seconds, 0 where it is not known. The
    window is that of pictures.

    Parameters
    ----------
    series
        Whole series or pieces of them, in any order.

    Returns
    -------
    The files, that of the method first.

    Raises
    ------
    DataError
        Where the position of the images is not known; nothing is written then.
    """
    kinds = by_kind(join_series(series))
    stacks = [stack for kind in reversed(kinds) for stack in _stacks(kind)]
    images = [_image(stack) for stack in stacks]
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path, *_beside(path, stacks[1:])]
    for image, place in zip(images, paths, strict=True):
        content = image.to_bytes()
        with new_file(place) as part:
            part.write_bytes(gzip.compress(content, mtime=0) if place.suffix == ".gz" else content)
    return paths


def _beside(path: Path, stacks: Sequence[Sequence[ImageSeries]]) -> list[Path]:
    """Names of the other files, by their first slice: NAME_series_1_gridding_slice_0 and the like."""
    ending = next(ending for ending in _ENDINGS if path.name.endswith(ending))
    name = path.name.removesuffix(ending)
    return [path.with_name(f"{name}_{stem}{ending}") for stem in file_stems([stack[0] for stack in stacks])]


def _stacks(kind: Sequence[ImageSeries]) -> Iterator[list[ImageSeries]]:
    """The slices of each contrast and set, together where they make an even stack, else one by one."""
    groups: dict[tuple[int, int], list[ImageSeries]] = {}
    for each in kind:
        groups.setdefault((each.counters.contrast, each.counters.set), []).append(each)
    for group in groups.values():
        ordered = sorted(group, key=lambda each: Placement.of(each).location_mm)
        if reason := _why_no_stack(ordered):
            _log.warning("NIfTI: %d slices are written to files of their own: %s", len(group), reason)
            yield from ([each] for each in ordered)
        else:
            yield ordered


def _why_no_stack(slices: Sequence[ImageSeries]) -> str:
    """What keeps slices, sorted by position, from being one volume; empty where nothing does."""
    if len(slices) == 1:
        return ""
    if len({each.n_frames for each in slices}) > 1:
        return "they have different numbers of frames"
    places = [Placement.of(each) for each in slices]
    planes = np.array([(*place.x_dir, *place.y_dir) for place in places])
    if np.abs(planes - planes[0]).max() > _TOLERANCE:
        return "they are not parallel"
    steps = np.diff([place.first_voxel_mm for place in places], axis=0)
    step = steps.mean(axis=0)
    if np.linalg.norm(step) < _TOLERANCE_MM:
        return "they lie in the same place"
    if np.abs(steps - step).max() > _TOLERANCE_MM:
        return "they are not equally far from one another"
    if np.abs(np.cross(step, places[0].normal)).max() > _TOLERANCE_MM:
        return "they are shifted against one another"
    return ""


def _image(stack: Sequence[ImageSeries]) -> Any:
    """The volume over time of parallel slices, sorted by position."""
    from nibabel import Nifti1Image

    volume = np.stack([_values(each, stack) for each in stack])  # slice, frame, y, x
    affine = _RAS @ _affine([Placement.of(each) for each in stack])
    image = Nifti1Image(volume.transpose(3, 2, 0, 1), affine)
    image.set_qform(affine, "scanner")
    image.set_sform(affine, "scanner")
    image.header.set_xyzt_units("mm", "sec")
    window = window_of(volume)
    image.header["cal_min"], image.header["cal_max"] = window.low, window.high
    image.header["pixdim"][4] = frame_interval_s(stack[0]) or 0.0
    version = stack[0].details.get("plugin_version", "")
    image.header["descrip"] = f"{stack[0].method} gadgetron-pisco {version}".strip()[:79].encode()
    return image


def _affine(places: Sequence[Placement]) -> np.ndarray:
    """(4, 4) from voxel indices x, y, slice to patient coordinates (LPS, mm)."""
    first = places[0]
    step = (first.thickness_mm or 1.0) * first.normal
    if len(places) > 1:
        step = (places[-1].first_voxel_mm - first.first_voxel_mm) / (len(places) - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = first.spacing_mm[0] * first.x_dir, first.spacing_mm[1] * first.y_dir
    affine[:3, 2], affine[:3, 3] = step, first.first_voxel_mm
    return affine


def _values(series: ImageSeries, stack: Sequence[ImageSeries]) -> np.ndarray:
    """Complex where the images are, else the magnitude: uint16 where it is whole numbers."""
    if any(np.iscomplex(each.images).any() for each in stack):
        return series.images.astype(np.complex64)
    coding = Coding.of(stack)
    return coding.encode(series.images) if coding.unit == 1 else finite_magnitude(series.images)
