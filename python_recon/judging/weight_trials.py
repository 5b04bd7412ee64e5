"""The weight of a consistency term, chosen on the way: trials that begin alike, judged by held-out spokes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch

from python_recon.judging.margin import is_clearly_less

WEIGHTS = (0.0, 0.005, 0.02, 0.05)
"""Candidates, for a data term with an epsilon of 0.1, which is far below 1 in the outer k-space."""
SHARE = 0.06
"""Length of a trial, of the steps of a fit. That of the best one is on the way to the final field; the others
come on top."""
KEPT = 0.8
"""Of two weights the larger is better if it keeps this share of what is gained over none: in a short trial
the data term has not learned much of the noise yet, against which the weight is to help."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FixedWeight:
    """A weight that is not chosen: none at first, then always the same."""

    weight: float
    begins: float
    """Share of the fit without it."""
    steps: int
    """Of the fit."""

    @property
    def settles_from(self) -> float:
        """Share of the fit in which it cannot have converged."""
        return self.begins

    def __call__(self, done: float) -> float:
        """The weight of the step that begins when this share of the fit is done."""
        return self.weight if done >= self.begins else 0.0

    def on_the_way(self, done: float) -> float:
        """All of the fit leads to the final field."""
        return done

    def chosen(self, _step: int) -> None:
        """None was chosen."""


class WeightTrials:
    """Gives the weight of every step; the candidates have their turns, and then the best one goes on.

    All begin with the same field, moments of the optimiser and random numbers, and have the same learning
    rates. What comes of it is the field of a fit of the best weight alone.

    Parameters
    ----------
    begins
        Share of the way to the final field before the first trial.
    steps
        On that way.
    optimisers
        Of all that is fitted, each of the same parameters. Their state is one of zeros before their first
        step, as that of Adam is; the first one steps before the others.
    generator
        Of the steps.
    judge
        Error of the field as it is.
    """

    def __init__(
        self,
        begins: float,
        steps: int,
        optimisers: Sequence[torch.optim.Optimizer],
        generator: torch.Generator,
        judge: Callable[[], float],
    ) -> None:
        self._optimisers, self._generator, self._judge = optimisers, generator, judge
        self._way, self._begins = steps, math.ceil(round(begins * steps, 6))
        self._length = max(1, min(round(SHARE * steps), steps - self._begins))
        self._turn, self._weight = -1, 0.0
        self._given: list[float] = []
        self._first: _State | None = None
        self._errors: dict[float, float] = {}
        self._ends: dict[float, _State] = {}

    @property
    def steps(self) -> int:
        """Of the fit, those of all trials included."""
        return self._way + (len(WEIGHTS) - 1) * self._length

    @property
    def settles_from(self) -> float:
        """Share of the fit at the end of the last trial, before which it cannot have converged."""
        return min(1.0, (self._begins + len(WEIGHTS) * self._length) / self.steps)

    def __call__(self, done: float) -> float:
        """The weight of the step that begins when this share of the fit is done."""
        turn = self._turn_at(done)
        if turn != self._turn:
            self._end()
            self._begin(turn)
        self._given.append(self._weight)
        return self._weight

    def chosen(self, step: int) -> float | None:
        """The weight that the field of a step, counted from 1, was made with.

        That of a trial may be the best field of a fit, also where the fit went on from another. None: not all
        candidates had their turns, or none of them left a finite field.
        """
        is_chosen = len(self._errors) == len(WEIGHTS) and best_weight(self._errors) is not None
        return self._given[step - 1] if is_chosen else None

    def on_the_way(self, done: float) -> float:
        """Share that is done of the way to the final field, on which there is one trial only.

        By this the learning rate falls: the same in every trial, and smoothly from the best one on.
        """
        others = min(max(self._turn_at(done), 0), len(WEIGHTS) - 1)
        return (self._number(done) - others * self._length) / self._way

    def _number(self, done: float) -> float:
        """Of the step, counted in shares of the time where that runs out sooner."""
        return round(done * self.steps, 6)

    def _turn_at(self, done: float) -> int:
        """Index of the candidate; -1 before the trials, the number of candidates after them."""
        return max(-1, min(int((self._number(done) - self._begins) // self._length), len(WEIGHTS)))

    def _end(self) -> None:
        """Judge the candidate whose turn it was."""
        if self._turn < 0:
            return
        self._errors[self._weight] = error = self._judge()
        self._ends[self._weight] = _State.of(self._optimisers, self._generator)
        _log.info("weight %g of the consistency term: held-out error %.4f", self._weight, error)

    def _begin(self, turn: int) -> None:
        """Put the field where every candidate begins, or where the best one ended."""
        self._turn = turn
        begin = self._first = self._first or _State.of(self._optimisers, self._generator)
        if turn < len(WEIGHTS):
            self._weight = WEIGHTS[turn]
        else:
            best = best_weight(self._errors)
            self._weight, begin = (0.0, begin) if best is None else (best, self._ends[best])
            self._ends.clear()
        begin.restore(self._optimisers, self._generator)


def best_weight(errors: Mapping[float, float]) -> float | None:
    """The best of some weights by their errors: none, unless another is clearly better.

    None where no error is finite.
    """
    finite = {weight: error for weight, error in errors.items() if math.isfinite(error)}
    if not finite:
        return None
    least = min(finite.values())
    if 0.0 in finite and not is_clearly_less(least, finite[0.0]):
        return 0.0
    gained = finite.get(0.0, least) - least
    return max(weight for weight, error in finite.items() if error <= least + (1 - KEPT) * gained)


@dataclass(frozen=True)
class _State:
    """What a fit goes on from."""

    tensors: list[torch.Tensor]
    """Copies of the parameters and of the moments of the optimiser, of which it has none at first."""
    numbers: torch.Tensor
    """State of the generator."""

    @classmethod
    def of(cls, optimisers: Sequence[torch.optim.Optimizer], generator: torch.Generator) -> _State:
        return cls([tensor.clone() for tensor in _tensors(optimisers)], generator.get_state())

    def restore(self, optimisers: Sequence[torch.optim.Optimizer], generator: torch.Generator) -> None:
        """Into the same memory, which captured steps know."""
        for tensor, saved in zip_longest(_tensors(optimisers), self.tensors):
            tensor.zero_() if saved is None else tensor.copy_(saved)
        generator.set_state(self.numbers)


def _tensors(optimisers: Sequence[torch.optim.Optimizer]) -> Iterator[torch.Tensor]:
    for group in optimisers[0].param_groups:
        yield from (parameter.detach() for parameter in group["params"])
    for optimiser in optimisers:
        for state in optimiser.state.values():
            yield from state.values()
