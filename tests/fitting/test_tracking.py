"""TensorBoard's own reader finds what was tracked."""

from __future__ import annotations

import sys

import pytest

from python_recon.errors import BackendError
from python_recon.fitting.tracking import tensorboard, under


def test_figures_are_read_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track = tensorboard(str(tmp_path))
    for step, loss in ((10, 0.5), (20, 0.25)):
        track(step, {"loss": loss, "held-out error": 2 * loss})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 0.5), (20, 0.25)]
    assert [event.value for event in events.Scalars("held-out error")] == [1.0, 0.5]


def test_without_tensorboard_the_cure_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BackendError, match=r"gadgetron-pisco\[tensorboard\]"):
        tensorboard(str(tmp_path))


def test_figures_of_a_stage_have_its_name():
    kept = []
    under("calibrate", lambda step, figures: kept.append((step, figures)))(3, {"loss": 0.5})
    assert kept == [(3, {"calibrate/loss": 0.5})]
