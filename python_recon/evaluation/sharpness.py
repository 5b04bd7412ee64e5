"""How sharp motion is in time: the width of the edges of x-t profiles, in frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHARE = 0.5
"""An edge counts where its rise is at least this share of the largest."""
_FLAT = 0.05
"""Share of the steepest step below which an edge has ended."""
_STEP = 0.25
"""Frames between the points at which edges are averaged."""
_FEWEST_FRAMES = 3
"""On either side of an edge."""


@dataclass(frozen=True)
class EdgeWidths:
    """From 10 to 90 % of the rise, in frames."""

    images: float
    truth: float

    @property
    def widening(self) -> float:
        """By how much the edges of the images are wider than those of the truth."""
        return self.images - self.truth


def edge_widths(images: np.ndarray, truth: np.ndarray) -> EdgeWidths | None:
    """Widths of the moving edges of time courses; None where nothing moves but at the ends of the series.

    The edge of a time course of the truth is its steepest step with all of the rise or fall around it. Edges
    are laid over each other where the truth is half way, rising, and their mean is measured, as is done with
    slanted edges for the resolution in space: noise averages out, and smearing does not. Images that move
    early or late in some places have a wide mean edge, too.

    Parameters
    ----------
    images, truth
        (point, frame) magnitudes, on one scale.
    """
    if truth.shape[1] < 2 * _FEWEST_FRAMES + 2:
        return None
    reach = _reach(truth)
    starts, ends, rises = _runs(truth, reach)
    middles = np.array([_crossing(*each) for each in zip(truth, starts, ends, strict=True)])
    fits = (middles >= reach) & (middles <= truth.shape[1] - 1 - reach)
    chosen = np.flatnonzero(fits & (np.abs(rises) >= _SHARE * np.abs(rises).max(initial=0)) & (rises != 0))
    if not chosen.size:
        return None
    offsets = np.arange(-reach, reach + _STEP / 2, _STEP)
    widths = (
        _width(_mean_edge(curves, chosen, middles, rises, offsets), offsets) for curves in (images, truth)
    )
    return EdgeWidths(*widths)


def _runs(curves: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last frame (point,) of the rise or fall with the steepest step of a course, and its height.

    A margin of frames at the ends of the series is left out of the search for that step.
    """
    steps, points = np.diff(curves, axis=1), np.arange(len(curves))
    steepest = margin + np.abs(steps[:, margin : steps.shape[1] - margin]).argmax(1)
    largest = steps[points, steepest][:, None]
    goes_on = steps * np.sign(largest) > _FLAT * np.abs(largest)
    frames = np.arange(steps.shape[1])
    breaks_before = np.where(~goes_on & (frames < steepest[:, None]), frames + 1, 0).max(1)
    breaks_after = np.where(~goes_on & (frames > steepest[:, None]), frames, steps.shape[1]).min(1)
    return breaks_before, breaks_after, curves[points, breaks_after] - curves[points, breaks_before]


def _reach(curves: np.ndarray) -> int:
    """Frames that are looked at on either side of an edge: more than the larger ones take, if there are."""
    starts, ends, rises = _runs(curves, 0)
    large = np.abs(rises) >= _SHARE * np.abs(rises).max(initial=0)
    usual = int(np.ceil(np.median((ends - starts)[large])))
    return max(_FEWEST_FRAMES, min(usual, curves.shape[1] // 4))


def _crossing(curve: np.ndarray, start: int, end: int) -> float:
    """Frame, with its fraction, at which a rise or fall is half way."""
    frames = np.arange(start, end + 1)
    values = curve[start : end + 1]
    order = slice(None) if values[-1] >= values[0] else slice(None, None, -1)
    return float(np.interp((values[0] + values[-1]) / 2, values[order], frames[order]))


def _mean_edge(
    curves: np.ndarray, chosen: np.ndarray, middles: np.ndarray, rises: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """(offset,) mean of the chosen edges, each in units of its rise in the truth."""
    frames = np.arange(curves.shape[1])
    edges = [np.interp(middles[p] + offsets, frames, curves[p]) / rises[p] for p in chosen]
    return np.mean(edges, axis=0)  # type: ignore[no-any-return]


def _width(edge: np.ndarray, offsets: np.ndarray) -> float:
    """Frames from 10 to 90 % of the rise between the lowest point before the middle and the highest after."""
    middle = len(offsets) // 2
    low, high = edge[: middle + 1].min(), edge[middle:].max()
    share = (edge - low) / max(high - low, np.finfo(float).tiny)
    first = middle - int((share[middle::-1] <= 0.1).argmax())
    last = middle + int((share[middle:] >= 0.9).argmax())
    begins = np.interp(0.1, share[first : first + 2], offsets[first : first + 2])
    ends = np.interp(0.9, share[last - 1 : last + 1], offsets[last - 1 : last + 1])
    return float(ends - begins)
