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
    """A NumPy or CuPy array or a Torch tensor as a NumPy array, without a copy where it is on the CPU."""
    if is_torch(array):
        values: np.ndarray = array.detach().resolve_conj().resolve_neg().cpu().numpy()
        return values
    is_cupy = "cupy" in sys.modules and isinstance(array, sys.modules["cupy"].ndarray)
    return array.get() if is_cupy else array  # type: ignore[no-any-return]


def like(array: np.ndarray, model: Array) -> Array:
    """A NumPy array in the library and on the device of a NumPy array or Torch tensor ``model``."""
    return sys.modules["torch"].as_tensor(array, device=model.device) if is_torch(model) else array
