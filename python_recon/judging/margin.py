"""When one held-out error counts as smaller than another: what is decided by such errors asks here.

Errors of two fields that explain the data alike differ by rounding, and those of equally good ones by the
noise of the few spokes that judge: about 0.1 % for paired differences of a usual scan. What gains less is not
worth a decision, and the simpler choice stays.
"""

from __future__ import annotations

CLEARLY = 1e-3
"""Share of an error that is to be gained."""


def is_clearly_less(error: float, than: float) -> bool:
    """Whether an error is smaller than another one by more than chance; never where one is not a number."""
    return error < (1 - CLEARLY) * than
