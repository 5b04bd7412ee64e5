"""What is no usable readout: left out, counted and told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from python_recon.data import Readout

logger = logging.getLogger(__name__)


def screen(readouts: Iterable[Readout]) -> Iterator[Readout]:
    """Pass the usable readouts on; leave out, with a warning, those without samples or with NaN or Inf.

    The first of a kind is reported when it comes, the number of all at the end of the stream.
    """
    dropped: Counter[str] = Counter()
    for readout in readouts:
        fault = _fault(readout)
        if fault is None:
            yield readout
            continue
        if not dropped[fault]:
            logger.warning("readout %d left out: %s", readout.scan_counter, fault)
        dropped[fault] += 1
    for fault, count in dropped.items():
        logger.warning("%d readouts left out in all: %s", count, fault)


def _fault(readout: Readout) -> str | None:
    if readout.data.size == 0:
        return "it holds no samples"
    if not np.isfinite(readout.data).all():
        return "its samples hold NaN or Inf"
    if readout.raw_trajectory is not None and not np.isfinite(readout.raw_trajectory).all():
        return "its trajectory holds NaN or Inf"
    return None
