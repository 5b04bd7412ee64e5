"""Training of a network on the component images of many scans.

The loss of an example is that of :mod:`python_recon.methods.zs_ssl`: the squared error against the other data
of a pair, weighed by the density, where 1 is the error of the images that the network starts from and a noise
less. Scans that could have been as well are seen as well (:mod:`~python_recon.training.symmetry`). After each
epoch the scans that are kept to judge by tell whether the network is the best so far; only then it is
written. Whatever ends a training, the file holds the best.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field

from python_recon.config import Section
from python_recon.errors import BackendError
from python_recon.fitting.descent import adam, cosine, set_rate
from python_recon.fitting.tracking import Track, untracked
from python_recon.methods.bounds import Seed
from python_recon.networks.component_network import Architecture, ComponentNetwork
from python_recon.resources.schedule import ProgressReport, silent
from python_recon.training.cache import Cached
from python_recon.training.examples import Example
from python_recon.training.state import State
from python_recon.training.symmetry import Symmetry
from python_recon.training.team import Team

_log = logging.getLogger(__name__)
LOSS = "squared k-space error against the other data of a recorrupted pair, weighed by the density"
_STEEPEST = 1.0
"""Longest gradient of a step: an example with little noise must not tear the weights away."""
_JUDGED_PAIRS = 2
"""Of each scan that judges."""
_LEAST_RATE = 0.02
"""Of the learning rate, at the end."""


class TrainOptions(Section):
    """How a network is trained."""

    method: Literal["ssdu", "ssfl"] = "ssdu"
    """What runs it afterwards; ssfl learns features first."""
    width: int = Field(32, ge=4, le=512)
    """Channels of the network at full resolution."""
    unrolls: int = Field(1, ge=1, le=16)
    """Times that network and data take turns."""
    data_steps: int = Field(2, ge=1, le=16)
    """Gradient steps towards the data behind the network."""
    epochs: int = Field(100, ge=1, le=1_000_000)
    """Times that each example is seen at most."""
    hours: float = Field(24.0, gt=0, le=10_000)
    """Longest time of the training."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """Of Adam, at first; it falls along a cosine by the last epoch or the time."""
    validation: float = Field(0.2, gt=0, lt=1)
    """Share of the measurements that judge."""
    features: Literal["contrastive", "vicreg"] = "contrastive"
    """How the features of ssfl are learned."""
    feature_epochs: int = Field(60, ge=1, le=1_000_000)
    """Times that each example is seen for that."""
    seed: Seed = 0
    """Of the first weights and of the order of the examples."""

    @property
    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture(
            width=self.width,
            unrolls=self.unrolls,
            data_steps=self.data_steps,
            has_features=self.method == "ssfl",
        )


@dataclass(frozen=True)
class Plan:
    """Examples to learn from and to judge by, and who does it."""

    learned: Sequence[Cached]
    judges: Sequence[Cached]
    device: str = "cpu"
    team: Team = field(default_factory=Team)


@dataclass
class Trainer:
    """A training on its way.

    Parameters
    ----------
    network
        Its weights are changed; those of an encoder that was trained before are not.
    plan, options
        What is to be done.
    keep
        Is given the state whenever the network is the best so far.
    save
        Is given the state after every epoch, to resume from.
    """

    network: ComponentNetwork
    plan: Plan
    options: TrainOptions
    keep: Callable[[State], None]
    save: Callable[[State], None]
    report: ProgressReport = silent
    track: Track = untracked
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.network.to(self.plan.device).train()
        self._weights = self.network.learnable()
        if self.network.encoder is not None:
            self.network.encoder.requires_grad_(requires_grad=False)
        self._optimiser = adam(self._weights, self.options.learning_rate, torch.device(self.plan.device))
        self.state.restore(self.network, self._optimiser)
        self._began = time.monotonic()

    def run(self) -> State:
        """All epochs, or as many as the time allows; Ctrl-C ends it, with the best network so far.

        Raises
        ------
        BackendError
            If no network was finite.
        """
        try:
            while not self._is_over():
                self._epoch()
        except KeyboardInterrupt:
            if not self.state.validation:
                raise
            _log.warning("stopped in epoch %d: the best network so far is kept", self.state.epoch + 1)
        if not any(math.isfinite(error) for error in self.state.validation):
            raise BackendError(
                "the training diverged: no network of it is finite; lower --learning-rate, which is "
                f"{self.options.learning_rate:g}"
            )
        return self.state

    @property
    def _done(self) -> float:
        passed_s = self.state.seconds + time.monotonic() - self._began
        return min(max(self.state.epoch / self.options.epochs, passed_s / (3600 * self.options.hours)), 1.0)

    def _is_over(self) -> bool:
        # One process decides, since the clocks of all differ.
        done = torch.tensor([self._done], device=self.plan.device)
        return self.state.epoch > 0 and bool(self.plan.team.mean(done) >= 1)

    def _epoch(self) -> None:
        self.network.train()
        losses = [self._step(example, number) for number, example in enumerate(self._order())]
        error = self.judged()
        self.state.epoch += 1
        self.state.validation.append(error)
        figures = {"loss": sum(losses) / max(len(losses), 1), "validation error": error}
        self.track(self.state.epoch, figures)
        self.state.take(self.network, self._optimiser, time.monotonic() - self._began)
        self._began = time.monotonic()
        if self.plan.team.is_first:
            if math.isfinite(error) and error <= min(filter(math.isfinite, self.state.validation)):
                self.keep(self.state)
            self.save(self.state)
        self._tell(figures)

    def _order(self) -> Iterator[Example]:
        """Those of this process in the order of the epoch, each read while the one before is used."""
        chance = random.Random(f"{self.options.seed} {self.state.epoch}")  # noqa: S311  no secret
        chosen = list(self.plan.learned)
        chance.shuffle(chosen)
        team = self.plan.team
        share = -(-len(chosen) // team.size)  # all take as many steps: some examples twice
        mine = [chosen[(team.rank + team.size * turn) % len(chosen)] for turn in range(share)]
        return read_ahead(mine, self.plan.device)

    def _step(self, example: Example, number: int) -> float:
        chance = random.Random(f"{self.options.seed} {self.state.epoch} {number} {self.plan.team.rank}")  # noqa: S311
        set_rate(self._optimiser.param_groups[0], self.options.learning_rate * self._rate())
        self._optimiser.zero_grad(set_to_none=True)
        symmetry = Symmetry.by_chance(len(example.own), chance)
        loss = error_of(self.network, example, chance.randrange(example.n_pairs), symmetry)
        loss.backward()  # type: ignore[no-untyped-call]
        self.plan.team.average_gradients(self._weights)
        torch.nn.utils.clip_grad_norm_(self._weights, _STEEPEST)
        self._optimiser.step()
        return float(loss.detach())

    def _rate(self) -> float:
        return max(cosine(self._done), _LEAST_RATE)

    @torch.no_grad()
    def judged(self) -> float:
        """Mean error of the scans that judge."""
        self.network.eval()
        errors = [
            float(error_of(self.network, example, number))
            for example in read_ahead(self.plan.judges, self.plan.device)
            for number in range(min(example.n_pairs, _JUDGED_PAIRS))
        ]
        return sum(errors) / len(errors)

    def _tell(self, figures: dict[str, float]) -> None:
        done = self._done
        passed_s = self.state.seconds
        left_s = min(passed_s * (1 - done) / max(done, 1e-9), 3600 * self.options.hours - passed_s)
        self.report(
            f"epoch {self.state.epoch}, validation error {figures['validation error']:.4f} (best "
            f"{min(self.state.validation):.4f}), {duration(left_s)} left",
            done,
        )


def error_of(
    network: ComponentNetwork, example: Example, number: int, symmetry: Symmetry | None = None
) -> torch.Tensor:
    """How far changed images lie from the other data of a pair; 1 for unchanged ones, and a noise less."""
    pair = example.pair(number)
    if symmetry is None:
        change = network(pair.gram, pair.start.components, pair.start.residual, example.noise)
    else:
        moved = [symmetry.apply(images) for images in (pair.start.components, pair.start.residual)]
        change = symmetry.undo(network(symmetry.around(pair.gram), *moved, example.noise))
    return pair.loss(change, 0)


def read_ahead(cached: Sequence[Cached], device: str) -> Iterator[Example]:
    """Examples in order, one in use and one on its way: memory does not grow with their number."""

    def load(one: Cached) -> Example:
        return one.load().to(device)

    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(load, one) for one in cached[:1]]
        for following in [*cached[1:], None]:
            example = coming.pop().result()
            if following is not None:
                coming.append(reader.submit(load, following))
            yield example


def duration(seconds: float) -> str:
    """Such as 45 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
