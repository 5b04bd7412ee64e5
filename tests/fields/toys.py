"""Fields, starts and scans that are known in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from python_recon.data import KSpace
from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fitting.fit import FitPlan
from python_recon.judging.samples import Samples
from tests.numerics import complex_noise, golden_spokes

MATRIX = (20, 26)
"""(y, x)."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class LinearField(KSpaceField):
    """``f(k, t) = a + b kx + c ky + d t`` of every coil: what a fit of few steps can find exactly."""

    def __init__(self, n_coils: int, seed: int | None = None) -> None:
        super().__init__(n_coils)
        values = torch.zeros(4, n_coils, 2)
        if seed is not None:
            values = torch.randn(4, n_coils, 2, generator=generator(seed))
        self.coefficients = nn.Parameter(values)

    def forward(self, k, t):
        inputs = torch.stack([torch.ones_like(t), k[:, 0], k[:, 1], t], -1)
        return torch.view_as_complex(torch.einsum("pi,ico->pco", inputs, self.coefficients))


PLAN = FitPlan(
    steps=200,
    batch=64,
    learning_rate=0.3,
    anneals=True,
    epsilon=1.0,
    outer_weight=0.0,
    consistency_weight=0.0,
    consistency_from=0.0,
    has_own_steps=False,
)
"""Of fits of a field to samples of the truth."""
TRUTH = LinearField(2, seed=1)


class Polynomial(nn.Module):
    """1, t, t^2, ...: temporal functions."""

    def __init__(self, n_functions: int) -> None:
        super().__init__()
        self.n_functions = n_functions

    def forward(self, t):
        return t[..., None] ** torch.arange(self.n_functions)


class StartField(KSpaceField):
    """A start as a field: its signal is exactly that of images."""

    def __init__(self, start: LowRankStart) -> None:
        super().__init__(len(start.maps))
        self.start = start

    def forward(self, k, t):
        return self.start.signal(k, t)


def smooth_maps(n_coils, matrix):
    """(coil, y, x) of unit root-sum-of-squares, exact functions of the position in the field of view."""
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n for n in matrix), indexing="ij")
    angles = 2 * np.pi * np.arange(n_coils) / n_coils
    maps = np.stack(
        [(1 + 0.8 * (x * np.cos(a) + y * np.sin(a))) * np.exp(1j * (a + x - 0.7 * y)) for a in angles]
    )
    return torch.as_tensor((maps / np.linalg.norm(maps, axis=0)).astype(np.complex64))


def random_start(n_coils=3, n_components=2, matrix=MATRIX):
    components = torch.as_tensor(complex_noise((n_components, *matrix), 3))
    return LowRankStart(components, smooth_maps(n_coils, matrix), Polynomial(n_components))


def blob(matrix, centre=(0.12, -0.08), width=0.06):
    """(y, x) complex Gaussian at a place (x, y) in units of the field of view; it has no signal at the edges
    of k-space of the matrices used here."""
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n for n in matrix), indexing="ij")
    magnitude = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
    return torch.as_tensor((magnitude * np.exp(2j * x)).astype(np.complex64))


def random_samples(field=None, n_points=300, n_coils=2, noise=0.0, seed=5):
    """Samples of a field at random places and times; without a field they are noise."""
    k = 2 * torch.rand(n_points, 2, generator=generator(seed)) - 1
    t = torch.rand(n_points, generator=generator(seed + 1))
    values = noise * torch.as_tensor(complex_noise((n_points, n_coils), seed + 2))
    if field is not None:
        with torch.no_grad():
            values = values + field(k, t)
    return Samples(k, t, values, importance=torch.linalg.vector_norm(k, dim=-1))


def radial_kspace(n_frames=6, n_spokes=5, n_coils=3, n_samples=14, matrix=MATRIX, start_s=36_000.0):
    """Golden-angle k-space of noise, every spoke with a time of its own; Torch tensors."""
    times_s = start_s + 0.004 * np.arange(n_frames * n_spokes).reshape(n_frames, n_spokes)
    return KSpace(
        data=complex_noise((n_frames, n_coils, n_spokes, n_samples), 8),
        trajectory=golden_spokes(n_frames, n_spokes, n_samples, matrix),
        matrix=matrix,
        spoke_times_s=times_s,
        times_s=times_s.mean(1),
    ).to_torch()


class Everywhere:
    """A consistency term that is a function of the field, with nothing to draw."""

    n_turns, turn = 1, 0

    def __init__(self, function):
        self._function = function

    def draw(self, generator):
        pass

    def __call__(self, field):
        return self._function(field)
