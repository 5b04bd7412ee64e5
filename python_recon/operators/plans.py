"""Plans of finufft and cufinufft, kept as long as the operator lives."""

from __future__ import annotations

import copy
import ctypes
import functools
import importlib
import math
import os
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from python_recon.arrays import Array, is_torch
from python_recon.errors import BackendError
from python_recon.resources.usage import gives_back

Points: TypeAlias = tuple[Array, Array]
"""Coordinates along y and x, in radians per pixel."""

_COARSE = 1e-4
"""Down to this tolerance a fine grid of 1.25 is enough, and three times faster than one of 2."""


class FinufftPlan:
    """NumPy arrays or Torch tensors on the CPU; a plan a frame, so that frames can be done side by side."""

    together = 1

    def __init__(self, trajectory: Array, matrix: tuple[int, int], tolerance: float) -> None:
        self._frames = [_FramePlan(frame, matrix, tolerance) for frame in trajectory]

    def of_frames(self, part: slice) -> FinufftPlan:
        some = copy.copy(self)
        some._frames = self._frames[part]
        return some

    def forward(self, images: Array) -> Array:
        return _stack([plan.forward(frame) for plan, frame in zip(self._frames, images, strict=True)])

    def adjoint(self, kspace: Array) -> Array:
        return _stack([plan.adjoint(frame) for plan, frame in zip(self._frames, kspace, strict=True)])


class _FramePlan:
    """One frame: one plan for both directions, for every number of coils."""

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


class _PlanKey(NamedTuple):
    """What a plan of cufinufft is made for."""

    kind: int
    """1: to images, 2: to samples."""
    matrix: tuple[int, int]
    n_coils: int
    tolerance: float
    stream: int
    """Address of the CUDA stream."""


class _CudaPlans:
    """The plans of cufinufft that were used last, each for whichever points are set; of all operators."""

    most = 8
    """Each keeps a fine grid of up to eight coils, outside the memory that Torch manages."""

    def __init__(self) -> None:
        self._plans: OrderedDict[_PlanKey, tuple[Any, Points]] = OrderedDict()
        self._lock = threading.Lock()

    def execute(self, key: _PlanKey, points: Points, values: Array) -> Array:
        """Transform values (coil, ...) at points; planned only where no plan of this kind is there."""
        with self._lock:
            plan, has = self._plans.pop(key, (None, None))
            if plan is None:
                plan = self._make(key)
            if has is not points:
                plan.setpts(*points)
            self._plans[key] = plan, points
            while len(self._plans) > self.most:
                self._plans.popitem(last=False)
            return plan.execute(values)

    def clear(self) -> None:
        with self._lock:
            self._plans.clear()

    @staticmethod
    def _make(key: _PlanKey) -> Any:
        sign = -1 if key.kind == 2 else 1
        options = {"gpu_stream": key.stream} if key.stream else {}
        plan = load_cufinufft().Plan
        return plan(key.kind, key.matrix, key.n_coils, key.tolerance, sign, "complex64", **options)


_cuda_plans = _CudaPlans()
gives_back(_cuda_plans.clear)


class CufinufftPlan:
    """CuPy arrays or Torch tensors on CUDA, which are handed over as they are.

    A plan is made once and its points are set anew for each frame, which costs a sort of the points. A plan a
    frame would take as long as a frame, and keep a fine grid each.
    """

    together = 1

    def __init__(self, trajectory: Array, matrix: tuple[int, int], tolerance: float) -> None:
        self._shape = tuple(trajectory.shape[1:3])
        self._points = [_radians(_plain(frame).reshape(-1, 2), matrix) for frame in trajectory]
        self._matrix, self._tolerance = matrix, tolerance
        self._scale = float(1 / np.sqrt(matrix[0] * matrix[1]))

    def of_frames(self, part: slice) -> CufinufftPlan:
        some = copy.copy(self)
        some._points = self._points[part]
        return some

    def forward(self, images: Array) -> Array:
        done = self._execute(2, images, [_plain(frame) for frame in images])
        return (_stack(done) * self._scale).reshape(*images.shape[:2], *self._shape)

    def adjoint(self, kspace: Array) -> Array:
        done = self._execute(1, kspace, [_plain(frame).reshape(len(frame), -1) for frame in kspace])
        return (_stack(done) * self._scale).reshape(*kspace.shape[:2], *self._matrix)

    def _execute(self, kind: int, whole: Array, frames: list[Array]) -> list[Array]:
        key = _PlanKey(kind, self._matrix, int(whole.shape[1]), self._tolerance, _stream(whole))
        pairs = zip(self._points, frames, strict=True)
        return [_cuda_plans.execute(key, points, frame) for points, frame in pairs]


