from __future__ import annotations

import numpy as np
import pytest

from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.physiology import irregular_r_waves
from gadgets.simulation.plan import plan_readouts
from gadgets.simulation.scenes import SCENES, scene
from python_recon.errors import ConfigError


@pytest.mark.parametrize("name", SCENES)
def test_scenes_have_the_published_dimensions_and_noise(name):
    options = scene(name, seed=2)
    frames, spokes = (1, 34) if name == "still" else (25, 14)
    assert (options.frames, options.matrix, options.coils, options.spokes_per_frame) == (
        frames,
        208,
        22,
        spokes,
    )
    assert options.noise == SimulateOptions().noise > 0
    assert options.seed == 2


def test_slow_and_fast_differ_in_motion():
    slow, usual, fast = (scene(name) for name in ("cardiac_slow", "cardiac", "cardiac_fast"))
    assert slow.heart_rate < usual.heart_rate < fast.heart_rate
    assert slow.breathing == 0 < usual.breathing < fast.breathing
    assert slow.contraction == usual.contraction < fast.contraction


@pytest.mark.parametrize("seed", range(3))
def test_beats_of_the_irregular_scenes_differ_within_the_scan(seed):
    for name in ("cardiac_irregular", "cardiac_textured"):
        options = scene(name, seed)
        spokes = plan_readouts(options)
        end_s = spokes.times_s[-1]
        r_waves = np.array(irregular_r_waves(options, float(end_s)))
        seen = np.diff(r_waves)[(r_waves[1:] > 0) & (r_waves[:-1] < end_s)]
        assert np.ptp(seen) > 0.3 * 60 / options.heart_rate
        assert (options.texture > 0) == (name == "cardiac_textured")


def test_a_still_scene_does_not_move():
    options = scene("still")
    assert options.contraction == options.breathing == options.contrast == 0


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
