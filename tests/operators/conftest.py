"""The devices that Torch operators are tested on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def to_device(request) -> Callable[[np.ndarray], torch.Tensor]:
    """Makes a tensor of an array on the device under test."""
    return lambda array: torch.as_tensor(array, device=request.param)
