"""The scans of the heart that methods are tried on."""

from tests.methods.conftest import heart, small_heart

__all__ = ["heart", "small_heart"]
