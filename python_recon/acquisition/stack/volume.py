"""The readouts of a volume made into those of its slices, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from python_recon.acquisition.screening import screen
from python_recon.acquisition.stack.lines import CartesianVolume
from python_recon.acquisition.stack.slab import is_grid, is_volume
from python_recon.acquisition.stack.stars import StackOfStars
from python_recon.data import Readout, Scan
from python_recon.resources.kept_data import KeptData


def slices_of(readouts: Iterable[Readout], scan: Scan, kept: KeptData) -> Iterator[Readout]:
    """Readouts of the slices of a volume; noise readouts, and those of a scan of slices, pass as they are.

    Parameters
    ----------
    readouts
        Not whitened: coils are not mixed.
    scan
        The header of the volume; ``stack.slab.slice_scan`` makes that of the slices.
    kept
        Is told of the data that wait here.

    Raises
    ------
    DataError
        If kz is not fully sampled, spokes of a stack differ in their angles, or readouts lie beyond what the
        header announces.
    """
    if not is_volume(scan):
        yield from readouts
        return
    volume = CartesianVolume(scan) if is_grid(scan) else StackOfStars(scan)
    with kept.counting(lambda: volume.n_bytes):
        for readout in screen(readouts):
            if readout.is_noise:
                yield readout
            else:
                yield from volume.add(readout)
        yield from volume.finish()
