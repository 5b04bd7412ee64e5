"""The series methods against BART's temporal total variation, with given maps, judged by the truth."""

from __future__ import annotations

import numpy as np
import torch

from python_recon.methods.grasp import GraspOptions
from python_recon.methods.grasp import run as run_grasp
from python_recon.methods.subspace import SubspaceOptions, steps_needed
from python_recon.methods.subspace import run as run_subspace
from python_recon.metrics import match_scale, nrmse
from python_recon.schedule import Budget
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
        "NRMSE: to the truth, one real factor matched."
    )
    series = scene(30, 34)
    grasp, subspace = GraspOptions(), SubspaceOptions()
    ours = [
        Contender("ours: grasp", lambda: _ours(series, run_grasp, grasp)),
        Contender("ours: subspace", lambda: _ours(series, run_subspace, subspace)),
    ]
    peers = [_best_bart(series, reporter)] if bart.is_there() else []
    entries = race([*ours, *peers], lambda images: {"NRMSE": _nrmse(images, series)}, reporter.limit_s)
    costs = (
        floors.grasp(series, grasp.iterations),
        floors.subspace(series, steps_needed(series.tensors), subspace.components),
    )
    for entry, floor, share in zip(entries, costs, (1 / 8, 1 / 20), strict=False):
        targets = [target for peer in entries[2:] for target in _targets(entry, peer, share)]
        reporter.show(f"{entry.name}, {series.name}", [entry, *entries[2:]], floor, targets)


def _targets(ours: Entry, peer: Entry, share: float) -> list[Target]:
    return [
        Target("time over BART's", 1 / peer.ratio_to(ours), share),
        Target("NRMSE over BART's", ours.errors["NRMSE"] / peer.errors["NRMSE"], 1.0),
    ]


def _ours(series: Scene, method, options) -> np.ndarray:
    with torch.no_grad():
        return method(series.tensors, series.coil_maps, options, Budget()).images.numpy()


def _nrmse(images: np.ndarray, series: Scene) -> float:
    return nrmse(match_scale(images, series.truth), series.truth)


def _best_bart(series: Scene, reporter: Reporter) -> Contender:
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
    return bart.BartCommand("BART pics", workspace=workspace, arguments=tuple(best.split()))
