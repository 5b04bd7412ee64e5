"""From ISMRMRD images back to series, for previews, other formats and reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np

from gadgets.translate.clock import TICK_S, DayClock
from python_recon.data import Counters, Geometry, ImageSeries

DETAIL_PREFIX = "recon_"
"""Of the attributes that hold the details of a series."""


def read_series(path: Path, group: str = "dataset") -> Iterator[ImageSeries]:
    """Every image of a file as a series of one frame; volumes come as the slices they consist of.

    Images of several channels, such as coil maps, are passed by.
    """
    clock = DayClock()
    with closing(ismrmrd.Dataset(str(path), group, create_if_needed=False)) as dataset:
        for name in sorted(name for name in dataset.list() if name.startswith("image_")):
            for number in range(dataset.number_of_images(name)):
                image = dataset.read_image(name, number)
                if len(image.data) == 1:
                    yield from _series(image, clock)


def series_of_channels(image: ismrmrd.Image) -> ImageSeries:
    """An image of several channels as a series whose frames are the channels of its first partition."""
    head = image.getHead()
    return ImageSeries(
        images=image.data[:, 0].astype(np.complex64),
        method=str(image.meta.get("method", "")),
        series_index=head.image_series_index,
        geometry=_geometry(head),
        counters=Counters(slice=head.slice, contrast=head.contrast, set=head.set),
    )


def _series(image: ismrmrd.Image, clock: DayClock) -> Iterator[ImageSeries]:
    head, volume = image.getHead(), image.data[0]
    times_s = np.array([clock.seconds(head.acquisition_time_stamp)])
    physiology_s = np.array([list(head.physiology_time_stamp)], float) * TICK_S
    for partition, pixels in enumerate(volume):
        yield ImageSeries(
            images=pixels[np.newaxis].astype(np.complex64),
            method=str(image.meta.get("method", "images")),
            series_index=head.image_series_index,
            geometry=_geometry(head, partition),
            counters=Counters(slice=head.slice + partition, contrast=head.contrast, set=head.set),
            times_s=times_s,
            physiology_s=physiology_s,
            first_frame=_frame_number(image),
            comment=str(image.meta.get("ImageComments", "")),
            details=_details(image.meta),
            measurement_id=str(head.measurement_uid),
        )


def _frame_number(image: ismrmrd.Image) -> int:
    """Of its slice: our images tell it as their repetition, others at least come in an order."""
    return image.repetition if "plugin_version" in image.meta else max(image.image_index - 1, 0)


def _details(meta: ismrmrd.Meta) -> dict[str, Any]:
    """What :mod:`gadgets.translate.images` wrote of the series, and by which version of it."""
    details = {
        key.removeprefix(DETAIL_PREFIX): _value(value)
        for key, value in meta.items()
        if key.startswith(DETAIL_PREFIX)
    }
    if "plugin_version" in meta:
        details["plugin_version"] = str(meta["plugin_version"])
    return details


def _value(text: str | list[str]) -> Any:
    """A number where it is one; of a list, each of its values."""
    if isinstance(text, list):
        return [_value(item) for item in text]
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text


def _geometry(head: ismrmrd.ImageHeader, partition: int = 0) -> Geometry:
    """Where a partition of a volume lies; that of number n // 2 of n is at the position of the whole."""
    count, (width, height, depth) = max(head.matrix_size[2], 1), head.field_of_view
    distance = (partition - count // 2) * depth / count
    x, y, z = (place + distance * part for place, part in zip(head.position, head.slice_dir, strict=True))
    return Geometry(
        position_mm=(x, y, z),
        read_dir=tuple(head.read_dir),
        phase_dir=tuple(head.phase_dir),
        slice_dir=tuple(head.slice_dir),
        table_position_mm=tuple(head.patient_table_position),
        field_of_view_mm=(width, height, depth / count),
    )
