"""How far a worker is, as it tells the daemon, and how long it may be silent there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from gadgets.wire import DRAIN_SECONDS

_WARM_UP_S = 300.0


class Phase(Enum):
    """What a worker is doing."""

    WARMING = auto()
    IDLE = auto()
    GREETING = auto()
    """The client says what it wants."""
    WAITING = auto()
    """Others have the device."""
    RUNNING = auto()
    ENDING = auto()
    """The client has its outcome; what it still sends is received."""


@dataclass
class Progress:
    """How far a worker is, as it tells."""

    phase: Phase = Phase.WARMING
    peer: str = ""
    measurement: str = "-"
    max_recon_s: float = 0.0
    max_idle_s: float = 0.0
    n_readouts: int = 0
    is_received: bool = False
    is_within_message: bool = False
    is_closed: bool = False

    def allowed_s(self, grace_s: float) -> float | None:
        """How long the worker may be silent; None: as long as it likes, it waits for us."""
        if self.is_within_message:
            return self.max_idle_s + grace_s
        return {
            Phase.WARMING: _WARM_UP_S,
            Phase.IDLE: None,
            Phase.GREETING: self.max_idle_s + grace_s,
            Phase.WAITING: None,
            Phase.RUNNING: self.max_recon_s + grace_s + (0.0 if self.is_received else self.max_idle_s),
            Phase.ENDING: DRAIN_SECONDS + grace_s,
        }[self.phase]
