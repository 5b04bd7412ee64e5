from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from python_recon.evaluation import perceptual
from python_recon.evaluation.scoring import truth_scores


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    perceptual._network.cache_clear()
    yield tmp_path / "checkpoints"
    perceptual._network.cache_clear()


@pytest.fixture
def lpips(monkeypatch):
    """A package of that name whose distance is the mean squared difference."""

    class Distance(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()
            assert net == "alex"

        def forward(self, first, second):
            for image in (first, second):
                assert image.shape[:2] == (1, 3)
                assert image.abs().max() <= 1
            return ((first - second) ** 2).mean((1, 2, 3), keepdim=True)

    module = ModuleType("lpips")
    module.LPIPS = Distance
    monkeypatch.setitem(sys.modules, "lpips", module)


SERIES = np.linspace(0, 1, 3 * 32 * 40).reshape(3, 32, 40)


def test_without_the_package_there_is_no_score(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert perceptual.distance(SERIES, SERIES) is None
    assert "lpips" not in truth_scores(SERIES, SERIES)


def test_weights_that_are_not_there_are_not_fetched(hub, lpips):
    assert perceptual.distance(SERIES, SERIES) is None


def test_mean_over_frames_of_grey_as_colour_from_minus_one_to_one(hub, lpips):
    (hub / "alexnet-owt-7be5be79.pth").touch()
    darker = SERIES.copy()
    darker[1] = 0
    expected = (4 * SERIES[1] ** 2).mean() / 3
    assert perceptual.distance(darker, SERIES) == pytest.approx(expected, rel=1e-5)
    assert perceptual.distance(SERIES * 3, np.ones_like(SERIES)) < 4, "what is brighter than white is clipped"
    assert truth_scores(SERIES, SERIES)["lpips"] == pytest.approx(0, abs=1e-6)
