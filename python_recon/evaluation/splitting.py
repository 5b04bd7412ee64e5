"""Spokes for the methods and spokes to judge them by, prepared alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from python_recon.acquisition.coil_compression import apply_compression, compression_matrix
from python_recon.acquisition.encoding import encoding_of
from python_recon.acquisition.radial.delays import estimate_shift, shift_spokes
from python_recon.acquisition.radial.extent import field_of_view_scale, widen
from python_recon.acquisition.spokes import every_kth_spoke, own_spokes, select, spoke_numbers
from python_recon.config import Config
from python_recon.data import KSpace
from python_recon.errors import DataError

HOLD_OUT_EVERY = 8
"""Without a truth, one spoke in so many is held out."""


def split(
    kspace: KSpace, retrospective_spokes: int | None, config: Config, *, holds_out: bool
) -> tuple[KSpace, KSpace | None, Config]:
    """The k-space for the methods and the held-out one, prepared for the chain.

    Parameters
    ----------
    kspace
        All frames of a slice, whitened and located, neither compressed nor weighted; NumPy arrays.
    retrospective_spokes
        Spokes to keep of every frame; None: all but the held-out ones.
    holds_out
        Whether spokes are held out: those that are not kept, or one in eight.

    Returns
    -------
        Field of view, delays and coils are dealt with in both parts; the configuration is the one by which
        the chain does not do that a second time.

    Raises
    ------
    DataError
        If the frames have fewer spokes than asked for, or none would be left to be held out.
    """
    mask, held_out_mask = spoke_masks(kspace, retrospective_spokes, holds_out=holds_out)
    seen = select(kspace, mask)
    prepared = _preparation(seen, config)

    def prepare(part: KSpace) -> KSpace:
        return replace(prepared(part), image_matrix=None)  # what was held out is predicted by whole images

    kept = prepare(seen)
    done = {
        "trajectory": config.trajectory.model_copy(update={"correct_delay": "off"}),
        "coils": config.coils.model_copy(update={"virtual": kept.n_coils}),
        "field_of_view_scale": 1.0,
    }
    held_out = None if held_out_mask is None else prepare(select(kspace, held_out_mask))
    return kept, held_out, config.model_copy(update=done)


def _preparation(seen: KSpace, config: Config) -> Callable[[KSpace], KSpace]:
    """Field of view, delay correction and coil compression, for any spokes of a scan.

    All of them are judged by the spokes that the methods see: nothing of the others reaches a method.
    """
    matrix = compression_matrix(seen, config.coils)
    if not encoding_of(seen).READOUTS_ARE_ALIKE:  # lines have neither a wider field of view nor delays
        return lambda kspace: apply_compression(kspace, matrix) if len(matrix) < kspace.n_coils else kspace
    scale = config.field_of_view_scale or field_of_view_scale(seen)
    mode = config.trajectory.correct_delay
    shift = None if mode == "off" else estimate_shift(widen(seen, scale))
    if shift is not None and mode == "auto" and not shift.is_significant:
        shift = None

    def prepare(kspace: KSpace) -> KSpace:
        kspace = widen(kspace, scale)
        if shift is not None:
            kspace = shift_spokes(kspace, shift)
        return kspace if len(matrix) == kspace.n_coils else apply_compression(kspace, matrix)

    return prepare


def spoke_masks(
    kspace: KSpace, retrospective_spokes: int | None, *, holds_out: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Which spokes the methods see and which are held out, if any shall be: (frame, spoke) bool.

    Raises
    ------
    DataError
        If the frames have fewer spokes than asked for, or none would be left to be held out.
    """
    numbers = spoke_numbers(kspace)
    if retrospective_spokes is not None:
        kept = encoding_of(kspace).thinned(kspace, retrospective_spokes)
        # With sliding windows a spoke that this frame leaves out may still be in its neighbour.
        left_out = own_spokes(kspace) & ~np.isin(numbers, numbers[kept])
    else:
        left_out = every_kth_spoke(kspace, HOLD_OUT_EVERY) & holds_out
        kept = (numbers >= 0) & ~left_out
    if not holds_out:
        return kept, None
    if not left_out.any():
        raise DataError(
            "no spoke is left to be held out: keep fewer spokes a frame, or give a truth to compare with"
        )
    return kept, left_out
