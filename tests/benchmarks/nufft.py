"""NUFFT forward and adjoint, all frames and coils."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from python_recon.operators.nufft import Library, Nufft
from tests.benchmarks import exact, floors
from tests.benchmarks.peers import TOLERANCE, MriNufft, Sigpy, TorchKbNufft
from tests.benchmarks.scene import Scene, all_scenes
from tests.benchmarks.table import Reporter
from tests.benchmarks.timing import Contender, race

_COILS = slice(0, 2)
"""Coils whose result is judged."""


def run(reporter: Reporter) -> None:
    reporter.say(
        "[bold]NUFFT[/]: density-weighted data and coil images; plans and tables are kept, unless the name "
        "says anew. Error: against the DFT in float64, all points of two coils of the first frame."
    )
    for scene in all_scenes():
        kspace = scene.kspace
        images = (scene.maps * scene.truth[:, None]).astype(np.complex64)
        weighted = kspace.data * kspace.density[:, None]
        operators = _operators(scene)
        samples = exact.dft(images[0, _COILS], kspace.trajectory[0])
        _race(reporter, f"forward, {scene.name}", scene, operators, "forward", images, samples)
        back = exact.adjoint_dft(weighted[0, _COILS], kspace.trajectory[0], kspace.matrix)
        _race(reporter, f"adjoint, {scene.name}", scene, operators, "adjoint", weighted, back)


class _Ours:
    """Our operator, for tensors that share the memory of NumPy arrays."""

    def __init__(self, scene: Scene, library: Library) -> None:
        kspace = scene.tensors
        self._nufft = Nufft(kspace.trajectory, kspace.matrix, TOLERANCE, library)

    def forward(self, images: np.ndarray) -> np.ndarray:
        return self._nufft.forward(torch.from_numpy(images)).numpy()

    def adjoint(self, kspace: np.ndarray) -> np.ndarray:
        return self._nufft.adjoint(torch.from_numpy(kspace)).numpy()


class _Anew:
    """Our operator, planned in each call."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def forward(self, images: np.ndarray) -> np.ndarray:
        return _Ours(self._scene, "finufft").forward(images)

    def adjoint(self, kspace: np.ndarray) -> np.ndarray:
        return _Ours(self._scene, "finufft").adjoint(kspace)


def _operators(scene: Scene) -> dict[str, object]:
    return {
        "ours (finufft)": _Ours(scene, "finufft"),
        "ours (finufft), anew": _Anew(scene),
        "ours (gridder)": _Ours(scene, "gridder"),
        "sigpy": Sigpy(scene.kspace),
        "torchkbnufft": TorchKbNufft(scene.kspace),
        "mri-nufft": MriNufft(scene.kspace),
    }


def _race(
    reporter: Reporter,
    title: str,
    scene: Scene,
    operators: dict[str, object],
    direction: str,
    array: np.ndarray,
    expected: np.ndarray,
) -> None:
    contenders = [
        Contender(name, _bound(getattr(nufft, direction), array)) for name, nufft in operators.items()
    ]

    def judge(result: np.ndarray) -> dict[str, float]:
        error = np.linalg.norm(result[0, _COILS] - expected) / np.linalg.norm(expected)
        return {"error": float(error)}

    reporter.show(title, race(contenders, judge, reporter.limit_s), floors.nufft(scene))


def _bound(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: function(array)
