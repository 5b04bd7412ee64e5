"""Fourier transform of frames to samples anywhere, batched over coils, on CPU and CUDA.

The transform itself is done by finufft (NumPy and Torch arrays on the CPU), by cufinufft (CuPy and Torch
arrays on CUDA) or by the project's own sparse gridder, which needs nothing but Torch. Samples that
all lie on the grid are transformed by a plain FFT.

References: Barnett, Magland, af Klinteberg, doi:10.1137/18M120885X; Shih et al.,
doi:10.1109/IPDPSW52791.2021.00105.
"""

from __future__ import annotations

import copy
import functools
import logging
import math
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from python_recon.arrays import Array, is_torch
from python_recon.errors import BackendError, DataError, ShapeError

Library = Literal["auto", "grid", "finufft", "cufinufft", "gridder"]

_log = logging.getLogger(__name__)


class SeriesPlan(Protocol):
    """The transforms of a series of frames, for arrays of one library."""

    together: int
    """Frames that are transformed at once, one on a CPU."""

    def forward(self, images: Array) -> Array:
        """(frame, coil, y, x) -> (frame, coil, spoke, readout)."""

    def adjoint(self, kspace: Array) -> Array:
        """(frame, coil, spoke, readout) -> (frame, coil, y, x)."""

    def of_frames(self, part: slice) -> SeriesPlan:
        """That of some of the frames, from the first of some that are transformed together."""


class Nufft:
    """Images to the k-space of every frame, and back by the adjoint.

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
        Which implementation; ``auto`` takes an exact FFT where all samples of Torch tensors lie on the grid,
        else finufft on the CPU, and on CUDA cufinufft where it is installed, else the gridder.

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
        self._plan: SeriesPlan = _plan_type(trajectory, library)(trajectory, matrix, tolerance)

    def of_frames(self, part: slice) -> Nufft:
        """The operator of some of the frames, one of the :meth:`blocks`, which shares their plans."""
        some = copy.copy(self)
        some._plan = self._plan.of_frames(part)
        some.n_frames = part.stop - part.start
        return some

    def blocks(self, part: slice) -> Iterator[slice]:
        """The frames of a part in blocks that are best transformed at once: what fits into a cache."""
        for start in range(part.start, part.stop, self._plan.together):
            yield slice(start, min(start + self._plan.together, part.stop))

    def forward(self, images: Array) -> Array:
        """k-space of images: (frame, coil, y, x) -> (frame, coil, spoke, readout).

        Raises
        ------
        ShapeError
            If frames or matrix are not those of the operator.
        """
        self._check("images", images, self.matrix)
        return _differentiable(images, self._plan.forward, self._plan.adjoint)

    def adjoint(self, kspace: Array) -> Array:
        """Adjoint of :meth:`forward`: (frame, coil, spoke, readout) -> (frame, coil, y, x).

        Raises
        ------
        ShapeError
            If frames, spokes or samples are not those of the operator.
        """
        self.check_kspace(kspace)
        return _differentiable(kspace, self._plan.adjoint, self._plan.forward)

    def check_kspace(self, kspace: Array) -> None:
        """Raise ShapeError unless k-space is (frame, coil, spoke, readout) of the operator."""
        self._check("kspace", kspace, (self.n_spokes, self.n_samples))

    def _check(self, name: str, array: Array, last: tuple[int, int]) -> None:
        if array.ndim != 4 or len(array) != self.n_frames or tuple(array.shape[2:]) != last:
            expected = f"({self.n_frames}, coil, {last[0]}, {last[1]})"
            raise ShapeError(f"{name} has shape {tuple(array.shape)}, expected {expected}")


def _plan_type(trajectory: Array, library: Library) -> Any:
    on_cuda = "cupy" in type(trajectory).__module__ or (is_torch(trajectory) and trajectory.is_cuda)
    if library == "auto" and _is_on_grid(trajectory):
        library = "grid"
    if library == "grid":
        from python_recon.operators.grid_plan import GridPlan

        return GridPlan
    if library == "auto":
        library = cuda_library() if on_cuda else "finufft"
    if library == "gridder":
        from python_recon.operators.gridder import GridderPlan

        return GridderPlan
    from python_recon.operators import plans

    if library == "cufinufft":
        plans.load_cufinufft()  # or say why not
        return plans.CufinufftPlan
    return plans.FinufftPlan


def _is_on_grid(trajectory: Array) -> bool:
    if not is_torch(trajectory):
        return False
    from python_recon.operators.grid_plan import is_on_grid

    return is_on_grid(trajectory)


@functools.cache
def cuda_library() -> Literal["cufinufft", "gridder"]:
    """What transforms on CUDA where nothing is asked for; the log says once which, and why not the other."""
    from python_recon.operators.plans import load_cufinufft

    try:
        version = load_cufinufft().__version__
    except BackendError as error:
        _log.warning("NUFFTs on CUDA are done by the built-in gridder: %s", error)
        return "gridder"
    _log.info("NUFFTs on CUDA are done by cufinufft %s", version)
    return "cufinufft"


def _differentiable(array: Array, function: Any, adjoint: Any) -> Array:
    if is_torch(array) and array.requires_grad:
        from python_recon.operators.linear import apply_linear

        return apply_linear(array, function, adjoint)
    return function(array)
