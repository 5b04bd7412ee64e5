"""Samples at any known places: the answers of :class:`~python_recon.acquisition.encoding.Encoding`.

Only an embedded trajectory tells such places. Where they turn out to lie on the grid, the readouts are handed
on as Cartesian ones.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from python_recon.acquisition.cartesian.cells import areas_in_disc, full_width
from python_recon.acquisition.cartesian.grid import inside
from python_recon.acquisition.embedded import embedded_locator
from python_recon.acquisition.extent import spoke_extent
from python_recon.acquisition.spoke_index import StreamKey, stream_key
from python_recon.acquisition.spokes import middle_spokes
from python_recon.config import TrajectoryConfig
from python_recon.data import KSpace, Readout, Scan
from python_recon.errors import DataError

if TYPE_CHECKING:
    import torch

READOUTS_ARE_ALIKE = False
thinned = middle_spokes
_HEAD = 16
"""Readouts that tell unit and kind."""
_ON_GRID = 0.02
"""Cycles per field of view by which samples of a grid may miss it."""


def locate(readouts: Iterable[Readout], scan: Scan, config: TrajectoryConfig) -> Iterator[Readout]:
    """Fill in the embedded trajectory, in cycles per field of view, and the running number."""
    stream = iter(readouts)
    head = list(itertools.islice(stream, _HEAD))
    if not head:
        return
    across = spoke_extent(scan)[0]
    # Unlike spokes, such samples reach as far as the pixels of each axis are fine.
    place = embedded_locator(head, scan, config.unit, (across, across * scan.matrix[0] / scan.matrix[1]))
    is_on_grid = all(_is_on_grid(place(readout, 0)) for readout in head)
    numbers: Counter[StreamKey] = Counter()
    for readout in itertools.chain(head, stream):
        key, trajectory = stream_key(readout), place(readout, 0)
        if is_on_grid and not _is_on_grid(trajectory):
            raise DataError(
                f"the embedded trajectory of readout {readout.scan_counter} leaves the grid on which those "
                "before it lie: send each kind as an encoding space of its own"
            )
        yield replace(
            readout,
            trajectory=np.rint(trajectory) if is_on_grid else trajectory,
            encoding="cartesian" if is_on_grid else "scattered",
            matrix=scan.matrix,
            spoke_index=numbers[key],
        )
        numbers[key] += 1


def _is_on_grid(trajectory: np.ndarray) -> bool:
    return bool(np.abs(trajectory - np.rint(trajectory)).max(initial=0) <= _ON_GRID)


def fit(readouts: Iterable[Readout], _scan: Scan, matrix: tuple[int, int]) -> Iterator[Readout]:
    """Without what the matrix does not hold."""
    return inside(readouts, matrix)


def analytic_density(_kspace: KSpace) -> None:
    """There is none."""


def data_weights(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """At most the sample's own cell."""
    import torch

    steps = torch.diff(kspace.trajectory, dim=2)
    if not steps.numel():
        return density.clamp_max(1)
    return torch.minimum(density, torch.linalg.vector_norm(steps, dim=-1).amax(-1, keepdim=True))


def pooled_density(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """Every frame is taken to cover all of k-space."""
    return density / kspace.n_frames


def undersampling(kspace: KSpace, density: torch.Tensor) -> torch.Tensor:
    """Cells of the grid, over the cells that samples stand for, at most their own."""
    return kspace.matrix[0] * kspace.matrix[1] / data_weights(kspace, density).sum()


def sampled_width(kspace: KSpace, chosen: torch.Tensor) -> float:
    """By the cells of the grid in which samples lie."""
    return full_width(kspace, chosen)


def calibration_density(spokes: torch.Tensor, samples: torch.Tensor, width: int) -> torch.Tensor:
    """The same."""
    return areas_in_disc(spokes, samples, width)


def importance(trajectory: torch.Tensor) -> torch.Tensor:
    """Length of readout that a sample stands for."""
    import torch

    if trajectory.shape[-2] < 2:
        return trajectory.new_ones(trajectory.shape[:-1])
    steps = torch.linalg.vector_norm(torch.diff(trajectory, dim=-2), dim=-1)
    return torch.cat([steps[..., :1], steps], -1)


def widened(kspace: KSpace, _scale: float | None) -> KSpace:
    """Not known for any trajectory."""
    return kspace


def undelayed(kspace: KSpace, _mode: Literal["auto", "on", "off"]) -> KSpace:
    """Not known for any trajectory."""
    return kspace
