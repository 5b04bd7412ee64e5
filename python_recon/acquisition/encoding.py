"""What is special to an encoding, in one place: its kinds, and what each of them answers.

The core knows samples at known places. Everything else that it has to know of a readout, it asks here:

============================ ===========================================================================
``locate``                   where its samples lie
``fit``                      which of them the image matrix holds, and on which grid they lie
``analytic_density``         the area of k-space that each stands for
``data_weights``             what each counts for in a data term
``pooled_density``           its area where all frames are one
``undersampling``            how many times more of them would sample a still object fully
``sampled_width``            how wide the centre is that is fully sampled, for coil maps
``calibration_density``      the areas of samples within that centre
``importance``               what each counts for where images are judged by it
``thinned``                  which of them a scan of fewer would have had
``widened``, ``undelayed``   optional corrections
============================ ===========================================================================

What is held out together is a readout: a spoke, a line, a point.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from python_recon.acquisition.cartesian import encoding as cartesian
from python_recon.acquisition.radial import encoding as radial
from python_recon.acquisition.scattered import encoding as scattered
from python_recon.arrays import Array
from python_recon.config import TrajectoryConfig
from python_recon.data import KSpace, Readout, Scan
from python_recon.errors import DataError

if TYPE_CHECKING:
    import torch

_HEAD = 8
"""Readouts that are looked at before a kind is believed."""
_STRAIGHT = 0.05
"""By how much a spoke may leave its line, and miss the centre of k-space, relative to its length."""
_GRIDS = ("cartesian", "epi")


class Encoding(Protocol):
    """A kind of encoding: a module with these names."""

    READOUTS_ARE_ALIKE: bool
    """Whether a few readouts in a row cover k-space as a whole, as spokes do and lines do not."""

    def locate(
        self, readouts: Iterable[Readout], scan: Scan, config: TrajectoryConfig, /
    ) -> Iterator[Readout]:
        """Fill in trajectory, encoding and running number of each readout."""

    def fit(self, readouts: Iterable[Readout], scan: Scan, matrix: tuple[int, int], /) -> Iterator[Readout]:
        """Located readouts with the samples that an image matrix (y, x) holds."""

    def analytic_density(self, kspace: KSpace, /) -> Array | None:
        """(frame, spoke, readout) areas, 0 for what was not measured; None: only iterations tell."""

    def data_weights(self, kspace: KSpace, density: torch.Tensor, /) -> torch.Tensor:
        """(frame, spoke, readout) weights of a data term: every cell of k-space counts about once."""

    def pooled_density(self, kspace: KSpace, density: torch.Tensor, /) -> torch.Tensor:
        """(frame, spoke, readout) areas of the samples of all frames together."""

    def undersampling(self, kspace: KSpace, density: torch.Tensor, /) -> torch.Tensor:
        """How many times more samples than there are it would take to sample a still object fully."""

    def sampled_width(self, kspace: KSpace, chosen: torch.Tensor, /) -> float:
        """Diameter in cycles per field of view up to which some spokes of all frames sample fully."""

    def calibration_density(self, spokes: torch.Tensor, samples: torch.Tensor, width: int, /) -> torch.Tensor:
        """(spoke, readout) areas of samples (coil, spoke, readout), 0 beyond the diameter."""

    def importance(self, trajectory: torch.Tensor, /) -> torch.Tensor:
        """(..., readout) area that a sample stands for, but for a factor, each spoke by itself."""

    def thinned(self, kspace: KSpace, n_spokes: int, /) -> np.ndarray:
        """(frame, spoke) bool, those that a scan of fewer readouts a frame would have had."""

    def widened(self, kspace: KSpace, scale: float | None, /) -> KSpace:
        """The same for a field of view that holds the object, or is ``scale`` times as wide."""

    def undelayed(self, kspace: KSpace, mode: Literal["auto", "on", "off"], /) -> KSpace:
        """The same with gradient delays corrected."""


_KINDS: Mapping[str, Encoding] = {"radial": radial, "cartesian": cartesian, "scattered": scattered}


def encoding_of(kspace: KSpace | Readout) -> Encoding:
    """What kind of k-space it is."""
    return _KINDS[kspace.encoding]


def located(readouts: Iterable[Readout], scan: Scan, config: TrajectoryConfig) -> Iterator[Readout]:
    """Readouts with their place in k-space; the first few are held back until their kind is known.

    Raises
    ------
    DataError
        If they are of a kind that is not understood.
    """
    stream = iter(readouts)
    head = list(itertools.islice(stream, _HEAD))
    if head:
        kind = _KINDS[_kind(head, scan, config)]
        yield from kind.locate(itertools.chain(head, stream), scan, config)


def fitted(readouts: Iterable[Readout], scan: Scan, matrix: tuple[int, int]) -> Iterator[Readout]:
    """Located readouts, cut to what an image matrix (y, x) holds."""
    stream = iter(readouts)
    for first in stream:
        yield from encoding_of(first).fit(itertools.chain([first], stream), scan, matrix)


def is_grid(scan: Scan, config: TrajectoryConfig) -> bool:
    """Whether header and configuration promise lines of a grid; an embedded trajectory overrules them."""
    is_radial = config.source != "auto" or config.mode is not None or config.angle_increment_deg is not None
    return scan.trajectory_kind in _GRIDS and not is_radial


def _kind(head: Sequence[Readout], scan: Scan, config: TrajectoryConfig) -> str:
    embedded = [r.raw_trajectory for r in head if r.raw_trajectory is not None and r.raw_trajectory.any()]
    if embedded and config.source in ("auto", "embedded"):
        return "radial" if all(map(_is_spoke, embedded)) else "scattered"
    if not is_grid(scan, config):
        return "radial"
    if scan.trajectory_kind == "epi" and any(readout.is_reversed for readout in head):
        raise DataError(
            "the header says that the data are EPI, and readouts are reversed: they need their phase "
            "correction and regridding before, as by Gadgetron's EPIReconX and EPICorr; what comes without "
            "the flag ACQ_IS_REVERSE is reconstructed"
        )
    return "cartesian"


def _is_spoke(trajectory: np.ndarray) -> bool:
    """Whether samples (readout, dimension) lie on a straight line through the centre of k-space."""
    places = trajectory[:, :2].astype(np.float64)
    ends = places[-1] - places[0]
    length = float(np.linalg.norm(ends))
    if len(places) < 2 or length == 0:
        return False
    across = places @ np.array([-ends[1], ends[0]]) / length
    return bool(np.abs(across).max() <= _STRAIGHT * length)
