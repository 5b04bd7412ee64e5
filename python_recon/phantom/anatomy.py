"""The anatomy: which ellipses make the torso and the heart at a given state of motion.

A transverse plane seen from the feet, as images are shown: x to the patient's left, y to the back.
Lengths are fractions of the field of view. Tissue lies within tissue: an ellipse adds the difference
between its own intensity and that of the tissue around it, so no two siblings may overlap at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from python_recon.phantom.ellipses import Ellipses

TISSUES = {
    "air": 0.0,
    "lung": 0.06,
    "cortical_bone": 0.10,
    "wall": 0.26,
    "vessel_wall": 0.3,
    "myocardium": 0.32,
    "vertebra": 0.36,
    "liver": 0.42,
    "pericardial_fat": 0.48,
    "fat": 0.52,
    "fluid": 0.95,
    "blood": 1.0,
}
"""Intensity of each tissue, balanced steady state, before contrast agent."""


@dataclass(frozen=True)
class State:
    """State of the body; each array has the shape of the times."""

    contraction: np.ndarray
    """Share by which the left ventricle's endocardial radius is shortened, 0 at end diastole."""
    inspiration: np.ndarray
    """Displacement of the diaphragm from end expiration, fraction of the field of view."""
    right_blood: np.ndarray
    """Signal of the blood in the right heart relative to that without contrast agent."""
    left_blood: np.ndarray
    myocardium: np.ndarray
    heart_size: float = 1.0
    """Radius of the heart's section relative to that at mid-ventricle."""


Row = tuple[Any, Any, Any, Any, Any, Any]
"""intensity added, x, y, semi-axis x, semi-axis y, angle in degrees: numbers or arrays over time."""


def anatomy(state: State) -> Ellipses:
    """The ellipses of the whole section."""
    rows = [
        *_torso(state),
        *_lungs(state),
        *_bones(state),
        *_liver(state),
        *_great_vessels(state),
        *_heart(state),
    ]
    shape = np.broadcast_shapes(*(np.shape(value) for row in rows for value in row), state.contraction.shape)
    columns = [
        np.stack([np.broadcast_to(value, shape) for value in column]) for column in zip(*rows, strict=True)
    ]
    intensity, x, y, semi_x, semi_y, degrees = columns
    return Ellipses(intensity, x, y, semi_x, semi_y, np.deg2rad(degrees))


def _step(inner: str, outer: str) -> float:
    return TISSUES[inner] - TISSUES[outer]


def _torso(state: State) -> Iterator[Row]:
    """Skin and subcutaneous fat, then the chest wall; the front moves, the back lies on the table."""
    rise = 0.4 * state.inspiration
    yield TISSUES["fat"], 0.0, -rise / 2, 0.43, 0.305 + rise / 2, 0.0
    yield _step("wall", "fat"), 0.0, -rise / 2, 0.40, 0.272 + rise / 2, 0.0


def _lungs(state: State) -> Iterator[Row]:
    """Both lungs with a few vessels; they deepen with the chest."""
    rise = 0.4 * state.inspiration
    yield _step("lung", "wall"), -0.220, -0.005 - rise / 4, 0.125, 0.192 + rise / 4, -6.0
    yield _step("lung", "wall"), 0.284, 0.025 - rise / 4, 0.072, 0.150 + rise / 4, 4.0
    vessels = ((-0.20, -0.12, 0.011), (-0.15, -0.06, 0.014), (-0.25, -0.055, 0.008), (-0.205, -0.075, 0.006),
               (0.295, 0.0, 0.010), (0.275, 0.06, 0.013), (0.31, 0.10, 0.008))  # fmt: skip
    for x, y, radius in vessels:
        yield _step("vessel_wall", "lung"), x, y - 0.3 * rise, radius, 0.75 * radius, 30.0


def _bones(state: State) -> Iterator[Row]:
    rise = 0.4 * state.inspiration
    yield _step("vertebra", "wall"), 0.0, 0.158, 0.052, 0.041, 0.0
    yield _step("fluid", "wall"), 0.0, 0.219, 0.014, 0.012, 0.0
    yield _step("cortical_bone", "wall"), 0.0, 0.246, 0.010, 0.010, 0.0
    yield _step("cortical_bone", "wall"), 0.0, -0.248 - rise, 0.050, 0.011, 0.0
    ribs = ((-0.369, 0.0, 90.0), (-0.15, -0.231, -14.0), (-0.16, 0.229, 15.0),
            (0.382, 0.02, 92.0), (0.17, -0.227, 16.0), (0.19, 0.221, -18.0))  # fmt: skip
    for x, y, angle in ribs:
        yield _step("cortical_bone", "wall"), x, y - rise * (0.5 - y), 0.030, 0.009, angle


