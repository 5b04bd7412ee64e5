"""Fits for which the memory is too small are tried again with less."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from python_recon.resources.memory import is_out_of_memory
from python_recon.resources.usage import give_memory_back

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)


class Shrinkable(Protocol):
    """Options of a fit that may have to do with less memory."""

    def smaller(self) -> Self | None:
        """The options of a fit that takes less; None where that is not to be had."""

    def model_dump(self) -> dict[str, Any]:
        """All options by name."""


_Options = TypeVar("_Options", bound=Shrinkable)
_Result = TypeVar("_Result")


def within_memory(attempt: Callable[[_Options], _Result], options: _Options) -> tuple[_Result, _Options]:
    """What an attempt gives with these options or with the first smaller ones that the memory holds.

    Returns
    -------
        The result, and the options that it was made with.
    """
    while True:
        try:
            return attempt(options), options
        except (MemoryError, RuntimeError) as error:
            smaller = options.smaller()
            if not is_out_of_memory(error) or smaller is None:
                raise
            _log.warning("out of memory: the fit is tried again with %s", shrunk(options, smaller))
        # Not within the handler, whose error would keep the memory of all that led to it.
        options = smaller
        give_memory_back()


def shrunk(wanted: Shrinkable, taken: Shrinkable) -> str:
    """Which options were made smaller; empty where none was."""
    before, after = wanted.model_dump(), taken.model_dump()
    changes = [
        f"{key} {value} instead of {before[key]}" for key, value in after.items() if value != before[key]
    ]
    return f"{', '.join(changes)}, to fit into memory" if changes else ""
