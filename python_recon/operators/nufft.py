"""Non-uniform FFT of radial frames, batched over coils, on CPU and CUDA.

The transform itself is done by finufft (NumPy and Torch arrays on the CPU), by cufinufft (CuPy and Torch
arrays on CUDA) or by the project's own sparse gridder, which needs nothing but Torch.

References: Barnett, Magland, af Klinteberg, doi:10.1137/18M120885X; Shih et al.,
doi:10.1109/IPDPSW52791.2021.00105.
"""

from __future__ import annotations

import copy
import math
import sys
from typing import Any, Literal, Protocol

import numpy as np

from python_recon.arrays import Array, is_torch
from python_recon.errors import BackendError, DataError, ShapeError

Library = Literal["auto", "finufft", "cufinufft", "gridder"]


class FramePlan(Protocol):
    """The transform of one frame, for arrays of one library."""

    def forward(self, images: Array) -> Array:
        """(coil, y, x) -> (coil, spoke, readout)."""

    def adjoint(self, kspace: Array) -> Array:
        """(coil, spoke, readout) -> (coil, y, x)."""


class Nufft:
    """Images to the radial k-space of every frame, and back by the adjoint.

    Parameters
    ----------
    trajectory
        (frame, spoke, readout, 2), cycles per field of view; its library and device are those of the
        arrays that will be transformed.
    matrix
        Image matrix (y, x).
    tolerance
        Relative accuracy asked of the transform.
    library
        Which implementation; ``auto`` takes finufft on the CPU, and on CUDA cufinufft where it is
        installed, else the gridder.

    Raises
    ------
    ShapeError
        If the trajectory has another shape.
    DataError
        If the trajectory holds NaN or Inf, on which finufft ends the process.
    BackendError
        If the library asked for is not installed.
    """

    def __init__(
        self, trajectory: Array, matrix: tuple[int, int], tolerance: float = 1e-3, library: Library = "auto"
    ) -> None:
        if trajectory.ndim != 4 or trajectory.shape[-1] != 2:
            raise ShapeError(
                f"trajectory has shape {tuple(trajectory.shape)}, expected (frame, spoke, readout, 2)"
            )
        if not math.isfinite(float(trajectory.sum())):
            raise DataError("the trajectory holds NaN or Inf: leave those spokes out")
        self.matrix = matrix
        self.n_frames, self.n_spokes, self.n_samples = (int(n) for n in trajectory.shape[:3])
        plan = _plan_type(trajectory, library)
        self._plans: list[FramePlan] = [plan(frame, matrix, tolerance) for frame in trajectory]

    def of_frames(self, part: slice) -> Nufft:
        """The operator of some of the frames, which shares their plans."""
        some = copy.copy(self)
        some._plans = self._plans[part]
        some.n_frames = len(some._plans)
        return some

    def forward(self, images: Array) -> Array:
        """k-space of images: (frame, coil, y, x) -> (frame, coil, spoke, readout).

        Raises
        ------
        ShapeError
            If frames or matrix are not those of the operator.
        """
        self._check("images", images, self.matrix)
        return _differentiable(images, self._forward, self._adjoint)

    def adjoint(self, kspace: Array) -> Array:
        """Adjoint of :meth:`forward`: (frame, coil, spoke, readout) -> (frame, coil, y, x).

        Raises
        ------
        ShapeError
            If frames, spokes or samples are not those of the operator.
        """
        self.check_kspace(kspace)
        return _differentiable(kspace, self._adjoint, self._forward)

    def check_kspace(self, kspace: Array) -> None:
        """Raise ShapeError unless k-space is (frame, coil, spoke, readout) of the operator."""
        self._check("kspace", kspace, (self.n_spokes, self.n_samples))

    def _forward(self, images: Array) -> Array:
        return _stack([plan.forward(frame) for plan, frame in zip(self._plans, images, strict=True)])

    def _adjoint(self, kspace: Array) -> Array:
        return _stack([plan.adjoint(frame) for plan, frame in zip(self._plans, kspace, strict=True)])

    def _check(self, name: str, array: Array, last: tuple[int, int]) -> None:
        if array.ndim != 4 or len(array) != self.n_frames or tuple(array.shape[2:]) != last:
            expected = f"({self.n_frames}, coil, {last[0]}, {last[1]})"
            raise ShapeError(f"{name} has shape {tuple(array.shape)}, expected {expected}")


def _plan_type(trajectory: Array, library: Library) -> Any:
    on_cuda = "cupy" in type(trajectory).__module__ or (is_torch(trajectory) and trajectory.is_cuda)
    if library == "auto":
        library = ("cufinufft" if has_cufinufft() else "gridder") if on_cuda else "finufft"
    if library == "gridder":
        from python_recon.operators.gridder import GridderPlan

        return GridderPlan
    if library == "cufinufft":
        if not has_cufinufft():
            raise BackendError(
                "cufinufft is not installed or finds no CUDA: pip install 'gadgetron-pisco[cuda]'"
            )
        from python_recon.operators.plans import CufinufftPlan

        return CufinufftPlan
    from python_recon.operators.plans import FinufftPlan

    return FinufftPlan


def has_cufinufft() -> bool:
    """Whether cufinufft and CuPy can be used."""
    from python_recon.operators.plans import load_cufinufft

    try:
        load_cufinufft()
    except BackendError:
        return False
    return True


def _stack(frames: list[Array]) -> Array:
    if is_torch(frames[0]):
        return sys.modules["torch"].stack(frames)
    if isinstance(frames[0], np.ndarray):
        return np.stack(frames)
    return sys.modules["cupy"].stack(frames)


def _differentiable(array: Array, function: Any, adjoint: Any) -> Array:
    if is_torch(array) and array.requires_grad:
        from python_recon.operators.linear import apply_linear

        return apply_linear(array, function, adjoint)
    return function(array)
