"""The error that images are expected to have: their method once more, on data with a little more noise."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ReconError
from python_recon.judging.risk import ExpectedError, Risk
from python_recon.methods.registry import Reconstruction
from python_recon.resources.schedule import Budget

_LONGEST_S = 20.0
"""A second run that takes longer is not worth the wait."""
_SHARE = 0.5
"""Of the time that is left, for the second run."""
_FAILURES = (ReconError, ArithmeticError, MemoryError, RuntimeError)

_log = logging.getLogger(__name__)


def expectation(
    result: Reconstruction, kspace: KSpace, maps: CoilMaps, seconds: float, budget: Budget
) -> Mapping[str, float | str]:
    """What is worth keeping of the expected error; nothing where the method cannot be repeated in time.

    Parameters
    ----------
    result
        The images of all frames, and how to make others in the same way.
    kspace, maps
        What they were made of.
    seconds
        That they took.
    budget
        Of the slice.
    """
    expected = result.expected
    is_possible = result.again is not None and len(result.images) == kspace.n_frames
    if expected is None and is_possible and seconds < min(_LONGEST_S, _SHARE * budget.left_s):
        try:
            expected = _judged(result, kspace, maps)
        except _FAILURES as error:  # the images are good without it
            _log.warning("slice %d: the expected error is not known: %s", kspace.counters.slice, error)
    if expected is None or expected.of_noise <= 0:  # too little is left to be told from chance
        return {}
    _log.info("slice %d: %s", kspace.counters.slice, expected)
    return {
        "expected_error": expected.relative,
        "expected_error_of_noise": expected.of_noise,
        "noise": "measured" if expected.is_measured else "estimated",
    }


def _judged(result: Reconstruction, kspace: KSpace, maps: CoilMaps) -> ExpectedError | None:
    if result.again is None or kspace.noise is None or not kspace.noise.std:
        return None
    device = str(result.images.device)
    kspace, maps = kspace.to_torch(device), maps.to_torch(device)
    risk = Risk(kspace, maps)
    with torch.no_grad():
        return risk.of(result.images, result.again(risk.disturbed, maps))
