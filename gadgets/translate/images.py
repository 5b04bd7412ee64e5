"""From an ImageSeries to ISMRMRD images that scanners and viewers accept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd import constants

from gadgets.translate.clock import stamp_of
from gadgets.translate.image_numbers import ImageNumbers
from gadgets.translate.series import DETAIL_PREFIX
from gadgets.version import plugin_version
from python_recon.config import OutputConfig
from python_recon.data import COIL_MAP_SERIES, SERIES_OF_A_RUN, ImageSeries, Scan
from python_recon.errors import DataError

COIL_MAP_ROLE = "CoilMaps"
"""Attribute DataRole of coil maps."""
HEADROOM = 2.0
"""How far above the peak of the first frames later ones may rise before they are clipped."""

_MAX_UINT16 = (1 << 16) - 1
_LONGEST_LIST = 256
"""Values of a detail that still travels with every image, such as a curve of the fit."""
_log = logging.getLogger(__name__)


@dataclass
class SeriesState:
    """What holds for all images of one series of a measurement."""

    numbers: ImageNumbers = field(default_factory=ImageNumbers)
    scale: float | None = None
    """Pixel value of a unit of magnitude; None until a frame with signal has come."""
    window: tuple[int, int] | None = None
    """Centre and width, in pixel values."""
    n_clipped: int = 0
    """Voxels that exceeded the pixel type."""


@dataclass
class ImageState:
    """What the images of a measurement share."""

    measurement_uid: int = 0
    series: dict[int, SeriesState] = field(default_factory=dict)

    def log_clipping(self) -> None:
        for index, state in self.series.items():
            if state.n_clipped:
                _log.warning(
                    "%d voxels of series %d were clipped: they exceed %g times the peak of the first frame",
                    state.n_clipped,
                    index,
                    HEADROOM,
                )


def images_from(
    series: ImageSeries, scan: Scan, output: OutputConfig, state: ImageState
) -> Iterator[ismrmrd.Image]:
    """One ISMRMRD image a frame.

    uint16 pixels have one scale for the whole series of the measurement, fixed by its first frames;
    float32 and complex64 are sent as they are.

    Raises
    ------
    DataError
        Where an image holds NaN or Inf.
    """
    if not np.isfinite(series.images).all():
        raise DataError(f"an image of method {series.method!r} holds NaN or Inf; it is not sent")
    shared = state.series.setdefault(series.series_index, SeriesState())
    if output.dtype == "uint16" and shared.scale is None:
        _fix_scale(shared, np.abs(series.images), output.bits)
    meta = _meta(series, output, shared)
    for frame, pixels in enumerate(_pixels(series.images, output, shared)):
        image = ismrmrd.Image.from_array(pixels, transpose=False, **_geometry(series, scan))
        _set_identity(image, series, frame, state.measurement_uid)
        image.image_index = shared.numbers.take(series.counters, scan.limits)
        image.image_type = (
            constants.IMTYPE_COMPLEX if output.dtype == "complex64" else constants.IMTYPE_MAGNITUDE
        )
        image.meta = meta
        yield image


def coil_map_image(series: ImageSeries, scan: Scan, state: ImageState) -> ismrmrd.Image:
    """The coil maps of a series as one complex image, with a channel for each coil."""
    maps = np.asarray(series.coil_maps, np.complex64)[:, np.newaxis]
    image = ismrmrd.Image.from_array(maps, transpose=False, **_geometry(series, scan))
    index = COIL_MAP_SERIES + series.series_index // SERIES_OF_A_RUN * SERIES_OF_A_RUN
    shared = state.series.setdefault(index, SeriesState())
    _set_identity(image, series, 0, state.measurement_uid)
    image.image_index = shared.numbers.take(series.counters, scan.limits)
    image.image_series_index, image.image_type = index, constants.IMTYPE_COMPLEX
    roles = {"DataRole": COIL_MAP_ROLE, "GADGETRON_DataRole": COIL_MAP_ROLE}
    image.meta = ismrmrd.Meta(
        {**roles, "method": str(series.details["coil_maps"]), "plugin_version": plugin_version()}
    )
    return image


def _fix_scale(state: SeriesState, magnitude: np.ndarray, bits: int) -> None:
    peak = float(magnitude.max(initial=0.0))
    if peak == 0:
        return  # an empty frame says nothing of those to come
    state.scale = ((1 << bits) - 1) / (HEADROOM * peak)
    low, high = state.scale * np.percentile(magnitude, (1, 99.5))
    state.window = round((low + high) / 2), max(round(high - low), 1)


def _pixels(images: np.ndarray, output: OutputConfig, state: SeriesState) -> Iterator[np.ndarray]:
    for image in images:
        if output.dtype == "complex64":
            yield image.astype(np.complex64)
        elif output.dtype == "float32":
            yield np.abs(image).astype(np.float32)
        else:
            scaled, largest = np.abs(image) * (state.scale or 0.0), (1 << output.bits) - 1
            state.n_clipped += int(np.count_nonzero(scaled > largest + 0.5))
            yield np.minimum(np.rint(scaled), largest).astype(np.uint16)


def _geometry(series: ImageSeries, scan: Scan) -> dict[str, Any]:
    geometry = series.geometry
    return {
        "field_of_view": geometry.field_of_view_mm
        if any(geometry.field_of_view_mm)
        else scan.field_of_view_mm,
        "position": geometry.position_mm,
        "read_dir": geometry.read_dir,
        "phase_dir": geometry.phase_dir,
        "slice_dir": geometry.slice_dir,
        "patient_table_position": geometry.table_position_mm,
    }


def _set_identity(image: ismrmrd.Image, series: ImageSeries, frame: int, uid: int) -> None:
    """Counters and time stamps; the repetition counts the frames."""
    counters, number = series.counters, series.first_frame + frame
    image.measurement_uid = uid
    image.image_series_index = series.series_index
    image.average, image.slice, image.contrast = counters.average, counters.slice, counters.contrast
    image.phase, image.set = counters.phase, counters.set
    image.repetition = min(number, _MAX_UINT16)
    if series.times_s is not None:
        image.acquisition_time_stamp = stamp_of(series.times_s[frame])
    if series.physiology_s is not None:
        image.physiology_time_stamp = tuple(stamp_of(time) for time in series.physiology_s[frame])


def _meta(series: ImageSeries, output: OutputConfig, state: SeriesState) -> ismrmrd.Meta:
    """Attributes under their plain names and those that Gadgetron's own chains read."""
    description = output.series_description or series.method
    history = ["gadgetron-pisco", series.method]
    meta = ismrmrd.Meta(
        {
            "DataRole": "Image",
            "GADGETRON_DataRole": "Image",
            "SeriesDescriptionAdditional": description,
            "GADGETRON_SeriesDescription": description,
            "ImageProcessingHistory": history,
            "GADGETRON_ImageProcessingHistory": history,
            "ImageRowDir": [f"{cosine:.18f}" for cosine in series.geometry.read_dir],
            "ImageColumnDir": [f"{cosine:.18f}" for cosine in series.geometry.phase_dir],
            "Keep_image_geometry": "1",
            "method": series.method,
            "plugin_version": plugin_version(),
        }
    )
    if series.comment:
        meta["ImageComments"] = meta["GADGETRON_ImageComment"] = series.comment
    if state.window is not None:
        for prefix in ("", "GADGETRON_"):
            meta[f"{prefix}WindowCenter"], meta[f"{prefix}WindowWidth"] = map(str, state.window)
    if state.scale is not None:
        meta["scale"] = f"{state.scale:.9g}"
    texts = {f"{DETAIL_PREFIX}{key}": _text(value) for key, value in series.details.items()}
    meta.update({key: text for key, text in texts.items() if text})
    return meta


def _text(value: Any) -> str | list[str]:
    """A detail as an attribute; empty where it is none."""
    if isinstance(value, list | tuple) and len(value) <= _LONGEST_LIST:
        return [f"{number:.5g}" for number in value if isinstance(number, int | float)]
    return str(value) if isinstance(value, str | int | float) else ""
