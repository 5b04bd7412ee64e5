"""One module for each method, with its options; ``registry`` names them; ``methods()`` lists them."""

from __future__ import annotations

import sys
from types import ModuleType


class _Methods(ModuleType):
    """The package itself: ``from python_recon import methods`` gives it, whatever was imported before."""

    def __call__(self) -> dict[str, str]:
        """Name of every method, those of other packages included, and what it does in one line."""
        from python_recon.config import load_preset, preset_names

        return {name: load_preset(name).description for name in preset_names()}


sys.modules[__name__].__class__ = _Methods
