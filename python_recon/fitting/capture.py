"""Steps of a fit as CUDA graphs: one launch in place of hundreds, whose cost small networks are ruled by."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

_WARM_UP = 3
"""Steps before the capture, in which libraries make their plans and the optimiser its state."""

_log = logging.getLogger(__name__)

Step = Callable[[], torch.Tensor]
"""Does the same work on the same memory at every call, and gives a scalar."""


def captured(step: Step, device: torch.device) -> Step:
    """The step as one graph on CUDA; elsewhere, and where a graph cannot be captured, the step as it is."""
    return _Captured(step) if device.type == "cuda" else step


class _Captured:
    """A step that is captured after a few calls and replayed from then on."""

    def __init__(self, step: Step) -> None:
        self._step, self._n_calls, self._is_eager = step, 0, False
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
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._result = self._step()
        except RuntimeError as error:
            _log.info("the steps run one by one: no CUDA graph (%s)", error)
            self._is_eager = True
            return None
        return graph
