"""The default gadget: acquisitions in, images out.

Gadgetron starts it as ``python -m gadgetron PORT gadgets.radial reconstruct``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gadgets.guard import run_gadget

if TYPE_CHECKING:
    import ismrmrd

    from gadgets.readouts import ReadoutStream
    from python_recon.config import Config


def reconstruct(connection: Any) -> None:
    """Reconstruct the scan that a ``gadgetron.external.Connection`` brings."""
    run_gadget(connection, images)


def images(stream: ReadoutStream, config: Config) -> Iterator[ismrmrd.Image]:
    """Previews while data arrive, then the images of the configured method.

    Raises
    ------
    ReconError
        Whatever keeps the scan from being reconstructed.
    """
    from gadgets.images import ImageState, coil_map_image, images_from
    from python_recon.chain import reconstruct_stream

    state, record, kept = ImageState(), stream.physiology, stream.kept
    for series in reconstruct_stream(stream, stream.scan, config, record=record, kept=kept):
        state.measurement_uid = stream.measurement_uid
        yield from images_from(series, stream.scan, config.output, state)
        if series.coil_maps is not None:
            yield coil_map_image(series, stream.scan, state)
    state.log_clipping()
