"""Losses of predicted k-space samples against measured ones, for networks that learn from a scan itself.

Made once of what was measured, then called with what is predicted. With ``r = p - y`` of a prediction p and
measured samples y, weights w and the norms ``|a|_1 = sum w |a|`` and ``|a|_2 = (sum w |a|^2)^1/2``:

=========== ================================================================================================
Usual       ``|r|_2 / 2 |y|_2 + |r|_1 / 2 |y|_1`` (Yaman et al., doi:10.1002/mrm.28378)
Logarithmic the same of ``l(z) = log(1 + |z| / d)``, d the median of |y|: of ``l(r)``, relative to ``l(y)``
Combined    the mean of both
MuLaw       the usual one of ``c(z) = z / |z| log(1 + m |z| / M)``, M the largest |y|: of ``c(p) - c(y)``
Hdr         ``sum w |r|^2 / (|p| + e)^2`` over ``sum w |y|^2 / (|y| + e)^2`` (arXiv:2212.08479)
Density     ``sum w |r|^2 / sum w |y|^2``, w the density compensation: an integral over k-space
=========== ================================================================================================

k-space spans four orders of magnitude. The usual loss sees its centre most, the others its outer parts more.
A logarithmic scale is published (Cho, Diagnostics 15:2993, 2025), its formula is not: the one above is our
reading. It grows slower than any norm, so that large residuals move the prediction least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch

from python_recon.errors import DataError, ShapeError
from python_recon.losses.hdr import hdr_weights

LossName: TypeAlias = Literal["usual", "log", "combined", "mu_law", "hdr", "density"]
"""What a configuration calls them."""
MeasuredLoss: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Predicted samples, of the shape of the measured ones, to a scalar."""

_COMPRESSION = 255.0
"""m of the mu-law, as in telephony."""
_EPSILON = 1e-2
"""e of the HDR weights, relative to the largest sample."""


class _Measured:
    """What was measured, with the weights of the samples.

    Parameters
    ----------
    target
        Complex, any shape; what is not a sample has the weight 0.
    weights
        Real, not negative, of a shape that broadcasts to that of the target; None: 1.

    Raises
    ------
    DataError
        If no sample with a weight differs from zero, or one is not finite: there is nothing to relate to.
    """

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        self.target = target
        self.weights = torch.ones_like(target.real) if weights is None else weights.expand(target.shape)
        magnitude = target.abs()[self.weights > 0]
        self.largest = float(magnitude.amax()) if magnitude.numel() else 0.0
        if not 0 < self.largest < math.inf:
            fault = "none that differs from zero" if self.largest == 0 else "some that are not finite"
            raise DataError(f"of the measured samples that have a weight there are {fault}")
        self.median = float(magnitude.median()) or self.largest
        self._roots = self.weights.sqrt()

    def missing(self, prediction: torch.Tensor) -> torch.Tensor:
        """The residual r."""
        if prediction.shape != self.target.shape:
            # Broadcasting would compare every sample with every other.
            raise ShapeError(
                f"{tuple(prediction.shape)} samples were predicted, {tuple(self.target.shape)} measured"
            )
        return prediction - self.target

    def norm_1(self, values: torch.Tensor) -> torch.Tensor:
        return (self.weights * values.abs()).sum()

    def norm_2(self, values: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(self._roots * values)


class Usual(_Measured):
    """Half the relative L2 norm and half the relative L1 norm of the residual."""

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        super().__init__(target, weights)
        self._norms = self.norm_2(target), self.norm_1(target)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        missing = self.missing(prediction)
        return (self.norm_2(missing) / self._norms[0] + self.norm_1(missing) / self._norms[1]) / 2


class Logarithmic(_Measured):
    """The same norms of ``log(1 + |r| / median |y|)``, relative to those of the samples: our reading."""

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        super().__init__(target, weights)
        scaled = self._scaled(target)
        self._norms = self.norm_2(scaled), self.norm_1(scaled)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        scaled = self._scaled(self.missing(prediction))
        return (self.norm_2(scaled) / self._norms[0] + self.norm_1(scaled) / self._norms[1]) / 2

    def _scaled(self, values: torch.Tensor) -> torch.Tensor:
        return torch.log1p(values.abs() / self.median)


class Combined:
    """The mean of the usual and of the logarithmic loss."""

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        self._parts = Usual(target, weights), Logarithmic(target, weights)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        return (self._parts[0](prediction) + self._parts[1](prediction)) / 2


class MuLaw(_Measured):
    """The usual loss of samples whose magnitudes are compressed, phases kept."""

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        super().__init__(target, weights)
        self._usual = Usual(self._compressed(target), weights)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        self.missing(prediction)
        return self._usual(self._compressed(prediction))

    def _compressed(self, values: torch.Tensor) -> torch.Tensor:
        magnitude = (_COMPRESSION / self.largest) * values.abs()
        is_faint = magnitude < 1e-6
        safe = torch.where(is_faint, 1.0, magnitude)
        return values / self.largest * torch.where(is_faint, 1.0, torch.log1p(safe) / safe)


class Hdr(_Measured):
    """Squared residuals relative to the predicted magnitudes, which carry no gradient."""

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        super().__init__(target, weights)
        self._norm = self._weighed(target, target)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        return self._weighed(self.missing(prediction), prediction) / self._norm

    def _weighed(self, values: torch.Tensor, relative_to: torch.Tensor) -> torch.Tensor:
        weights = self.weights * hdr_weights(relative_to, _EPSILON * self.largest)
        return (weights * torch.view_as_real(values).square().sum(-1)).sum()


class Density(_Measured):
    """The relative squared residual, with weights that are meant to be the density compensation.

    The sum is then an integral over k-space and, as far as that was measured, over the image. Being
    quadratic it has a form without samples, see :func:`~python_recon.fitting.recorrupted.quadratic`.
    """

    def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
        super().__init__(target, weights)
        self._norm = self._energy(target)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        return self._energy(self.missing(prediction)) / self._norm

    def _energy(self, values: torch.Tensor) -> torch.Tensor:
        return (self.weights * torch.view_as_real(values).square().sum(-1)).sum()


_BY_NAME: dict[LossName, Callable[[torch.Tensor, torch.Tensor | None], MeasuredLoss]] = {
    "usual": Usual,
    "log": Logarithmic,
    "combined": Combined,
    "mu_law": MuLaw,
    "hdr": Hdr,
    "density": Density,
}


def measured_loss(name: LossName, target: torch.Tensor, weights: torch.Tensor | None = None) -> MeasuredLoss:
    """The loss of that name of measured samples; weights as for each of them."""
    return _BY_NAME[name](target, weights)
