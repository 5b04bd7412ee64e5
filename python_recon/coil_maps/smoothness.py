"""Smooth functions over the field of view: what coil maps are made of."""

from __future__ import annotations

import functools
import math

import torch

_PERIOD = 1.5
"""Of the Fourier series in fields of view; longer than one, so that opposite edges are independent."""
_HIGHEST = 8
"""Highest harmonic, i.e. 5.3 cycles per field of view."""
_STIFFNESS, _ORDER = 0.05, 16
"""Sobolev weight (1 + stiffness k^2)^(order / 2) with k in cycles per field of view: the penalty that
doi:10.1002/mrm.21691 uses, in units that do not depend on the grid."""
_RIDGE = 1e-4
"""Penalty of the smooth fit, relative to the mean weight of a pixel."""
_PHASE_STEPS = 4
_FAINT = 0.1
"""Share of the mean energy at which a pixel counts half."""


class SmoothBasis:
    """Fourier series with Sobolev-weighted coefficients, so that unit white noise makes a smooth map.

    Parameters
    ----------
    dtype
        Of real numbers; coefficients and maps are complex ones of the same precision.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        squared = (torch.arange(-_HIGHEST, _HIGHEST + 1, device=device, dtype=dtype) / _PERIOD) ** 2
        power = squared[:, None] + squared
        self.scale = (1 + _STIFFNESS * power) ** (-_ORDER / 2)
        self.waves = functools.lru_cache(maxsize=4)(functools.partial(_waves, _HIGHEST, device, dtype))
        """(pixel, harmonic) values of the series at that many pixels of an axis."""

    @property
    def shape(self) -> tuple[int, int]:
        """Coefficients along y and x."""
        return 2 * _HIGHEST + 1, 2 * _HIGHEST + 1

    def evaluate(self, coefficients: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
        """Maps (coil, y, x) of weighted coefficients (coil, ky, kx)."""
        return self.waves(matrix[0]) @ (coefficients * self.scale) @ self.waves(matrix[1]).T

    def adjoint(self, maps: torch.Tensor) -> torch.Tensor:
        """Adjoint of :meth:`evaluate`."""
        rows, columns = self.waves(maps.shape[-2]), self.waves(maps.shape[-1])
        return (rows.mH @ maps @ columns.conj()) * self.scale


class SmoothFit:
    """Weighted least-squares fit of maps on a coarse grid by a smooth series; one factorisation for all.

    Minimises ``sum_r weight(r) |fit(r) - maps(r)|^2 + ridge |coefficients|^2`` for each coil, in double
    precision: the ridge is so small that single precision would leave the last third of the digits to chance.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        self._weight = weight.double()
        self.basis = SmoothBasis(weight.device, torch.float64)
        gram = self._gram()
        gram.diagonal().add_(_RIDGE * self._weight.sum())
        self._factor = torch.linalg.cholesky(gram)

    def coefficients(self, maps: torch.Tensor) -> torch.Tensor:
        """Coefficients (coil, ky, kx) of the fit to maps (coil, y, x)."""
        right_side = self.basis.adjoint(maps * self._weight).flatten(1)
        return torch.cholesky_solve(right_side.T, self._factor).T.reshape(-1, *self.basis.shape)

    def _gram(self) -> torch.Tensor:
        """Inner products of the weighted waves: the weight's spectrum at the differences of harmonics."""
        weight = self._weight
        rows, columns = (_waves(2 * _HIGHEST, weight.device, weight.dtype, n) for n in weight.shape)
        spectrum = rows.mH @ weight.to(rows.dtype) @ columns.conj()
        harmonic = torch.arange(self.basis.shape[0], device=weight.device)
        step = harmonic[:, None] - harmonic + 2 * _HIGHEST
        gram = spectrum[step[:, None, :, None], step[None, :, None, :]]
        scale = self.basis.scale.flatten()
        return gram.reshape(len(scale), -1) * scale[:, None] * scale


def _waves(highest: int, device: torch.device, dtype: torch.dtype, n_pixels: int) -> torch.Tensor:
    """(pixel, harmonic) of the harmonics -highest..highest at the pixels of one axis."""
    position = (torch.arange(n_pixels, device=device, dtype=dtype) - n_pixels // 2) / (n_pixels * _PERIOD)
    phase = 2 * math.pi * position[:, None] * torch.arange(-highest, highest + 1, device=device)
    return torch.polar(torch.ones_like(phase), phase)


def smooth_maps(vectors: torch.Tensor, weight: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Smooth maps on the full matrix from unit vectors of arbitrary phase on a coarse grid.

    The phase is first referred to the virtual coil that sees most of the object and then, in turn with the
    smooth fit, to the fit itself.

    Parameters
    ----------
    vectors
        (coil, y, x), known up to a phase at each pixel.
    weight
        (y, x), how far each pixel is to be trusted; pixels of weight 0 are extrapolated.

    Returns
    -------
        (coil, y, x) on ``matrix``, normalised.
    """
    fit = SmoothFit(weight)
    reference = virtual_coil(vectors * weight.sqrt())[:, None, None]
    for _ in range(_PHASE_STEPS):
        vectors = vectors * unit_phase((reference.conj() * vectors).sum(0)).conj()
        coefficients = fit.coefficients(vectors)
        reference = fit.basis.evaluate(coefficients, (vectors.shape[1], vectors.shape[2]))
    return normalised(SmoothBasis(weight.device).evaluate(coefficients.to(torch.complex64), matrix))


def virtual_coil(images: torch.Tensor) -> torch.Tensor:
    """Combination of the coils (coil,) that holds most of the energy of images (coil, y, x)."""
    flat = images.flatten(1)
    return torch.linalg.eigh(flat @ flat.mH).eigenvectors[:, -1]


def signal_weight(energy: torch.Tensor) -> torch.Tensor:
    """Trust in pixels of that energy (y, x): 1 for bright ones, in proportion for faint ones."""
    return energy / (energy + _FAINT * energy.mean())


def normalised(maps: torch.Tensor) -> torch.Tensor:
    """Maps (coil, y, x) divided by their root-sum-of-squares; 0 where all of them are 0."""
    rss = torch.view_as_real(maps).square().sum(0).sum(-1).sqrt()
    return maps * (1 / rss.clamp_min(1e-12 * float(rss.max()) + 1e-30))


def unit_phase(values: torch.Tensor) -> torch.Tensor:
    """``exp(i arg(values))``."""
    return torch.polar(torch.ones_like(values.real), values.angle())
