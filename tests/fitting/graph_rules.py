"""What a step that becomes a CUDA graph must not do, watched on any device."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WARM_UP = 2
"""Calls of a step in which memory that stays is met for the first time."""


@dataclass
class Memory:
    """What a step has been given so far; it is kept alive, so that no address is used twice."""

    given: dict[int, torch.UntypedStorage] = field(default_factory=dict)
    n_calls: int = 0


class GraphRules(TorchDispatchMode):
    """Collects, in ``broken``, what a capture refuses, or what a replay would not do again.

    - to wait for the device: values that are read, shapes that depend on them, checks of results;
    - to bring something from the host: numbers that become tensors, copies between devices, and memory that
      the host made anew for this call (told from the third call on, from that which stays);
    - random numbers, whose generator no graph knows.
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.broken: list[str] = []
        self._memory, self._made = memory, set()
        memory.n_calls += 1

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        self.broken += [f"{function}: {fault}" for fault in self._faults(function, given)]
        result = function(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if len({tensor.device.type for tensor in [*given, *made]}) > 1:
            self.broken.append(f"{function}: between devices")
        self._made |= {_address(tensor) for tensor in made}
        return result

    def _faults(self, function, given):
        if torch.Tag.data_dependent_output in function.tags or "check_errors" in str(function):
            yield "waits for a value"
        if self._has_unknown_shape(function, given):
            yield "a shape that depends on values"
        if torch.Tag.nondeterministic_seeded in function.tags:
            yield "random numbers"
        if "lift_fresh" in str(function):
            yield "numbers of the host"
            self._made |= {_address(tensor) for tensor in given}  # told once
        for tensor in given:
            address = _address(tensor)
            if address in self._made or address in self._memory.given or not tensor.numel():
                continue
            self._memory.given[address] = tensor.untyped_storage()
            if self._memory.n_calls > _WARM_UP:
                yield "memory that the host made for this call"

    @staticmethod
    def _has_unknown_shape(function, given):
        if "aten.index" in str(function):  # by numbers or by a mask
            return any(tensor.dtype == torch.bool for tensor in given[1:])
        return torch.Tag.dynamic_output_shape in function.tags


def _address(tensor):
    return tensor.untyped_storage()._cdata if tensor.is_meta else tensor.untyped_storage().data_ptr()


class Watched:
    """A step in place of a graph, called under the rules."""

    def __init__(self, step, optimiser, broken):
        self._step, self._broken = step, broken
        self._memory = Memory()
        self.optimiser = optimiser

    def __call__(self):
        with GraphRules(self._memory) as rules:
            result = self._step()
        self._broken += rules.broken
        return result

    @property
    def n_calls(self):
        return self._memory.n_calls


def as_on_cuda(optimiser):
    """Give an optimiser of ``adam``, before its first step, the form that it has on CUDA."""
    for group in optimiser.param_groups:
        group |= {"fused": True, "lr": torch.as_tensor(group["lr"])}
    return optimiser
