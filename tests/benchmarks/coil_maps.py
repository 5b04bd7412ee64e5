"""Coil maps from the undersampled data."""

from __future__ import annotations

import numpy as np

from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from tests.benchmarks import bart, floors
from tests.benchmarks.scene import MATRIX, Scene, all_scenes
from tests.benchmarks.table import Reporter, Target
from tests.benchmarks.timing import Contender, race

_PREVIEW_LIMIT_S = 0.020
_ECALIB = ("ecalib", "-m1", "-c0", "cartesian", "output")
_NLINV = ("nlinv", "cartesian", "image", "output")
_NCALIB = ("ncalib", "-t", "trajectory", "kspace", "output")


def run(reporter: Reporter) -> None:
    reporter.say(
        "[bold]Coil maps[/] from all spokes of the scan. 'outside': norm of what the maps cannot explain of "
        "the coil images of the first frame without noise, fully sampled, over the norm of these. BART's "
        "ecalib sees gridded k-space, and so does its nlinv where there is no ncalib (before BART 1.0): the "
        "gridding is not counted."
    )
    for scene in all_scenes():
        _race_each(reporter, scene)


def _race_each(reporter: Reporter, scene: Scene) -> None:
    joint = [_bart_joint(scene)] if bart.is_there() else []
    espirit = [_bart_espirit(scene)] if bart.is_there() else []
    for name, peers, floor in (
        ("low_resolution", [], floors.LOW_RESOLUTION),
        ("walsh", [], None),
        ("nlinv", joint, floors.NLINV),
        ("espirit", espirit, None),
    ):
        entries = race([_ours(scene, name), *peers], lambda maps: _judge(maps, scene), reporter.limit_s)
        targets = []
        if name == "low_resolution":
            targets = [Target("seconds", entries[0].wall_s, _PREVIEW_LIMIT_S)]
        if name == "nlinv" and peers:
            share = entries[0].errors["outside"] / entries[1].errors["outside"]
            targets = [
                Target("time over BART's", 1 / entries[1].ratio_to(entries[0]), 1.0),
                Target("energy outside over BART's", share**2, 1.0),
            ]
        reporter.show(f"coil maps by {name}, {scene.name}", entries, floor, targets)


def _ours(scene: Scene, name: str) -> Contender:
    config = CoilConfig(maps=name)
    return Contender(f"ours: {name}", lambda: estimate(scene.tensors, config).maps.numpy())


def _judge(maps: np.ndarray, scene: Scene) -> dict[str, float]:
    """Maps of any norm, zero where the estimator saw no signal."""
    norm = np.linalg.norm(maps, axis=0)
    maps = maps / np.where(norm > 0, norm, 1)
    explained = maps * (maps.conj() * scene.coil_images).sum(0)
    outside = np.linalg.norm(scene.coil_images - explained) / np.linalg.norm(scene.coil_images)
    return {"outside": float(outside)}


def _bart_joint(scene: Scene) -> Contender:
    if not bart.has_tool("ncalib"):
        return bart.BartCommand("BART nlinv", workspace=_gridded(scene), arguments=_NLINV)
    return bart.BartCommand("BART ncalib", workspace=_pooled(scene), arguments=_NCALIB)


def _bart_espirit(scene: Scene) -> Contender:
    return bart.BartCommand("BART ecalib", workspace=_gridded(scene), arguments=_ECALIB)


def _gridded(scene: Scene) -> bart.Workspace:
    """Density-weighted gridding of all spokes, as Cartesian k-space."""
    workspace = _pooled(scene)
    workspace.run("fmac", "kspace", "density", "weighted")
    workspace.run("nufft", "-a", "-d", f"{MATRIX}:{MATRIX}:1", "trajectory", "weighted", "gridded")
    workspace.run("fft", "-u", "7", "gridded", "cartesian")
    return workspace


def _pooled(scene: Scene) -> bart.Workspace:
    """All spokes as one frame."""
    workspace, kspace = bart.Workspace(), scene.kspace
    points = np.concatenate([kspace.trajectory, np.zeros_like(kspace.trajectory[..., :1])], -1)
    samples = np.moveaxis(kspace.data, 1, 0)
    workspace.write("trajectory", points.reshape(-1, *points.shape[2:]), (2, 1, 0))
    workspace.write("kspace", samples.reshape(len(samples), -1, samples.shape[-1]), (3, 2, 1))
    workspace.write("density", kspace.density.reshape(-1, samples.shape[-1]) / scene.n_frames, (2, 1))
    return workspace
