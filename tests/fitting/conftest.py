"""Fits are tested on the scans that methods are tested on."""

from tests.methods.conftest import heart, small_heart

__all__ = ["heart", "small_heart"]
