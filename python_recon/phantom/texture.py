"""Texture of the tissues: grains of random intensity that move with the ellipse which they belong to.

A grain keeps its place in the axes of its ellipse, so it is carried, turned and stretched apart with it. It
lies in no tissue but its own at any state of motion, and takes up contrast agent as that tissue does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from python_recon.phantom.blobs import Blobs
from python_recon.phantom.ellipses import Ellipses

_WIDTH = 0.006
"""Standard deviation of a grain in fields of view: three quarters of a pixel of a matrix of 128."""
_COVERAGE = 1.0
"""Grains per area of a grain, pi width^2: fewer would stand alone."""
_MARGIN = 1.5
"""Distance that grains keep from the edges of their tissue, in widths."""

_NOTHING = 1e-9
"""Semi-axis of an ellipse that is narrower than its margin."""


@dataclass(frozen=True)
class Texture:
    """Grains of all tissues."""

    strength: np.ndarray
    """(grain,) intensity relative to the tissue's."""
    owner: np.ndarray
    """(grain,) the ellipse that carries each."""
    place: np.ndarray
    """(2, grain) place in the axes of the owner, in its semi-axes."""
    inside: np.ndarray
    """(ellipse, grain) whether the ellipse adds to the intensity of the tissue there."""

    def on(self, ellipses: Ellipses) -> Blobs:
        """The grains at the times of the ellipses."""
        x, y = _carried(ellipses, self.owner, self.place)
        tissue = np.tensordot(self.inside.T.astype(float), ellipses.intensity, axes=1)
        strength = self.strength.reshape(-1, *(1,) * (tissue.ndim - 1))
        return Blobs(strength * tissue, x, y, _WIDTH)


def grow(extremes: Ellipses, strength: float, generator: np.random.Generator) -> Texture:
    """Grains in all tissues.

    Parameters
    ----------
    extremes
        The ellipses at the extremes of their motion, arrays (ellipse, state); inner ones follow outer ones.
    strength
        Standard deviation of the intensity relative to the tissue's, where grains lie densely.
    generator
        Decides places and strengths.
    """
    owner, place = _scattered((extremes.semi_x * extremes.semi_y)[:, 0], generator)
    x, y = _carried(extremes, owner, place)
    margin = _MARGIN * _WIDTH
    safe = np.all(_within(extremes, x, y, -margin), axis=2)[owner, np.arange(len(owner))]
    touched = np.any(_within(extremes, x, y, margin), axis=2)
    is_inner = np.arange(len(touched))[:, None] > owner
    kept = safe & ~(touched & is_inner).any(axis=0)
    inside = _within(extremes, x[kept], y[kept], 0.0)[..., 0]
    # Grains of strength s that lie at random with coverage c have the variance c s^2.
    values = strength / np.sqrt(_COVERAGE) * generator.standard_normal(int(kept.sum()))
    return Texture(values, owner[kept], place[:, kept], inside)


def _scattered(areas: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Owner (grain,) and place (2, grain) of grains all over ellipses of such areas (in pi)."""
    owner = np.repeat(np.arange(len(areas)), np.rint(_COVERAGE * areas / _WIDTH**2).astype(int))
    radius, angle = np.sqrt(generator.uniform(size=len(owner))), generator.uniform(0, 2 * np.pi, len(owner))
    return owner, radius * np.stack([np.cos(angle), np.sin(angle)])


def _carried(ellipses: Ellipses, owner: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and y (grain, *time) of grains that keep their places in their ellipses."""
    place = place.reshape(*place.shape, *(1,) * (ellipses.x.ndim - 1))
    along, across = place[0] * ellipses.semi_x[owner], place[1] * ellipses.semi_y[owner]
    cos, sin = np.cos(ellipses.angle[owner]), np.sin(ellipses.angle[owner])
    return ellipses.x[owner] + cos * along - sin * across, ellipses.y[owner] + sin * along + cos * across


def _within(ellipses: Ellipses, x: np.ndarray, y: np.ndarray, margin: float) -> np.ndarray:
    """(ellipse, grain, state) whether points x, y (grain, state) lie in the ellipses, widened by a margin."""
    found = []
    for _, centre_x, centre_y, semi_x, semi_y, angle in ellipses:
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = x - centre_x, y - centre_y
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        wide, high = (np.maximum(semi + margin, _NOTHING) for semi in (semi_x, semi_y))
        found.append((along / wide) ** 2 + (across / high) ** 2 <= 1)
    return np.array(found)
