"""Whether a fit that ran out of time is worth more than gridding, which takes none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from python_recon.acquisition.spokes import every_kth_spoke, frame_times, own_spokes, select
from python_recon.arrays import to_numpy
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import DeadlineError
from python_recon.fields.fitted import FittedField
from python_recon.judging.held_out import prediction_error
from python_recon.operators.sense import Sense, density_of

_MOST_FRAMES = 8
"""That are judged."""
_FAR_APART = 1.2
"""Ratio of mean errors from which on no more frames are looked at: rendering one can take seconds."""
_EVERY = 20
"""One of so many spokes judges, where none is held out."""


def require_use(fitted: FittedField, kspace: KSpace, kept: np.ndarray, maps: CoilMaps) -> None:
    """Refuse a field whose images predict spokes no better than gridded ones do.

    The spokes are those that were held out or, where there are none, every twentieth of the fit. Gridded are
    all others.

    Parameters
    ----------
    fitted
        The field as it is when the time is up.
    kspace, maps
        Of the fit, on its device.
    kept
        (frame, spoke) bool, the spokes of the fit.

    Raises
    ------
    DeadlineError
        If gridding is at least as good.
    """
    held_out = own_spokes(kspace) & ~kept
    every = max(2, min(_EVERY, int(kept.sum()) // 2))
    judging = held_out if held_out.any() else kept & every_kth_spoke(kspace.to_numpy(), every)
    frames = np.flatnonzero(judging.any(1))
    if not frames.size:
        return  # a single spoke
    frames = frames[:: -(-len(frames) // _MOST_FRAMES)]
    field, gridding = _mean_errors(_errors(fitted, kspace, judging, maps, int(frame)) for frame in frames)
    if field >= gridding:
        raise DeadlineError(
            f"time ran out while the field predicted {'held-out' if held_out.any() else 'its own'} spokes no "
            f"better than gridding does (errors {field:.2f} and {gridding:.2f}): allow more time "
            "(max_recon_seconds), or set a method that needs less"
        )


def _mean_errors(frames: Iterator[tuple[float, float]]) -> tuple[float, float]:
    """Of the field and of gridding, in as many frames as it takes to tell them apart."""
    errors: list[tuple[float, float]] = []
    for each in frames:
        errors.append(each)
        field, gridding = np.mean(errors, axis=0).tolist()
        if max(field, gridding) > _FAR_APART * min(field, gridding):
            break
    return field, gridding


def _errors(
    fitted: FittedField, kspace: KSpace, judging: np.ndarray, maps: CoilMaps, number: int
) -> tuple[float, float]:
    """Of the field, and of gridding, in one frame."""
    index = slice(number, number + 1)
    frame = kspace.frames(index)
    measured = select(frame.to_numpy(), judging[index])
    own_maps = replace(maps, maps=to_numpy(maps.maps))
    weights = density_of(frame) * maps.maps.real.new_tensor(~judging[index, :, None])
    gridded = Sense(frame, maps).adjoint(frame.data * weights[:, None])
    (image,) = fitted.render(frame_times(kspace)[index])
    field_error, gridding_error = (
        prediction_error(to_numpy(images), own_maps, measured) for images in (image, gridded)
    )
    return field_error, gridding_error