def _liver(state: State) -> Iterator[Row]:
    """The dome of the liver within the right lung; in inspiration it sinks and its section shrinks."""
    radius = 0.092 - 0.6 * state.inspiration
    x, y = -0.218, 0.062 + 0.5 * state.inspiration
    yield _step("liver", "lung"), x, y, radius, 0.95 * radius, 0.0
    for dx, dy, size in ((-0.35, 0.1, 0.16), (0.3, -0.35, 0.12), (0.25, 0.4, 0.10)):
        enhanced = TISSUES["blood"] * state.left_blood - TISSUES["liver"]
        yield 0.5 * enhanced, x + dx * radius, y + dy * radius, size * radius, 0.6 * size * radius, 40.0


def _great_vessels(state: State) -> Iterator[Row]:
    pulse = 1 + 0.2 * state.contraction
    yield (
        TISSUES["blood"] * state.left_blood - TISSUES["wall"],
        0.098,
        0.156,
        0.030 * pulse,
        0.030 * pulse,
        0.0,
    )
    yield TISSUES["blood"] * state.right_blood - TISSUES["wall"], -0.052, 0.09, 0.023, 0.017, 20.0


def _heart(state: State) -> Iterator[Row]:
    """Pericardial fat around both ventricles.

    The right ventricle is an ellipse around the left one that touches it at its lateral side: what the
    left ventricle leaves of it is the crescent. Ellipse a, b touches a circle of radius r inside its vertex
    without crossing it when b squared >= a r.
    """
    x, y = 0.098 - 0.2 * state.inspiration, -0.045 + 0.6 * state.inspiration
    size = state.heart_size
    sac = size * (1 - 0.25 * state.contraction)
    yield (
        _step("pericardial_fat", "wall"),
        x - 0.031 * sac,
        y - 0.010 * sac,
        0.143 * sac,
        0.118 * sac,
        _SEPTUM_DEG,
    )
    endocardium = 0.068 * size * (1 - state.contraction)
    # The wall keeps its section while it thickens, but for what the longitudinal shortening adds.
    wall_section = size**2 * (0.095**2 - 0.068**2) * (1 + 0.3 * state.contraction)
    epicardium = np.sqrt(endocardium**2 + wall_section)
    yield from _right_ventricle(state, x, y, epicardium)
    yield from _left_ventricle(state, x, y, endocardium, epicardium)


_SEPTUM_DEG = 17.0
"""Direction from the septum to the lateral wall of the left ventricle."""


def _right_ventricle(state: State, x: np.ndarray, y: np.ndarray, epicardium: np.ndarray) -> Iterator[Row]:
    muscle = TISSUES["myocardium"] * state.myocardium
    width = 0.058 * state.heart_size * (1 - 0.9 * state.contraction)
    wall = 0.010 * state.heart_size
    turn = np.deg2rad(_SEPTUM_DEG)
    for reach, added in (
        (width + wall, muscle - TISSUES["pericardial_fat"]),
        (width, TISSUES["blood"] * state.right_blood - muscle),
    ):
        long = epicardium + reach / 2
        short = 1.001 * np.sqrt(long * epicardium)
        yield added, x - reach / 2 * np.cos(turn), y - reach / 2 * np.sin(turn), long, short, _SEPTUM_DEG


def _left_ventricle(
    state: State, x: np.ndarray, y: np.ndarray, endocardium: np.ndarray, epicardium: np.ndarray
) -> Iterator[Row]:
    muscle = TISSUES["myocardium"] * state.myocardium
    blood = TISSUES["blood"] * state.left_blood
    yield muscle - TISSUES["blood"] * state.right_blood, x, y, epicardium, epicardium, 0.0
    yield blood - muscle, x, y, endocardium, endocardium, 0.0
    for angle, radius in ((5.0, 0.0125), (115.0, 0.0110)):
        turned = np.deg2rad(angle + 25 * state.contraction)
        papillary = radius * state.heart_size
        away = 0.95 * endocardium - 1.15 * papillary
        centre = x + away * np.cos(turned), y + away * np.sin(turned)
        yield muscle - blood, *centre, 1.1 * papillary, 0.9 * papillary, angle
