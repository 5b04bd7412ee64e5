"""The default gadget: acquisitions in, images out.

Gadgetron starts it as ``python -m gadgetron PORT gadgets.radial reconstruct``.
"""

from __future__ import annotations

from typing import Any

from gadgets.guard import run_gadget
from gadgets.stage import images


def reconstruct(connection: Any) -> None:
    """Reconstruct the scan that a ``gadgetron.external.Connection`` brings."""
    run_gadget(connection, images)
