"""Fits for which the memory is too small are tried again with less."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from python_recon.fitting.keeping import KeepingOptions
from python_recon.resources.memory import is_out_of_memory
from python_recon.resources.usage import give_memory_back

_Options = TypeVar("_Options", bound=KeepingOptions)
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


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


def shrunk(wanted: KeepingOptions, taken: KeepingOptions) -> str:
    """Which options were made smaller; empty where none was."""
    before, after = wanted.model_dump(), taken.model_dump()
    changes = [
        f"{key} {value} instead of {before[key]}" for key, value in after.items() if value != before[key]
    ]
    return f"{', '.join(changes)}, to fit into memory" if changes else ""
