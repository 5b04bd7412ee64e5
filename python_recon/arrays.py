"""Arrays of several libraries, told apart without importing what is not loaded."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A NumPy, CuPy or Torch array."""


def is_torch(array: Array) -> bool:
    """Whether it is a Torch tensor."""
    return "torch" in sys.modules and isinstance(array, sys.modules["torch"].Tensor)


def to_numpy(array: Array) -> np.ndarray:
    """A NumPy array or Torch tensor as a NumPy array, without a copy where it is on the CPU."""
    values: np.ndarray = array.detach().resolve_conj().cpu().numpy() if is_torch(array) else array
    return values


def like(array: np.ndarray, model: Array) -> Array:
    """A NumPy array in the library and on the device of a NumPy array or Torch tensor ``model``."""
    return sys.modules["torch"].as_tensor(array, device=model.device) if is_torch(model) else array
