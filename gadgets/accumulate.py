"""The first of two stages: acquisitions in, recon data out.

The readouts are whitened and located; each frame becomes one RECON_DATA message, so that gadgets which
work on whole frames can stand between this one and :mod:`gadgets.recon_data`. Gadgetron starts it as
``python -m gadgetron PORT gadgets.accumulate accumulate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gadgets.guard import run_gadget

if TYPE_CHECKING:
    from collections import deque

    import ismrmrd

    from gadgets.translate.readouts import ReadoutStream
    from gadgets.wire.messages import ReconData, SamplingDescription
    from python_recon.config import Config
    from python_recon.data import Readout, Scan


def accumulate(connection: Any) -> None:
    """Accumulate the scan that a ``gadgetron.external.Connection`` brings."""
    run_gadget(connection, frames)


def frames(stream: ReadoutStream, config: Config) -> Iterator[ReconData | ismrmrd.Waveform]:
    """One message a frame: whitened samples, trajectory in -0.5..0.5, headers. Waveforms are handed on.

    The headers are those that came, but for what whitening, trimming and turning have changed.

    A frame holds ``binning.spokes_per_frame`` readouts of one slice, contrast and set; without that number,
    those of one repetition and phase. Windows that overlap are cut by the next stage.

    Raises
    ------
    ReconError
        Where readouts cannot be located.
    """
    from python_recon.resources.kept_data import InPassing
    from python_recon.stream.chain import prepare_readouts

    grouped = InPassing()
    located = grouped.watch(prepare_readouts(stream, stream.scan, config))
    with stream.kept.counting(lambda: grouped.n_bytes):
        for group in _grouped(located, config.binning.spokes_per_frame):
            grouped.release()
            yield from _taken(stream.waveforms)
            yield recon_data_from(group, stream.scan)
        yield from _taken(stream.waveforms)


def _taken(waveforms: deque[ismrmrd.Waveform]) -> Iterator[ismrmrd.Waveform]:
    while waveforms:
        yield waveforms.popleft()


def _grouped(readouts: Iterable[Readout], spokes_per_frame: int | None) -> Iterator[list[Readout]]:
    groups: dict[tuple[int, int, int], list[Readout]] = {}
    for readout in readouts:
        counters = readout.counters
        group = groups.setdefault((counters.slice, counters.contrast, counters.set), [])
        if group and _ends(group, readout, spokes_per_frame):
            yield group.copy()
            group.clear()
        group.append(readout)
        if len(group) == spokes_per_frame:
            yield group.copy()
            group.clear()
    yield from (group for group in groups.values() if group)


def _ends(group: Sequence[Readout], readout: Readout, spokes_per_frame: int | None) -> bool:
    first, new = group[0].counters, readout.counters
    is_next = spokes_per_frame is None and (first.repetition, first.phase) != (new.repetition, new.phase)
    return is_next or group[0].data.shape != readout.data.shape


def recon_data_from(readouts: Sequence[Readout], scan: Scan) -> ReconData:
    """Located readouts of equal shape as the one buffer of a message.

    Lines of a grid need no trajectory: their counters tell it.
    """
    import numpy as np

    from gadgets.wire.messages import ReconBit, ReconBuffer, ReconData
    from python_recon.acquisition.extent import spoke_extent

    data = np.stack([readout.data.T for readout in readouts], axis=1)
    is_grid = readouts[0].encoding == "cartesian"
    located = np.stack([readout.trajectory for readout in readouts], axis=1) / np.array(spoke_extent(scan))
    headers = np.empty((len(readouts), 1, 1, 1, 1), object)
    for line, readout in enumerate(readouts):
        headers[line, 0, 0, 0, 0] = _header(readout)
    buffer = ReconBuffer(
        data=data[:, :, None, :, None, None, None],
        headers=headers,
        trajectory=None
        if is_grid
        else np.moveaxis(located, -1, 0)[:, :, :, None, None, None, None].astype(np.float32),
        sampling=_sampling(scan, readouts[0], len(readouts)),
    )
    return ReconData((ReconBit(buffer),))


def _header(readout: Readout) -> ismrmrd.AcquisitionHeader:
    """The header that the readout came with, true to what its samples are now."""
    import ismrmrd

    from gadgets.translate.flags import mask

    head = ismrmrd.AcquisitionHeader.from_buffer_copy(readout.origin)
    head.number_of_samples, head.center_sample = readout.n_samples, readout.center_sample
    head.discard_pre = head.discard_post = 0
    head.active_channels = readout.n_coils
    head.trajectory_dimensions = 0 if readout.encoding == "cartesian" else 2
    if readout.is_reversed:
        head.flags &= ~mask(ismrmrd.ACQ_IS_REVERSE)
    return head


def _sampling(scan: Scan, first: Readout, n_readouts: int) -> SamplingDescription:
    from gadgets.wire.messages import SamplingDescription, SamplingLimit

    (encoded_y, encoded_x), (recon_y, recon_x) = scan.encoded_matrix, scan.matrix
    return SamplingDescription(
        encoded_fov=scan.encoded_field_of_view_mm,
        recon_fov=scan.field_of_view_mm,
        encoded_matrix=(encoded_x, encoded_y, 1),
        recon_matrix=(recon_x, recon_y, 1),
        sampling_limits=(
            SamplingLimit(0, first.center_sample, first.n_samples - 1),
            SamplingLimit(0, n_readouts // 2, n_readouts - 1),
            SamplingLimit(0, 0, 0),
        ),
    )
