"""When one held-out error counts as smaller than another: all that is decided by such errors asks here.

An error is clearly less than another one where it is less by more than chance. What gains less is not worth a
decision, and the simpler choice stays.
"""

from __future__ import annotations

SURE = 4.0
"""What must be gained, in standard deviations of what noise alone may do. Gains of up to 9 were once seen
where images had become worse by up to 2 dB: by what a network wrote beyond the reach of all samples, which is
not taken any more (:mod:`python_recon.operators.reach`)."""
UNKNOWN = 1e-3
"""What must be gained, as a share of an error, where nobody has measured what noise may do: about that of
paired differences of a usual scan, and far more than rounding."""


def is_clearly_less(error: float, than: float, by_chance: float | None = None) -> bool:
    """Whether an error is smaller than another one by more than chance; never where one is not a number.

    Parameters
    ----------
    error, than
        Of two fields on the same samples: both relative, or both sums of squares.
    by_chance
        Standard deviation of what noise alone does to their difference, in the same unit; None: not known.
    """
    margin = UNKNOWN * than if by_chance is None else SURE * by_chance
    return error < than - margin
