"""Deadlines and progress of long work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

ProgressReport = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done (0..1)."""


def _silent(_stage: str, _done: float) -> None:
    pass


@dataclass(frozen=True)
class Budget:
    """How long a method may take, and whom it tells how far it is."""

    seconds: float = float("inf")
    report: ProgressReport = _silent
    started: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return self.seconds - (time.monotonic() - self.started)

    @property
    def is_spent(self) -> bool:
        return self.left_s <= 0
