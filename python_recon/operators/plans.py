"""Plans of finufft and cufinufft for one frame, kept as long as the operator lives."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from python_recon.arrays import Array
from python_recon.errors import BackendError

_COARSE = 1e-4
"""Down to this tolerance a fine grid of 1.25 is enough, and three times faster than one of 2."""


class FinufftPlan:
    """NumPy arrays or Torch tensors on the CPU; one plan for both directions."""

    def __init__(self, trajectory: Array, matrix: tuple[int, int], tolerance: float) -> None:
        points = np.asarray(trajectory, dtype=np.float32)
        self._shape = points.shape[:2]
        self._points = _radians(points.reshape(-1, 2), matrix)
        self._matrix, self._tolerance = matrix, tolerance
        self._scale = np.float32(1 / np.sqrt(matrix[0] * matrix[1]))
        self._plans: dict[int, Any] = {}

    def forward(self, images: Array) -> Array:
        samples = np.empty((len(images), self._points[0].size), np.complex64)
        self._plan_for(len(images)).execute(_numpy(images), samples)
        samples *= self._scale
        return _like(samples.reshape(-1, *self._shape), images)

    def adjoint(self, kspace: Array) -> Array:
        images = np.empty((len(kspace), *self._matrix), np.complex64)
        samples = _numpy(kspace).reshape(len(kspace), -1)
        self._plan_for(len(kspace)).execute_adjoint(samples, images)
        images *= self._scale
        return _like(images, kspace)

    def _plan_for(self, n_coils: int) -> Any:
        if n_coils not in self._plans:
            self._plans[n_coils] = self._make_plan(n_coils)
        return self._plans[n_coils]

    def _make_plan(self, n_coils: int) -> Any:
        import finufft

        upsampling = 1.25 if self._tolerance >= _COARSE else 2.0
        plan = finufft.Plan(
            2,
            self._matrix,
            n_coils,
            self._tolerance / 2,
            -1,
            "complex64",
            upsampfac=upsampling,
            nthreads=_threads(),
        )
        plan.setpts(*self._points)
        return plan


class CufinufftPlan:
    """CuPy arrays, or Torch tensors on CUDA, which are exchanged without copies."""

    def __init__(self, trajectory: Array, matrix: tuple[int, int], tolerance: float) -> None:
        self._cufinufft = load_cufinufft()
        points = _cupy(trajectory)
        self._shape = points.shape[:2]
        self._points = _radians(points.reshape(-1, 2), matrix)
        self._matrix, self._tolerance = matrix, tolerance
        self._scale = float(1 / np.sqrt(matrix[0] * matrix[1]))
        self._plans: dict[tuple[int, int], Any] = {}

    def forward(self, images: Array) -> Array:
        samples = self._plan_for(2, len(images)).execute(_cupy(images)) * self._scale
        return _like_cuda(samples.reshape(-1, *self._shape), images)

    def adjoint(self, kspace: Array) -> Array:
        samples = _cupy(kspace).reshape(len(kspace), -1)
        images = self._plan_for(1, len(kspace)).execute(samples) * self._scale
        return _like_cuda(images.reshape(-1, *self._matrix), kspace)

    def _plan_for(self, kind: int, n_coils: int) -> Any:
        if (kind, n_coils) not in self._plans:
            self._plans[kind, n_coils] = self._make_plan(kind, n_coils)
        return self._plans[kind, n_coils]

    def _make_plan(self, kind: int, n_coils: int) -> Any:
        sign = -1 if kind == 2 else 1
        plan = self._cufinufft.Plan(kind, self._matrix, n_coils, self._tolerance, sign, "complex64")
        plan.setpts(*self._points)
        return plan


@functools.cache
def load_cufinufft() -> Any:
    """Import cufinufft; raise BackendError where it, CuPy or CUDA is missing.

    Its wheels link CUDA 12. Beside a Torch built for CUDA 13 the CUDA 12 libraries are loaded first from
    the packages nvidia-cuda-runtime-cu12 and nvidia-cufft-cu12, where they are installed.
    """
    try:
        import cupy

        if not cupy.cuda.is_available():
            raise BackendError("cufinufft needs a CUDA device and CuPy finds none")
        _preload_cuda12()
        return importlib.import_module("cufinufft")
    except (ImportError, OSError) as error:
        raise BackendError(
            f"cufinufft cannot be loaded ({error}): pip install 'gadgetron-pisco[cuda]'"
        ) from error


def _preload_cuda12() -> None:
    for package, library in (("cuda_runtime", "libcudart.so.12"), ("cufft", "libcufft.so.11")):
        try:
            folder = importlib.import_module(f"nvidia.{package}").__path__[0]
        except ImportError:
            continue
        path = Path(folder) / "lib" / library
        if path.exists():
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _threads() -> int:
    """As many threads as Torch uses, where it is loaded."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _radians(points: Array, matrix: tuple[int, int]) -> tuple[Array, Array]:
    """Contiguous (y, x) coordinates in radians per pixel, as the libraries want them."""
    step = 2 * np.pi / np.asarray(matrix)
    return (points[:, 1] * np.float32(step[0])).copy(), (points[:, 0] * np.float32(step[1])).copy()


def _numpy(array: Array) -> np.ndarray:
    array = array if isinstance(array, np.ndarray) else array.detach().resolve_conj().numpy()
    return np.ascontiguousarray(array, dtype=np.complex64)


def _like(array: np.ndarray, model: Array) -> Array:
    if isinstance(model, np.ndarray):
        return array
    import torch

    return torch.from_numpy(array)


def _cupy(array: Array) -> Any:
    import cupy

    if isinstance(array, cupy.ndarray):
        return cupy.ascontiguousarray(array)
    return cupy.from_dlpack(array.detach().resolve_conj().contiguous())


def _like_cuda(array: Any, model: Array) -> Array:
    import cupy

    if isinstance(model, cupy.ndarray):
        return array
    import torch

    return torch.utils.dlpack.from_dlpack(array)
