"""Joint estimation of image and maps by regularised nonlinear inversion.

Uecker, Hohage, Block, Frahm, doi:10.1002/mrm.21691; non-Cartesian: Uecker, Zhang, Frahm,
doi:10.1002/mrm.22453. Each Newton step n of the iteratively regularised Gauss-Newton method minimises, with
the image m and the maps c linearised around the last iterate,

    sum_j |W^1/2 (F (m c_j) - y_j)|^2 + a_n (|m|^2 + sum_j |h_j|^2),    c_j = smooth series of h_j,
    a_n = a_0 2^-n,

by a few steps of conjugate gradients. W is the density and F^H W F the Toeplitz operator of the radial
point-spread function on the doubled grid. Departures from the papers: the image starts as the
root-sum-of-squares of the coil images with the phase of a virtual coil, not as 1, and the maps are Fourier
series longer than the field of view, so that they need not be periodic in it. The series is evaluated on the
full matrix; nothing is interpolated.

Image and maps may trade a smooth factor, which the data do not tell and only a_n holds. Many steps of
conjugate gradients resolve such directions from rounding: it grows about tenfold with each beyond the tenth,
up to 5 % of the maps. Few steps leave them where they are, and Newton steps make up for it. The unknowns are
double precision, for which a disturbance of the data of 1e-7 changes maps within the object by 1e-6.

Cost for C coils and a region of width w: 126 normal operators of 2 C FFTs of (2 w + 24)^2; at 16 coils and
w = 24 these are 1.3 GFLOP, and the evaluations of the series as much again.
"""

from __future__ import annotations

import torch

from python_recon.coil_maps.calibration import Calibration, Region
from python_recon.coil_maps.smoothness import SmoothBasis, normalised, unit_phase, virtual_coil
from python_recon.operators.nufft import Nufft
from python_recon.solvers.cg import conjugate_gradient

REGION = Region(narrowest=16, widest=24)

_MARGIN = 12
"""By how much the image's k-space is wider than the data: products with the maps reach so far."""
_FIRST_WEIGHT = 1.0
_NEWTON_STEPS = 14
_CG_STEPS = 9


def maps(calibration: Calibration, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps (coil, y, x)."""
    problem = _Problem(calibration)
    state = problem.start()
    for step in range(_NEWTON_STEPS):
        state = problem.newton_step(state, _FIRST_WEIGHT / 2**step)
    _, coefficients = problem.split(state)
    return normalised(problem.basis.evaluate(coefficients, matrix).to(calibration.samples.dtype))


class _Problem:
    """The bilinear model on a coarse grid; its unknowns, image and coefficients, lie in one vector (1, n).

    They are complex128.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._grid = (calibration.width + _MARGIN, calibration.width + _MARGIN)
        data = calibration.images(self._grid[0]).to(torch.complex128)
        # Coil images of unit mean square: the penalties then mean the same for every scan.
        self._data = data * data[0].numel() ** 0.5 / torch.linalg.vector_norm(data)
        self._spectrum = _point_spread_spectrum(calibration, self._grid[0])
        self.basis = SmoothBasis(data.device, torch.float64)

    def start(self) -> torch.Tensor:
        combination = torch.einsum("c,cyx->yx", virtual_coil(self._data).conj(), self._data)
        image = torch.linalg.vector_norm(self._data, dim=0) * unit_phase(combination)
        coefficients = image.new_zeros(len(self._data), *self.basis.shape)
        return _join(image, coefficients)

    def split(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Image (y, x) and coefficients (coil, ky, kx)."""
        n_pixels = self._grid[0] * self._grid[1]
        image, coefficients = state[0, :n_pixels], state[0, n_pixels:]
        return image.reshape(self._grid), coefficients.reshape(-1, *self.basis.shape)

    def newton_step(self, state: torch.Tensor, weight: float) -> torch.Tensor:
        image, coefficients = self.split(state)
        coils = self.basis.evaluate(coefficients, self._grid)

        def derivative_adjoint(residual: torch.Tensor) -> torch.Tensor:
            return _join((coils.conj() * residual).sum(0), self.basis.adjoint(image.conj() * residual))

        def normal_op(step: torch.Tensor) -> torch.Tensor:
            image_step, coefficient_step = self.split(step)
            change = coils * image_step + image * self.basis.evaluate(coefficient_step, self._grid)
            return derivative_adjoint(self._gram(change)) + weight * step

        gradient = derivative_adjoint(self._data - self._gram(coils * image)) - weight * state
        return state + conjugate_gradient(normal_op, gradient, _CG_STEPS)

    def _gram(self, images: torch.Tensor) -> torch.Tensor:
        """``F^H W F`` of coil images (coil, y, x)."""
        rows, columns = self._grid
        spectrum = torch.fft.fft2(images, s=self._spectrum.shape) * self._spectrum
        return torch.fft.ifft2(spectrum)[..., :rows, :columns]


def _join(image: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    return torch.cat([image.flatten(), coefficients.flatten()])[None]


def _point_spread_spectrum(calibration: Calibration, grid: int) -> torch.Tensor:
    """Real spectrum of the point-spread function on the doubled grid, centre first."""
    double = (2 * grid, 2 * grid)
    weight = calibration.density[None, None].to(torch.complex64)
    # On twice the field of view the same k counts twice the cycles; twice for the unitary scaling.
    spread = Nufft(2 * calibration.trajectory[None], double).adjoint(weight)[0, 0] * (2 / grid)
    return torch.fft.fft2(torch.fft.ifftshift(spread.to(torch.complex128))).real