@functools.cache
def load_cufinufft() -> Any:
    """Import cufinufft; raise BackendError where it or CUDA is missing.

    Its wheels link the libraries of CUDA 12, which a Torch for CUDA 12 brings along. Where they are not
    found, as beside a Torch for CUDA 13, those of the packages nvidia-cuda-runtime-cu12 and nvidia-cufft-cu12
    are loaded first. Torch tensors are handed over without CuPy: a CuPy for CUDA 12 would look for the
    compiler of CUDA 12 at its first kernel, which a Torch for CUDA 13 does not bring.
    """
    if not _has_cuda():
        raise BackendError(
            "cufinufft needs a CUDA device, and neither Torch nor CuPy finds one; where there is one: "
            "pip install 'gadgetron-pisco[cuda]'"
        )
    try:
        return importlib.import_module("cufinufft")
    except (ImportError, OSError):
        pass  # perhaps for want of CUDA 12
    try:
        for package, library in _CUDA_12:
            _preload(package, library)
        return importlib.import_module("cufinufft")
    except (ImportError, OSError) as error:
        raise BackendError(
            f"cufinufft cannot be loaded ({error}): pip install 'gadgetron-pisco[cuda]'"
        ) from error


_CUDA_12 = (("cuda_runtime", "libcudart.so.12"), ("cufft", "libcufft.so.11"))
"""Packages within ``nvidia``, and what cufinufft links of them."""


def _preload(package: str, library: str) -> None:
    """Load a library for all that come later; raise OSError or ImportError where it is not there."""
    folder = importlib.import_module(f"nvidia.{package}").__path__[0]
    ctypes.CDLL(str(Path(folder) / "lib" / library), mode=ctypes.RTLD_GLOBAL)


def _has_cuda() -> bool:
    if "torch" in sys.modules:
        return bool(sys.modules["torch"].cuda.is_available())
    return "cupy" in sys.modules and bool(sys.modules["cupy"].cuda.is_available())


def _threads() -> int:
    """As many threads as Torch uses, where it is loaded."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _radians(points: Array, matrix: tuple[int, int]) -> Points:
    """Contiguous (y, x) coordinates in radians per pixel, as the libraries want them."""
    step = [2 * math.pi / n for n in matrix]
    return points[:, 1] * step[0], points[:, 0] * step[1]


def _numpy(array: Array) -> np.ndarray:
    array = array if isinstance(array, np.ndarray) else array.detach().resolve_conj().numpy()
    return np.ascontiguousarray(array, dtype=np.complex64)


def _like(array: np.ndarray, model: Array) -> Array:
    if isinstance(model, np.ndarray):
        return array
    import torch

    return torch.from_numpy(array)


def _plain(array: Array) -> Array:
    """As cufinufft wants it: contiguous, and nothing left to be done."""
    if is_torch(array):
        return array.detach().resolve_conj().contiguous()
    return sys.modules["cupy"].ascontiguousarray(array)


def _stream(array: Array) -> int:
    """Address of the CUDA stream that is in use."""
    if is_torch(array):
        return int(sys.modules["torch"].cuda.current_stream(array.device).cuda_stream)
    return int(sys.modules["cupy"].cuda.get_current_stream().ptr)


def _stack(frames: list[Array]) -> Array:
    if is_torch(frames[0]):
        return sys.modules["torch"].stack(frames)
    if isinstance(frames[0], np.ndarray):
        return np.stack(frames)
    return sys.modules["cupy"].stack(frames)
