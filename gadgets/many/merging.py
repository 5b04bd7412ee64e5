"""The images of single slices become those of the whole scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import ismrmrd
import numpy as np

from gadgets.files.mrd_file import ImageFile, ScanFile
from gadgets.many.record import Record, part_folder, publish
from gadgets.many.settings import output_config
from gadgets.many.showing import show
from gadgets.replay.job import Job
from gadgets.translate.image_numbers import ImageNumbers
from gadgets.translate.images import ImageState, images_from
from gadgets.translate.readouts import ReadoutStream
from python_recon.config import OutputConfig
from python_recon.data import Counters, ImageSeries, Scan
from python_recon.errors import ConfigError


def merge(job: Job, parts: Sequence[Path], record: Record) -> int:
    """Write the images of all slices into the output of a job, in the order of the slices.

    Pixels, their scale and window are those of one series, as if all slices had been reconstructed together.

    Parameters
    ----------
    job
        Of the whole scan.
    parts
        Files with the images of single slices, ascending; those of failed slices left out.
    record
        What the output says of itself.

    Returns
    -------
    Number of images.
    """
    if job.scan is None or job.output is None:
        raise ConfigError("give the scan and the images a place: -f and -o")
    with ScanFile(job.scan, job.group) as scan_file, part_folder(job.output) as folder:
        stream = ReadoutStream(scan_file.acquisitions(), scan_file.header)
        merger = _Merger(output_config(job), stream.scan)
        with ImageFile(folder / "images.h5") as images:
            images.write_header(job.out_group, scan_file.header_xml)
            for part in parts:
                for image in merger.images(part, job.out_group):
                    images.append(job.out_group, image)
            merger.state.log_clipping()
            images.commit()
        show(job, images.path, scan_file)
        publish(images.path, job.output, replace(record, n_images=images.n_images))
    return images.n_images


class _Merger:
    """Gives the images of slices, one slice after the other, what the images of one scan share."""

    def __init__(self, config: OutputConfig, scan: Scan) -> None:
        self.state = ImageState()
        self._config = config
        self._scan = scan
        self._numbers: defaultdict[int, ImageNumbers] = defaultdict(ImageNumbers)

    def images(self, part: Path, group: str) -> Iterator[ismrmrd.Image]:
        """The images of a slice with their numbers among those of all slices."""
        for series in _read(part, group):
            for image in self._scaled(series):
                place = Counters(slice=image.slice, contrast=image.contrast, set=image.set)
                image.image_index = self._numbers[image.image_series_index].take(place, self._scan.limits)
                yield image

    def _scaled(self, series: Sequence[ismrmrd.Image]) -> Iterator[ismrmrd.Image]:
        """The images in the pixels that are wanted, with the scale of the whole series."""
        if series[0].data.dtype != np.float32:
            yield from series
            return
        stack = np.stack([image.data[0, 0] for image in series]).astype(np.complex64)
        plain = ImageSeries(stack, "", series[0].image_series_index)
        together = images_from(plain, self._scan, self._config, self.state)
        for image, scaled in zip(series, together, strict=True):
            head = image.getHead()
            head.data_type = scaled.data_type
            meta = ismrmrd.Meta({**scaled.meta, **image.meta})
            head.attribute_string_len = len(meta.serialize().encode())
            scaled.setHead(head)
            scaled.meta = meta
            yield scaled


def _read(part: Path, group: str) -> Iterator[list[ismrmrd.Image]]:
    """The series of a file, with all images of each."""
    with closing(ismrmrd.Dataset(str(part), group, create_if_needed=False)) as dataset:
        for name in sorted(name for name in dataset.list() if name.startswith("image_")):
            yield [dataset.read_image(name, number) for number in range(dataset.number_of_images(name))]
