"""Ten iterations of CG-SENSE with given maps.

Everybody solves the same problem, ``|W^1/2 (F S x - y)|^2 + lambda |x|^2`` with the weights of
``python_recon.operators.sense.data_weights`` and our default lambda, by conjugate gradients from zero, and
is timed from arrays in memory to images, set-up included. torchkbnufft and mri-nufft have no such solver:
their operators run in ours.
"""

from __future__ import annotations

import numpy as np
import sigpy.mri.app
import torch
import torchkbnufft as tkbn

from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.methods.cg_sense import CgSenseOptions
from python_recon.methods.cg_sense import run as run_ours
from python_recon.resources.schedule import Budget
from python_recon.solvers.cg import conjugate_gradient
from tests.benchmarks import bart, exact, floors
from tests.benchmarks.peers import OVERSAMPLED_SCALE, mri_nufft, radians
from tests.benchmarks.scene import N_COILS, Scene, all_scenes
from tests.benchmarks.table import Reporter, Target
from tests.benchmarks.timing import Contender, Entry, Judge, race

_ITERATIONS = 10
_LAMBDA = 0.01
_CONVERGED = 80
"""Iterations of the reference; the condition number is 1 / lambda."""
_EQUAL = 1.02
"""Errors within two percent count as equal."""


def run(reporter: Reporter) -> None:
    reporter.say(
        "[bold]CG-SENSE[/], 10 iterations, true maps, the same weighted problem for everybody. 'from "
        "solution': distance of the iterate from the converged solution in float64 of the same problem (the "
        "definition of equal error here); 'rounding': from the tenth iterate in float64; first and last "
        "frame. BART iterates on all frames at once. NRMSE: to the truth, one real factor matched."
    )
    for scene in all_scenes():
        contenders = [
            Contender("ours", lambda scene=scene: _ours(scene)),
            Contender("sigpy", lambda scene=scene: _sigpy(scene)),
            Contender("torchkbnufft (Toeplitz)", lambda scene=scene: _torchkbnufft(scene)),
            Contender("mri-nufft (finufft)", lambda scene=scene: _mri_nufft(scene)),
        ]
        if bart.is_there():
            contenders.append(_bart(scene))
        entries = race(contenders, _judge(scene), reporter.limit_s)
        floor = floors.cg_sense(scene, _ITERATIONS)
        reporter.show(f"CG-SENSE, {scene.name}", entries, floor, _targets(scene, entries))


def _targets(scene: Scene, entries: list[Entry]) -> list[Target]:
    ours, *others = entries
    fastest = min((entry for entry in others if "BART" not in entry.name), key=lambda entry: entry.wall_s)
    targets = [Target(f"time over {fastest.name}'s, the fastest library", 1 / fastest.ratio_to(ours), 1.0)]
    for peer in [fastest, *(entry for entry in others if "BART" in entry.name)]:
        share = ours.errors["from solution"] / peer.errors["from solution"]
        targets.append(Target(f"error over that of {peer.name}", share, _EQUAL))
        if "BART" in peer.name:
            targets.append(Target("time over BART's", 1 / peer.ratio_to(ours), 0.25))
    return targets


def _judge(scene: Scene) -> Judge:
    kspace = scene.kspace
    frames = sorted({0, scene.n_frames - 1})
    iterates = [
        exact.cg_sense(
            kspace.data[f], kspace.trajectory[f], scene.weights[f], scene.maps, _LAMBDA, _CONVERGED
        )
        for f in frames
    ]
    solution, tenth = (np.stack([of_frame[i] for of_frame in iterates]) for i in (-1, _ITERATIONS - 1))

    def judge(result: np.ndarray) -> dict[str, float]:
        images = result.reshape(scene.truth.shape)
        return {
            "from solution": _distance(images[frames], solution),
            "rounding": _distance(images[frames], tenth),
            "NRMSE": nrmse(match_scale(images, scene.truth), scene.truth),
        }

    return judge


def _distance(images: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(images - reference) / np.linalg.norm(reference))


def _ours(scene: Scene) -> np.ndarray:
    options = CgSenseOptions(iterations=_ITERATIONS, regularisation=_LAMBDA)
    with torch.no_grad():
        return run_ours(scene.tensors, scene.coil_maps, options, Budget()).images.numpy()


def _sigpy(scene: Scene) -> np.ndarray:
    kspace, images = scene.kspace, []
    for data, trajectory, weights in zip(kspace.data, kspace.trajectory, scene.weights, strict=True):
        app = sigpy.mri.app.SenseRecon(
            data,
            scene.maps,
            lamda=_LAMBDA,
            weights=weights,
            coord=trajectory[..., ::-1],
            max_iter=_ITERATIONS,
            show_pbar=False,
        )
        images.append(app.run())
    return np.stack(images)


def _torchkbnufft(scene: Scene) -> np.ndarray:
    kspace, matrix = scene.kspace, scene.kspace.matrix
    points, maps = radians(kspace), torch.from_numpy(scene.maps)[None]
    weights = torch.from_numpy(scene.weights).flatten(1)[:, None]
    scale = float(OVERSAMPLED_SCALE)
    kernels = tkbn.calc_toeplitz_kernel(points, matrix, weights, norm="ortho")
    adjoint, gram = tkbn.KbNufftAdjoint(matrix).to(torch.complex64), tkbn.ToepNufft()
    data = torch.from_numpy(kspace.data).flatten(2) * weights
    right_side = scale * adjoint(data, points, smaps=maps, norm="ortho")
    return conjugate_gradient(
        lambda x: scale**2 * gram(x, kernels, smaps=maps, norm="ortho") + _LAMBDA * x,
        right_side,
        _ITERATIONS,
    ).numpy()


def _mri_nufft(scene: Scene) -> np.ndarray:
    frames = zip(scene.kspace.data, scene.kspace.trajectory, scene.weights, strict=True)
    return np.stack([_mri_nufft_frame(scene, *frame) for frame in frames])


def _mri_nufft_frame(
    scene: Scene, data: np.ndarray, trajectory: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    # The operator is ours over a scale: its square goes into the weights, once from the data.
    density = OVERSAMPLED_SCALE**2 * weights.ravel()
    nufft = mri_nufft(trajectory, scene.kspace.matrix, N_COILS, smaps=scene.maps, density=density)
    right_side = nufft.adj_op(data.reshape(N_COILS, -1) / OVERSAMPLED_SCALE)

    def normal(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(nufft.adj_op(nufft.op(x[0].numpy())))[None] + _LAMBDA * x

    return conjugate_gradient(normal, torch.from_numpy(right_side)[None], _ITERATIONS)[0].numpy()


def _bart(scene: Scene) -> Contender:
    workspace = bart.scan_in_workspace(scene)
    command = f"pics -w1 -l2 -r{_LAMBDA} -i{_ITERATIONS} -t trajectory -p weights kspace maps output"
    return bart.BartCommand("BART pics", workspace=workspace, arguments=tuple(command.split()))
