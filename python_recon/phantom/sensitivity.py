"""Coil sensitivities as short Fourier series, so that coil times ellipse has a closed transform.

A sensitivity ``sum_m c_m exp(2 pi i s_m.r)`` shifts the transform of the object: its k-space is
``sum_m c_m F(k - s_m)`` (Guerquin-Kern et al., doi 10.1109/TMI.2011.2174158). The coefficients are fitted to
the fields of loops around the torso, with a smooth image phase folded in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PERIOD = 1.4
"""Period of the series in fields of view: larger than the body, so nothing need wrap."""
_ORDER = 3
_RIDGE = 1e-3
"""Ridge of the fit, relative to its largest eigenvalue: keeps the series tame outside the body."""
_BODY = (0.44, 0.33)
"""Semi-axes of the ellipse over which the series is fitted."""
_LOOP_DISTANCE = 0.13
"""From the surface of the body to the centres of the loops."""


@dataclass(frozen=True)
class Sensitivities:
    """Coil sensitivities, image phase included, as Fourier series."""

    coefficients: np.ndarray
    """(coil, mode) complex128."""
    shifts: np.ndarray
    """(mode, 2), (x, y) frequencies of the modes in cycles per field of view."""
    phase: np.ndarray
    """(term,) weights of the image phase: 1, x, y, x^2, x y, y^2, radians."""

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(coil, y, x) sensitivities on a grid, x (x,) and y (y,) in fields of view."""
        along = np.exp(2j * np.pi * self.shifts[:, :1] * x)
        down = np.exp(2j * np.pi * self.shifts[:, 1:] * y)
        return np.einsum("cm,my,mx->cyx", self.coefficients, down, along, optimize=True)  # type: ignore[no-any-return]

    def root_sum_of_squares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(y, x) on a grid, coil by coil to save memory on fine ones."""
        squares = np.zeros((len(y), len(x)))
        for coil in range(len(self.coefficients)):
            one = Sensitivities(self.coefficients[coil : coil + 1], self.shifts, self.phase)
            squares += np.abs(one.at(x, y)[0]) ** 2
        return np.sqrt(squares)

    def image_phase(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(y, x) unit phasors of the image phase."""
        grid_x, grid_y = np.meshgrid(x, y)
        return np.exp(1j * np.tensordot(self.phase, _polynomials(grid_x, grid_y), axes=1))


def fit_sensitivities(n_coils: int, generator: np.random.Generator, height: float = 0.0) -> Sensitivities:
    """Sensitivities of ``n_coils`` loops around the torso, mean root-sum-of-squares 1 over the body.

    ``height`` is that of the section above the middle of the loops, in fields of view.
    """
    axis = np.linspace(-0.5, 0.5, 61)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    inside = (x / _BODY[0]) ** 2 + (y / _BODY[1]) ** 2 <= 1
    x, y = x[inside], y[inside]
    phase = generator.uniform(-1, 1, 6) * (np.pi, 2.0, 2.0, 3.0, 3.0, 3.0)
    fields = _loop_fields(n_coils, np.stack([x, y, np.full_like(x, height)], axis=-1), generator)
    fields *= np.exp(1j * np.tensordot(phase, _polynomials(x, y), axes=1))
    shifts = _modes() / _PERIOD
    basis = np.exp(2j * np.pi * (shifts @ np.stack([x, y])))
    gram = basis.conj() @ basis.T
    ridge = _RIDGE * np.linalg.norm(gram, 2) * np.eye(len(shifts))
    coefficients = np.linalg.solve(gram + ridge, basis.conj() @ fields.T).T
    coefficients /= np.linalg.norm(coefficients @ basis, axis=0).mean()
    return Sensitivities(coefficients, shifts, phase)


def _modes() -> np.ndarray:
    """(mode, 2) integers (x, y) within a disc."""
    steps = np.arange(-_ORDER, _ORDER + 1)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return grid[(grid**2).sum(axis=1) <= _ORDER**2 + 1]  # type: ignore[no-any-return]


def _polynomials(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])


def _loop_fields(n_coils: int, points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(coil, point) receive fields Bx - i By of loops around the body by Biot and Savart, B0 along z.

    Points are (point, 3). More than six loops stand in two rows, alternately towards head and feet; gains
    differ by a tenth.
    """
    angles = 2 * np.pi * (np.arange(n_coils) + generator.uniform(0, 1)) / n_coils
    rows = np.where(np.arange(n_coils) % 2, 0.12, -0.12) if n_coils > 6 else np.zeros(n_coils)
    radius = np.clip(3.0 / n_coils, 0.18, 0.3)
    gains = generator.normal(1, 0.1, n_coils) * np.exp(1j * generator.uniform(0, 2 * np.pi, n_coils))
    return np.stack(
        [
            gain * _loop_field(angle, row, radius, points)
            for gain, angle, row in zip(gains, angles, rows, strict=True)
        ]
    )


def _loop_field(angle: float, row: float, radius: float, points: np.ndarray) -> np.ndarray:
    outwards = np.array([np.cos(angle), np.sin(angle), 0.0])
    centre = outwards * (_BODY[0] + _LOOP_DISTANCE, _BODY[1] + _LOOP_DISTANCE, 0) + (0, 0, row)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    tangent, axial = np.array([-outwards[1], outwards[0], 0.0]), np.array([0.0, 0.0, 1.0])
    wire = centre + radius * (np.outer(np.cos(turn), tangent) + np.outer(np.sin(turn), axial))
    element = np.outer(-np.sin(turn), tangent) + np.outer(np.cos(turn), axial)
    away = points[:, None] - wire
    field = (np.cross(element, away) / np.linalg.norm(away, axis=-1, keepdims=True) ** 3).sum(axis=1)
    return field[:, 0] - 1j * field[:, 1]  # type: ignore[no-any-return]
