"""The second of two stages: recon data or acquisition buckets in, images out.

Takes what :mod:`gadgets.accumulate` sends, with or without C++ gadgets in between, and what Gadgetron's
AcquisitionAccumulateTriggerGadget and BucketToBufferGadget send. Frames are cut anew from the readouts by
their headers, so the result does not depend on how the sender grouped them. Gadgetron starts it as
``python -m gadgetron PORT gadgets.recon_data reconstruct``.
"""

from __future__ import annotations

from typing import Any

from gadgets.guard import run_gadget
from gadgets.stage import images


def reconstruct(connection: Any) -> None:
    """Reconstruct the recon data or buckets that a ``gadgetron.external.Connection`` brings."""
    run_gadget(connection, images)
