"""From ISMRMRD images back to series, for previews and reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import ismrmrd
import numpy as np

from gadgets.readouts import TICK_S
from python_recon.data import Counters, Geometry, ImageSeries


def read_series(path: Path, group: str = "dataset") -> Iterator[ImageSeries]:
    """Every image of a file as a series of one frame; volumes come as the slices they consist of."""
    with closing(ismrmrd.Dataset(str(path), group, create_if_needed=False)) as dataset:
        for name in sorted(name for name in dataset.list() if name.startswith("image_")):
            for number in range(dataset.number_of_images(name)):
                yield from _series(dataset.read_image(name, number))


def _series(image: ismrmrd.Image) -> Iterator[ImageSeries]:
    head, volume = image.getHead(), image.data[0]
    times_s = np.array([head.acquisition_time_stamp * TICK_S])
    physiology_s = np.array([list(head.physiology_time_stamp)], float) * TICK_S
    for partition, pixels in enumerate(volume):
        yield ImageSeries(
            images=pixels[np.newaxis].astype(np.complex64),
            method=str(image.meta.get("method", "images")),
            series_index=head.image_series_index,
            geometry=_geometry(head),
            counters=Counters(slice=head.slice + partition, contrast=head.contrast, set=head.set),
            times_s=times_s,
            physiology_s=physiology_s,
            first_frame=max(head.image_index - 1, 0),
            comment=str(image.meta.get("ImageComments", "")),
            measurement_id=str(head.measurement_uid),
        )


def _geometry(head: ismrmrd.ImageHeader) -> Geometry:
    return Geometry(
        position_mm=tuple(head.position),
        read_dir=tuple(head.read_dir),
        phase_dir=tuple(head.phase_dir),
        slice_dir=tuple(head.slice_dir),
        table_position_mm=tuple(head.patient_table_position),
        field_of_view_mm=tuple(head.field_of_view),
    )
