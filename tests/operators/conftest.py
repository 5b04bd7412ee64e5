"""How arrays come to the device under test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.methods.conftest import heart, small_heart  # noqa: F401 - fixtures


@pytest.fixture
def to_device(device) -> Callable[[np.ndarray], torch.Tensor]:
    """Makes a tensor of an array on the device under test."""
    return lambda array: torch.as_tensor(array, device=device)
