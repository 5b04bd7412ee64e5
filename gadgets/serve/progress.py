"""How far a worker is, as it tells the daemon, and how long it may be silent there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto

from gadgets.wire.wire import DRAIN_SECONDS

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
    """Data arrive, or images are made."""
    ENDING = auto()
    """The client has its outcome; what it still sends is received."""


@dataclass
class Progress:
    """How far a worker is, as it tells."""

    phase: Phase = Phase.WARMING
    peer: str = ""
    measurement: str = ""
    method: str = ""
    max_recon_s: float = 0.0
    max_idle_s: float = 0.0
    n_readouts: int = 0
    is_received: bool = False
    is_within_message: bool = False
    is_closed: bool = False
    is_captured: bool = False
    """Its data are being kept."""
    turn_ends: float | None = None
    """When it has to have left the device, by the monotonic clock; None where it does not have it."""

    def grant(self, grace_s: float) -> None:
        """It has the device."""
        self.phase = Phase.RUNNING
        self.turn_ends = time.monotonic() + self.max_recon_s + grace_s

    def leave(self) -> None:
        """It does not have the device, or wait for it, any more."""
        self.phase, self.turn_ends = Phase.RUNNING, None

    def allowed_s(self, grace_s: float) -> float | None:
        """How long the worker may be silent; None: as long as it likes, it waits for us."""
        silence_s = self._silence_s(grace_s)
        if self.turn_ends is None or self.is_within_message:
            return silence_s
        turn_s = max(self.turn_ends - time.monotonic(), 0.0)
        return turn_s if silence_s is None else min(silence_s, turn_s)

    def overdue_text(self, grace_s: float) -> str:
        """What to say of a worker that was silent for longer."""
        if self.phase is Phase.WARMING:
            return f"the process of the reconstruction was not ready within {_WARM_UP_S:g} s"
        if self.phase is Phase.GREETING:
            return f"no configuration and header came within {self.max_idle_s + grace_s:g} s"
        return (
            "the reconstruction made no progress any more and was ended; it may take max_recon_seconds "
            f"({self.max_recon_s:g}) and {grace_s:g} s of grace"
        )

    def _silence_s(self, grace_s: float) -> float | None:
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
