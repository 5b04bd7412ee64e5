"""Scans that could have been as well: turned, mirrored, with a basis of other signs."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from python_recon.solvers.cg import Operator


@dataclass(frozen=True)
class Symmetry:
    """A map of component images (component, y, x) that keeps all lengths and may be undone."""

    signs: torch.Tensor
    """(component,) 1 or -1."""
    is_conjugated: bool = False
    is_mirrored: bool = False
    is_transposed: bool = False

    @classmethod
    def by_chance(cls, n_components: int, chance: random.Random) -> Symmetry:
        """A sign for each component, which a basis has by convention only, and a turn."""
        signs = [chance.choice((-1, 1)) for _ in range(n_components)]
        flags = [chance.random() < 0.5 for _ in range(3)]
        return cls(torch.tensor(signs, dtype=torch.float32), *flags)

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        moved = images * self._factors(images)
        moved = moved.conj().resolve_conj() if self.is_conjugated else moved
        moved = moved.flip(-1) if self.is_mirrored else moved
        return (moved.mT if self.is_transposed else moved).contiguous()

    def undo(self, images: torch.Tensor) -> torch.Tensor:
        moved = images.mT if self.is_transposed else images
        moved = moved.flip(-1) if self.is_mirrored else moved
        moved = moved.conj().resolve_conj() if self.is_conjugated else moved
        return (moved * self._factors(images)).contiguous()

    def around(self, operator: Operator) -> Operator:
        """The operator as one who sees moved images has it."""
        return lambda images: self.apply(operator(self.undo(images)))

    def _factors(self, images: torch.Tensor) -> torch.Tensor:
        return self.signs.to(images.device)[:, None, None]
