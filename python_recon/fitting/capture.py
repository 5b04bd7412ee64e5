"""Steps of a fit as CUDA graphs: one launch in place of hundreds, whose cost small networks are ruled by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_WARM_UP = 3
"""Steps before the capture, in which libraries make their plans and the optimiser its state."""
_LEAST_STEPS = 100
"""From so many on a graph pays: a capture takes as long as the launches of some dozens of steps."""

_log = logging.getLogger(__name__)

Step = Callable[[], torch.Tensor]
"""Does the same work on the same memory at every call, and gives a scalar."""


def captured(step: Step, optimiser: torch.optim.Optimizer, device: torch.device, n_steps: int) -> Step:
    """The step as one graph on CUDA, where it is to be taken often.

    Elsewhere, and where a graph cannot be captured, it is the step as it is.

    Parameters
    ----------
    step
        Waits for nothing that the device computes, and brings nothing from the host.
    optimiser
        Which takes it.
    n_steps
        That are to come.
    """
    form = _FORMS.get(device.type)
    return step if form is None or n_steps < _LEAST_STEPS else form(step, optimiser)


class _Captured:
    """A step that is captured after a few calls and replayed from then on."""

    def __init__(self, step: Step, optimiser: torch.optim.Optimizer) -> None:
        self._step, self._optimiser = step, optimiser
        self._n_calls, self._is_eager = 0, False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.zeros(())

    def __call__(self) -> torch.Tensor:
        self._n_calls += 1
        if self._is_eager:
            return self._step()
        if self._n_calls <= _WARM_UP:
            return self._aside()
        self._graph = self._graph or self._capture()
        if self._graph is None:
            return self._step()
        self._graph.replay()
        return self._result.clone()

    def _aside(self) -> torch.Tensor:
        """A step on a stream of its own, as PyTorch wants it before a capture."""
        present, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(present)
        with torch.cuda.stream(aside):
            result = self._step()
        present.wait_stream(aside)
        return result

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Capture the step, which does not run it; None where it has parts that no graph can hold."""
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: another thread may prepare the next slice meanwhile.
            with capturable(self._optimiser), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._result = self._step()
        except RuntimeError as error:
            _log.info("the steps run one by one: no CUDA graph (%s)", error)
            self._is_eager = True
            return None
        return graph


@contextmanager
def capturable(optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """Let an optimiser say, for a while, that a graph can capture its steps.

    One that says so always is warned of at every step outside of a graph: before the capture, and beside it.
    """
    for group in optimiser.param_groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in optimiser.param_groups:
            group["capturable"] = False


_FORMS: dict[str, Callable[[Step, torch.optim.Optimizer], Step]] = {"cuda": _Captured}
"""What becomes of a step, by the kind of device."""
