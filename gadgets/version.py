"""Which version made the images."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def plugin_version() -> str:
    """The version of this package; ``unknown`` where it runs without being installed."""
    try:
        return version("gadgetron-pisco")
    except PackageNotFoundError:
        return "unknown"
