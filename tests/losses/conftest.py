from __future__ import annotations

import pytest
import torch

from tests.losses.scene import CartesianKSpace, coil_kspace


@pytest.fixture(scope="session")
def kspace() -> CartesianKSpace:
    return coil_kspace()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)
