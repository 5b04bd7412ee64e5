"""DICOM: MR Image Storage, one file a frame, one series for each kind of output."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from python_recon.data import ImageSeries
from python_recon.errors import ConfigError
from python_recon.outputs.grey import window_of
from python_recon.outputs.orientation import as_on_screen
from python_recon.outputs.pixels import Coding, finite_magnitude
from python_recon.outputs.placement import Placement
from python_recon.outputs.series import by_kind, frame_interval_s, join_series
from python_recon.outputs.study import Study
from python_recon.resources.new_files import new_file

if TYPE_CHECKING:
    from pydicom import Dataset

Slice: TypeAlias = tuple[ImageSeries, Placement]

_OURS = "series_*/image_*.dcm"
_DAY_S = 86_400


def require_empty(directory: Path, overwrite: bool) -> None:
    """Raise ConfigError where the folder holds DICOM files, with which new ones would mix."""
    if not overwrite and any(directory.glob("**/*.dcm")):
        raise ConfigError(f"{directory} holds DICOM files already; choose another folder or say --overwrite")


def write_dicom(series: Sequence[ImageSeries], study: Study, directory: Path) -> list[Path]:
    """Write ``series_N_METHOD/image_NNNNN.dcm`` below a folder, in explicit VR little endian.

    Rows and columns are turned as radiologists look at them; position and orientation say where they lie.
    All files of a series share pixel code and window. Files of ours that are there already go.

    Parameters
    ----------
    series
        Whole series or pieces of them, in any order.
    study
        What the scan's header tells; patient and dates stay empty where it tells none.

    Raises
    ------
    DataError
        Where the position of the images is not known; nothing is written then.
    """
    from python_recon.outputs.dicom_header import study_header

    header = study_header(study, datetime.now().astimezone())
    kinds = [_placed(kind) for kind in by_kind(join_series(series))]
    for old in directory.glob(_OURS):
        old.unlink()
    paths: list[Path] = []
    for folder, slices in zip(_folders(kinds), kinds, strict=True):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        for image in _images(slices, header, study):
            paths.append(directory / folder / f"image_{image.InstanceNumber:05}.dcm")
            with new_file(paths[-1]) as part:
                image.save_as(part, enforce_file_format=True)
    return paths


def _placed(joined: Sequence[ImageSeries]) -> list[Slice]:
    turned = [as_on_screen(each) for each in joined]
    return [(each, Placement.of(each)) for each in turned]


def _folders(kinds: Sequence[Sequence[Slice]]) -> Iterator[str]:
    """A name for each; where the matrix changed in mid-series, they are numbered."""
    seen: Counter[str] = Counter()
    for (first, _), *_ in kinds:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"series_{first.series_index}_{first.method}")
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}_part_{seen[name]}"


def _images(slices: Sequence[Slice], header: Dataset, study: Study) -> Iterator[Dataset]:
    """The files of one series: volume after volume, as converters expect it, in each echo and set."""
    coding = Coding.of([series for series, _ in slices])
    common = _common(slices, header, study, coding)
    order = sorted(
        (series.counters.contrast, series.counters.set, frame, index)
        for index, (series, _) in enumerate(slices)
        for frame in range(series.n_frames)
    )
    for number, (*_, frame, index) in enumerate(order, 1):
        series, place = slices[index]
        pixels = coding.encode(series.images[frame])
        image = _new_file(common)
        image.InstanceNumber = number
        image.Rows, image.Columns = pixels.shape
        image.PixelData = pixels.astype("<u2").tobytes()
        _tell_place(image, place)
        _tell_time(image, series, frame, study)
        yield image


def _common(slices: Sequence[Slice], header: Dataset, study: Study, coding: Coding) -> Dataset:
    """What all images of a series share."""
    from pydicom import Dataset

    from python_recon.outputs.dicom_header import decimal, series_header

    common = Dataset()
    common.update(header)
    common.update(series_header(slices[0][0], study))
    window = window_of(np.concatenate([finite_magnitude(series.images).ravel() for series, _ in slices]))
    common.WindowCenter, common.WindowWidth = decimal(window.centre), decimal(window.width)
    if coding.unit != 1:  # the standard foresees no rescaling of MR images, so only where it is needed
        common.RescaleIntercept, common.RescaleSlope, common.RescaleType = "0", decimal(coding.unit), "US"
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    common.BitsAllocated, common.BitsStored, common.HighBit = 16, coding.bits, coding.bits - 1
    common.PixelRepresentation = 0
    common.NumberOfTemporalPositions = max(series.n_frames for series, _ in slices)
    return common


def _new_file(common: Dataset) -> Dataset:
    """A copy with an identifier of its own."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    image = Dataset()
    image.update(common)
    image.SOPInstanceUID = generate_uid(prefix=None)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _tell_place(image: Dataset, place: Placement) -> None:
    from python_recon.outputs.dicom_header import decimal

    across, down = place.spacing_mm
    image.ImagePositionPatient = [decimal(value) for value in place.first_voxel_mm]
    image.ImageOrientationPatient = [decimal(value) for value in (*place.x_dir, *place.y_dir)]
    image.PixelSpacing = [decimal(down), decimal(across)]
    image.SliceThickness = decimal(place.thickness_mm) if place.thickness_mm else None
    image.SliceLocation = decimal(place.location_mm)


def _tell_time(image: Dataset, series: ImageSeries, frame: int, study: Study) -> None:
    """Number and time of a frame, and the echo that it is of."""
    from python_recon.outputs.dicom_header import decimal, time_text

    image.TemporalPositionIdentifier = frame + 1
    if interval_s := frame_interval_s(series):
        image.TemporalResolution = decimal(1000 * interval_s)
    if series.physiology_s is not None and series.physiology_s[:, 0].any():
        image.ScanOptions = "CG"
        image.TriggerTime = decimal(1000 * series.physiology_s[frame, 0])
    if series.times_s is not None and 0 < series.times_s[frame] < _DAY_S:
        moment = datetime.min + timedelta(seconds=float(series.times_s[frame]))
        image.AcquisitionTime = time_text(moment.time())
    contrast, echoes = series.counters.contrast, study.echo_times_ms
    echo = echoes[min(contrast, len(echoes) - 1)] if echoes else None
    image.EchoNumbers, image.EchoTime = contrast + 1, None if echo is None else decimal(echo)
