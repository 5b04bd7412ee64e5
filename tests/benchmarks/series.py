"""The series methods against BART's temporal total variation, with given maps, judged by the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from python_recon.acquisition.coil_compression import apply_compression, compression_matrix
from python_recon.config import CoilConfig, Section
from python_recon.data import CoilMaps, KSpace
from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.methods.grasp import GraspOptions
from python_recon.methods.grasp import run as run_grasp
from python_recon.methods.registry import Reconstruction
from python_recon.methods.subspace import SubspaceOptions, steps_needed
from python_recon.methods.subspace import run as run_subspace
from python_recon.resources.schedule import Budget
from tests.benchmarks import bart, floors
from tests.benchmarks.scene import Scene, scene
from tests.benchmarks.table import Reporter, Target
from tests.benchmarks.timing import Contender, Entry, race

_BART_ITERATIONS = 30
_BART_SETTINGS = (("-p weights ", 0.03), ("-p weights ", 0.06), ("-p weights ", 0.1), ("", 0.006))
"""Density weights or none, and regularisation for data that BART scales to about 1: around the best."""


def run(reporter: Reporter) -> None:
    reporter.say(
        "[bold]Series[/], true maps. We run with our defaults, that were not tuned to this scan; BART with "
        "the best of a few weights, and with density weights or without, whatever is closer to the truth. "
        "'chain': from the measured coils on, as our chain does it, coil compression included; the others "
        "are like for like, on all coils or on the virtual ones. "
        "NRMSE: to the truth, one real factor matched."
    )
    series = scene(30, 34)
    grasp, subspace = GraspOptions(), SubspaceOptions()
    compressed = _compressed(series)
    entries = race(
        [
            Contender("ours: grasp, chain", lambda: _ours(_compressed(series), run_grasp, grasp)),
            Contender("ours: subspace, chain", lambda: _ours(_compressed(series), run_subspace, subspace)),
            Contender("ours: grasp", lambda: _ours(_measured(series), run_grasp, grasp)),
            Contender("ours: subspace", lambda: _ours(_measured(series), run_subspace, subspace)),
            *(_barts(series, compressed, reporter) if bart.is_there() else []),
        ],
        lambda images: {"NRMSE": _nrmse(images, series)},
        reporter.limit_s,
    )
    floor = {
        "grasp": floors.grasp(series, grasp.iterations),
        "subspace": floors.subspace(series, steps_needed(series.tensors), subspace.components),
    }
    for index, (name, share) in enumerate((("grasp", 1 / 8), ("subspace", 1 / 20))):
        chain, like_for_like, peers = entries[index], entries[index + 2], entries[4:]
        targets = _targets(chain, peers[0], share) if peers else []
        reporter.show(f"{name}, {series.name}", [chain, like_for_like, *peers], floor[name], targets)


def _targets(ours: Entry, peer: Entry, share: float) -> list[Target]:
    return [
        Target("time over BART's", 1 / peer.ratio_to(ours), share),
        Target("NRMSE over BART's", ours.errors["NRMSE"] / peer.errors["NRMSE"], 1.0),
    ]


Slice = tuple[KSpace, CoilMaps]


def _measured(series: Scene) -> Slice:
    return series.tensors, series.coil_maps


def _compressed(series: Scene) -> Slice:
    """Virtual coils by our default, and what they see."""
    matrix = compression_matrix(series.kspace, CoilConfig())
    maps = torch.einsum("vc,cyx->vyx", torch.from_numpy(matrix), series.coil_maps.maps)
    return apply_compression(series.kspace, matrix).to_torch(), CoilMaps(maps, "truth")


def _ours(data: Slice, method: Callable[..., Reconstruction], options: Section) -> np.ndarray:
    with torch.no_grad():
        return method(*data, options, Budget()).images.numpy()


def _nrmse(images: np.ndarray, series: Scene) -> float:
    return nrmse(match_scale(images, series.truth), series.truth)


def _barts(series: Scene, compressed: Slice, reporter: Reporter) -> list[Contender]:
    """On all coils with the best setting, and on our virtual coils with the same."""
    workspace = bart.scan_in_workspace(series)
    best, least = "", np.inf
    for density, weight in _BART_SETTINGS:
        flags = f"-S -i{_BART_ITERATIONS} -R T:{1 << bart.TIME_AXIS}:0:{weight} {density}"
        arguments = f"pics {flags}-t trajectory kspace maps output"
        duration = workspace.run(*arguments.split())
        error = _nrmse(workspace.read("output"), series)
        reporter.say(f"BART pics {flags}: NRMSE {error:.4f}, {duration.wall:.0f} s")
        if error < least:
            best, least = arguments, error
    kspace, maps = compressed
    workspace.write("virtual_kspace", kspace.data.numpy(), (bart.TIME_AXIS, 3, 2, 1))
    workspace.write("virtual_maps", maps.maps.numpy(), (3, 1, 0))
    virtual = best.replace("kspace maps", "virtual_kspace virtual_maps")
    return [
        bart.BartCommand("BART pics", workspace=workspace, arguments=tuple(best.split())),
        bart.BartCommand("BART pics, virtual coils", workspace=workspace, arguments=tuple(virtual.split())),
    ]
