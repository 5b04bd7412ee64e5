"""Errors that a user or a scanner operator may see.

::

    ReconError
    ├── ConfigError            a setting is unknown, out of range or contradicts another
    ├── StreamError            the peer went away, fell silent or ended early
    │   └── ProtocolError      the peer sent what the protocol does not allow
    ├── DataError              the measurement cannot be reconstructed as it is
    │   ├── ShapeError         two arrays that belong together do not fit
    │   └── MissingTrajectoryError
    ├── BackendError           a library or a device is missing or failed
    └── DeadlineError          time ran out before there was anything to show

Each message says what was found, what was expected and what to do about it.
"""

from __future__ import annotations


class ReconError(Exception):
    """Any failure that the project foresees; its text is fit for the scanner's screen."""


class ConfigError(ReconError):
    """A setting is unknown, out of range or contradicts another."""


class StreamError(ReconError):
    """The peer went away, fell silent or ended early."""


class ProtocolError(StreamError):
    """The peer sent what the protocol does not allow."""


class DataError(ReconError):
    """The measurement cannot be reconstructed as it is."""


class ShapeError(DataError):
    """Two arrays that belong together do not fit."""


class MissingTrajectoryError(DataError):
    """The data carry no trajectory and none can be derived."""


class BackendError(ReconError):
    """A library or a device is missing or failed."""


class DeadlineError(ReconError):
    """Time ran out before there was anything to show."""
