"""What a gadget makes of a scan: images, as :mod:`gadgets.radial` and :mod:`gadgets.recon_data` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import ismrmrd

    from gadgets.translate.readouts import ReadoutStream
    from python_recon.config import Config

Stage: TypeAlias = "Callable[[ReadoutStream, Config], Iterator[Any]]"
"""Turns the readouts of a scan into the items that are sent back."""


def images(stream: ReadoutStream, config: Config) -> Iterator[ismrmrd.Image]:
    """Previews while data arrive, then the images of the configured method.

    Raises
    ------
    ReconError
        Whatever keeps the scan from being reconstructed.
    """
    from gadgets.translate.images import ImageState, coil_map_image, images_from
    from python_recon.resources.parallel import calm_blas
    from python_recon.resources.scan_context import progress_of_fits, with_remarks
    from python_recon.stream.chain import reconstruct_stream

    calm_blas()
    stream.drop_waveforms()
    state, record, kept = ImageState(), stream.physiology, stream.kept
    told = reconstruct_stream(stream, stream.scan, config, progress_of_fits(), record, kept)
    for series in told:
        state.measurement_uid = stream.measurement_uid
        series = replace(series, comment=with_remarks(series.comment))
        yield from images_from(series, stream.scan, config.output, state)
        if series.coil_maps is not None:
            yield coil_map_image(series, stream.scan, state)
    state.log_clipping()
