"""Each frame of a series as the mean of those that resemble it, moved onto it.

A beating and breathing object comes back to the same state again and again: frames far apart in time are
near each other as images. The nearest ones are warped onto a frame by optical flow of the magnitudes and
averaged with it; a pixel that still differs after that by more than noise counts for little, so that what the
flow cannot follow stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from python_recon.motion.optical_flow import flow, pyramid, warped, window_mean
from python_recon.resources.parallel import side_by_side

_RESIDUAL_RADIUS = 2
"""Of the window in which a moved frame is compared, pixels: single ones would choose noise that is alike."""
_RIDGE = 1e-6
"""Mean squared slope without structure, relative to the square of the largest magnitude."""
_OBJECT = 0.1
"""Share of the largest magnitude from which on a pixel belongs to the object."""
_SUPPORTED = 0.5
"""Sum of the neighbours' weights from which on a pixel was followed, and the share of the object's pixels of
which that has to be so for a frame to be averaged."""
_FRAMES_TOGETHER = 4
"""On a GPU."""


@dataclass(frozen=True)
class Averaging:
    """How frames are averaged."""

    neighbours: int
    """Frames that are moved onto each, as many as there are at most."""
    radius: int
    """Of the window of the optical flow, pixels."""
    warps: int
    """Refinements of the flow at each level."""
    sigma: float
    """Difference at which a neighbour's weight falls to exp(-1/2), in the unit of the images."""


@dataclass(frozen=True)
class Averaged:
    """A series of means."""

    images: torch.Tensor
    """(frame, y, x) complex; the frames that could not be followed are as they were."""
    is_followed: torch.Tensor
    """(frame,) bool."""


def average_neighbours(
    series: torch.Tensor, how: Averaging, is_over: Callable[[float], bool] = lambda _done: False
) -> Averaged | None:
    """Average every frame with its nearest ones, moved onto it.

    Parameters
    ----------
    series
        (frame, y, x) complex, two frames or more.
    how
        Number of neighbours, flow and weights.
    is_over
        Called with the share that is done; returning True ends the work.

    Returns
    -------
        None where the work was ended before all frames were done.
    """
    top = series.abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    work = _Work(series / top, how, float(how.sigma / top))
    images, followed = [], []
    for block in _blocks(len(series), series.device):
        for means, are_followed in work.of_block(block):
            images.append(means)
            followed.append(are_followed)
        if is_over((block[-1] + 1) / len(series)) and block[-1] + 1 < len(series):
            return None
    is_followed = torch.cat(followed)
    return Averaged(torch.where(is_followed[:, None, None], torch.cat(images) * top, series), is_followed)


def nearest_frames(series: torch.Tensor, count: int) -> torch.Tensor:
    """(frame, neighbour) the nearest other frames of (frame, y, x), as many as there are at most."""
    vectors = torch.view_as_real(series).flatten(1)
    distances = torch.cdist(vectors, vectors).fill_diagonal_(torch.inf)
    return distances.topk(min(count, len(series) - 1), largest=False).indices


class _Work:
    """What the frames of a series have in common while they are averaged; its largest magnitude is 1."""

    def __init__(self, series: torch.Tensor, how: Averaging, sigma: float) -> None:
        self._how, self._sigma = how, sigma
        self._near = nearest_frames(series, how.neighbours)
        self._levels = pyramid(series.abs())
        self._parts = torch.view_as_real(series).movedim(-1, 1).contiguous()
        self._is_object = self._levels[0] > _OBJECT

    def of_block(self, frames: range) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Means of some frames, and which of them were followed; parts of them side by side."""
        return side_by_side(lambda part: self._means(frames[part]), len(frames), self._near.device)

    def _means(self, frames: range) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.arange(frames.start, frames.stop, device=self._near.device)
        moved, own = self._moved(index), self._parts[index]
        residual = (moved - own[:, None]).square().sum(2)
        radius = _fitting(_RESIDUAL_RADIUS, residual.shape[-2:])
        weights = torch.exp(window_mean(residual, radius) / (-2 * self._sigma**2))
        total = weights.sum(1)
        mean = (own + (weights[:, :, None] * moved).sum(1)) / (1 + total[:, None])
        return torch.complex(mean[:, 0], mean[:, 1]), self._are_followed(index, total)

    def _moved(self, index: torch.Tensor) -> torch.Tensor:
        """(frame, neighbour, part, y, x) the neighbours, where the frames have what they show."""
        near, how = self._near[index], self._how
        count = near.shape[1]
        fixed = [level[index].repeat_interleave(count, 0) for level in self._levels]
        moving = [level[near.flatten()] for level in self._levels]
        radius = _fitting(how.radius, moving[-1].shape[-2:])
        displacement = flow(fixed, moving, radius, how.warps, _RIDGE)
        # Cubic: linear interpolation smooths, and what it smooths is the mean of all.
        moved = warped(self._parts[near.flatten()], displacement, "bicubic")
        return moved.reshape(*near.shape, *moved.shape[1:])

    def _are_followed(self, index: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """(frame,) whether neighbours fit on most of the object."""
        is_object = self._is_object[index]
        fits = (is_object & (total > _SUPPORTED)).sum((1, 2))
        return fits > _SUPPORTED * is_object.sum((1, 2))


def _fitting(radius: int, shape: torch.Size) -> int:
    """A radius whose window the image can be mirrored for."""
    return min(radius, min(shape) - 1)


def _blocks(n_frames: int, device: torch.device) -> Iterator[range]:
    """Frames that are averaged at once: on a CPU one a thread, whose neighbours stay in its cache."""
    together = torch.get_num_threads() if device.type == "cpu" else _FRAMES_TOGETHER
    return (range(first, min(first + together, n_frames)) for first in range(0, n_frames, together))
