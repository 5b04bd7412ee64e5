"""``render``: images of a field that was fitted before, at any frame rate and matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from gadgets.cli.picture import Picture
from gadgets.console import errors, progress
from gadgets.replay.views import DicomOption, Mp4Option, NiftiOption, PlainOption, PreviewOption, Views
from python_recon.config import Config, OutputConfig
from python_recon.data import FINAL_SERIES, ImageSeries, Scan
from python_recon.errors import ConfigError

if TYPE_CHECKING:
    from ismrmrd.xsd import ismrmrdHeader

    from python_recon.fitting.checkpoint import Checkpoint

_GROUP = "dataset"


def render(
    path: Annotated[
        Path, typer.Argument(metavar="FIELD", help="Checkpoint, as options.checkpoint of a fit names it.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="ISMRMRD file for the images.")],
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames, evenly spaced; by default those of the scan.")
    ] = None,
    matrix: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=4096,
            help="Pixels along the longer side of the field of view; by default those of the scan.",
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X0:X1,Y0:Y1",
            help="Part of the field of view, in pixels of the scan's own images; the ends are left out.",
        ),
    ] = None,
    breathing: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Hold the breath here: 0 is one end of it, 1 the other; by default the breath of the scan.",
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option("--from", help="Start, in seconds after the first spoke; of a beat, after R."),
    ] = None,
    end: Annotated[float | None, typer.Option("--to", help="End, in the same seconds.")] = None,
    preview: PreviewOption = None,
    mp4: Mp4Option = None,
    dicom: DicomOption = None,
    nifti: NiftiOption = None,
    plain: PlainOption = False,
    scan: Annotated[
        Path | None,
        typer.Option(help="The scan that was fitted: patient, study and protocol of the images are its own."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output where it exists.")
    ] = False,
) -> None:
    """Render a saved field at any frame rate and matrix, without fitting again.

    The field of view is that of the scan, or the part of it that --crop gives. Frames stand for equal
    intervals and show the middle of each. Where the scan had no time stamps, --from and --to count its
    frames.
    """
    from gadgets.translate.series import read_series
    from python_recon.fitting.checkpoint import load
    from python_recon.resources.device import set_up

    if out.resolve() == path.resolve():
        raise ConfigError(f"the output {out} would replace the field; choose another name")
    views = Views(preview, mp4, dicom, nifti, is_plain=plain)
    views.check(overwrite)
    checkpoint = load(path, set_up(Config()))
    header = None if scan is None else _header_of(scan, checkpoint)
    times = frame_times(checkpoint, frames, start, end)
    picture = Picture.of(checkpoint, image_size(checkpoint, matrix), crop)
    if breathing is not None:
        checkpoint = replace(checkpoint, fitted=checkpoint.fitted.at_breath(breathing))
    _write(checkpoint, times, picture, header, out, overwrite)
    views.write(list(read_series(out, _GROUP)), header)
    places = ", ".join(map(str, (out, *views.places)))
    rows, columns = picture.view.shape
    text = f"{len(times)} images of {columns} x {rows} -> {places}"
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def frame_times(
    checkpoint: Checkpoint, n_frames: int | None, start: float | None, end: float | None
) -> np.ndarray:
    """Times (frame,) to render, on the clock of the scan.

    Without any wish these are the frames of the scan; with a start or an end alone, its frame rate is kept.

    Raises
    ------
    ConfigError
        If start and end are not within the scan, one after the other.
    """
    axis, known = checkpoint.fitted.axis, np.array(checkpoint.origin.frame_times)
    if n_frames is None and start is None and end is None:
        return known
    first, last = 0.0 if start is None else start, axis.duration_s if end is None else end
    is_within = axis.kind == "periodic" or (first >= 0 and last <= axis.duration_s * (1 + 1e-6))
    if not (first < last and is_within):
        unit = "s" if checkpoint.origin.has_clock else "frames"
        raise ConfigError(
            f"--from {first:g} --to {last:g}: expected an interval within the 0 to "
            f"{axis.duration_s:.6g} {unit} of the scan"
        )
    if n_frames is None:
        interval = np.median(np.diff(known)) if len(known) > 1 else last - first
        n_frames = max(1, round((last - first) / float(interval)))
    middles: np.ndarray = axis.start_s + first + (np.arange(n_frames) + 0.5) * ((last - first) / n_frames)
    return middles


def image_size(checkpoint: Checkpoint, pixels: int | None) -> tuple[int, int]:
    """Matrix (y, x) of the images: the scan's, or one of its shape, the shorter side rounded to even."""
    native = checkpoint.origin.image_matrix
    if pixels is None:
        return native
    longer = max(native)
    rows, columns = (pixels if n == longer else max(2 * round(pixels * n / longer / 2), 2) for n in native)
    return rows, columns


def _header_of(scan: Path, checkpoint: Checkpoint) -> ismrmrdHeader:
    """The scan's header; raises ConfigError where the field was fitted to another measurement."""
    from gadgets.files.mrd_file import ScanFile
    from gadgets.translate.study import study_from

    with ScanFile(scan, _GROUP) as file:
        header = file.header
    fitted, found = checkpoint.origin.measurement_id, study_from(header).measurement_id
    if fitted != found:
        raise ConfigError(f"--scan {scan} is measurement {found!r}, but the field is of {fitted!r}")
    return header


def _write(
    checkpoint: Checkpoint,
    times: np.ndarray,
    picture: Picture,
    header: ismrmrdHeader | None,
    out: Path,
    overwrite: bool,
) -> None:
    """The images, written as they are rendered."""
    from gadgets.files.mrd_file import ImageFile
    from gadgets.translate.images import ImageState, images_from
    from gadgets.wire.header import header_text

    extent, state = picture.geometry.field_of_view_mm, ImageState()
    size = picture.view.shape
    scan = Scan(size, size, field_of_view_mm=extent, encoded_field_of_view_mm=extent)
    with progress() as report, ImageFile(out, overwrite) as file:
        if header is not None:
            file.write_header(_GROUP, header_text(header))
        for series in rendered(checkpoint, times, picture):
            for image in images_from(series, scan, OutputConfig(), state):
                file.append(_GROUP, image)
            report("rendering", file.n_images / len(times))
        file.commit()
    state.log_clipping()


def rendered(checkpoint: Checkpoint, times: np.ndarray, picture: Picture) -> Iterator[ImageSeries]:
    """Images at times (frame,), some frames at a time."""
    origin, n_done = checkpoint.origin, 0
    for images in checkpoint.fitted.render(times, view=picture.view):
        yield ImageSeries(
            (picture.factor * images).cpu().numpy(),
            checkpoint.method,
            FINAL_SERIES,
            geometry=picture.geometry,
            counters=origin.counters,
            times_s=times[n_done : n_done + len(images)] if origin.has_clock else None,
            first_frame=n_done,
            measurement_id=origin.measurement_id,
        )
        n_done += len(images)
