from __future__ import annotations

import pytest

from gadgets.simulation.protocol import SimulateOptions
from gadgets.simulation.scenes import SCENES, scene
from python_recon.errors import ConfigError


@pytest.mark.parametrize("name", SCENES)
def test_scenes_have_the_published_dimensions_and_noise(name):
    options = scene(name, seed=2)
    assert (options.frames, options.matrix, options.coils, options.spokes_per_frame) == (25, 208, 22, 14)
    assert options.noise == SimulateOptions().noise > 0
    assert options.seed == 2


def test_slow_and_fast_differ_in_motion():
    slow, usual, fast = (scene(name) for name in ("cardiac_slow", "cardiac", "cardiac_fast"))
    assert slow.heart_rate < usual.heart_rate < fast.heart_rate
    assert slow.breathing == 0 < usual.breathing < fast.breathing
    assert slow.contraction == usual.contraction < fast.contraction


def test_changes_win_over_the_scene():
    options = scene("cardiac", changes={"matrix": 64, "noise": 0.1})
    assert (options.matrix, options.noise, options.coils) == (64, 0.1, 22)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cardiac_fats",), "did you mean 'cardiac_fast'"),
        (("cardiac", 0, {"matrx": 64}), "did you mean 'matrix'"),
        (("cardiac", 0, {"seed": 1}), "unknown option 'seed'"),
        (("cardiac", 0, {"matrix": 4}), "matrix: .*greater than or equal to 16"),
    ],
)
def test_what_cannot_be_simulated(arguments, message):
    with pytest.raises(ConfigError, match=message):
        scene(*arguments)
