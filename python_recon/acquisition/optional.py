"""Corrections that better an image and may fail: none of them costs a slice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from python_recon.data import KSpace

_log = logging.getLogger(__name__)

_FAILURES = (ArithmeticError, LookupError, ValueError)
"""What numerics raise on data that determine nothing; numpy's LinAlgError is a ValueError."""


def attempt(name: str, correction: Callable[[KSpace], KSpace], kspace: KSpace) -> KSpace:
    """The corrected k-space or, where the correction fails, the same with a comment that says so.

    Parameters
    ----------
    name
        What is not done then, for the reader of the image: "gradient delays".
    """
    try:
        return correction(kspace)
    except _FAILURES as error:
        _log.warning("slice %d: %s are not corrected: %r", kspace.counters.slice, name, error)
        comment = "; ".join(filter(None, [kspace.comment, f"{name} could not be corrected"]))
        return replace(kspace, comment=comment)
