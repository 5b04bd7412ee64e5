"""What a piece of work allocates, counted tensor by tensor, on any device: also on meta, where none is."""

from __future__ import annotations

import weakref
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """The bytes of all tensors made within that are alive, and their peak; views count nothing.

    What operations take for themselves while they run is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._users: Counter[int] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = {_storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor, given)
        return result

    def _count(self, tensor, given):
        storage, size = _storage(tensor), tensor.untyped_storage().nbytes()
        if storage in given and storage not in self._users:
            return  # made before
        if storage not in self._users:
            self.held += size
            self.peak = max(self.peak, self.held)
        self._users[storage] += 1
        weakref.finalize(tensor, self._leave, storage, size)

    def _leave(self, storage, size):
        self._users[storage] -= 1
        if not self._users[storage]:
            del self._users[storage]
            self.held -= size


def _storage(tensor):
    return tensor.untyped_storage()._cdata
