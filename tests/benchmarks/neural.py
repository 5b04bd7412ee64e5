"""Neural fits on the demonstration scan: how fast their steps are, and what a fit gives.

The plain loop is the form in which such fits are usually published: a Dataset that returns one sample, a
DataLoader that gathers a batch of them, the published network, Adam. Only the data term is fitted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import torch
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, Dataset

from gadgets.files.slices import read_slice
from gadgets.simulation.scan import SimulateOptions, simulate
from python_recon.config import Section, load_config
from python_recon.data import CoilMaps, KSpace
from python_recon.evaluation.metrics import match_scale, psnr
from python_recon.fields.field import KSpaceField
from python_recon.fitting.fit import fit
from python_recon.fitting.gathered import Gathered, gather
from python_recon.judging.samples import Samples
from python_recon.losses import hdr
from python_recon.methods.neural_kspace import FitOptions, new_field, plan_of
from python_recon.methods.registry import Method, Reconstruction, resolve
from python_recon.resources.schedule import Budget
from python_recon.resources.usage import measure
from python_recon.stream.preparation import prepare
from tests.benchmarks.machine import Floor
from tests.benchmarks.table import Reporter, Target
from tests.benchmarks.timing import Contender, Entry, race

_SCAN = SimulateOptions(matrix=128, coils=8, frames=24, spokes_per_frame=13, noise_scan=True)
"""As ``make demo`` simulates it."""
_RACE_S = 30.0
"""At most, for the rounds of the steps: a fit takes its time, too."""
_FIT_S = 75.0
"""A fit that takes longer is cut off: it has missed its target."""
_LEAST_GAIN_DB, _MOST_S, _LEAST_RATIO = 5.0, 60.0, 10.0


@dataclass(frozen=True)
class Demo:
    """The demonstration scan as a method receives it."""

    kspace: KSpace
    maps: CoilMaps
    truth: np.ndarray
    """(frame, y, x)."""

    @classmethod
    def simulated(cls) -> Demo:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "scan.h5"
            truth_path = simulate(path, _SCAN)
            config = load_config({"method": "nik"})
            prepared = prepare(read_slice(path, "dataset", 0, config), config, Budget())
            with h5py.File(truth_path) as file:
                return cls(prepared.kspace, prepared.maps, file["images"][0])

    def psnr(self, images: torch.Tensor) -> float:
        return psnr(match_scale(images.numpy(), self.truth), self.truth)


class Points(Dataset):
    """One sample at a time."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return self._samples.n_points

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._samples.k[index], self._samples.t[index], self._samples.values[index]


@dataclass
class Loop(Contender):
    """Some steps of a fit."""

    net: KSpaceField | None = None
    steps: int = 1
    batch: int = 1

    @property
    def floor(self) -> Floor:
        """Of a step: its matrix products, each sample read once, and what Adam reads and writes.

        Weights and inputs of a layer have their gradients; the features need none. Adam reads gradient,
        parameter and two moments, and writes all but the gradient.
        """
        layers = [layer for layer in self.net.modules() if isinstance(layer, nn.Linear)]
        n_parameters = sum(each.numel() for each in self.net.parameters() if each.requires_grad)
        products = [2 * layer.in_features * layer.out_features for layer in layers]
        return Floor(
            other_flop=self.batch * (3 * sum(products) - products[0]),
            moved_bytes=self.batch * (3 * 4 + 8 * self.net.n_coils) + 7 * 4 * n_parameters,
        )


def run(reporter: Reporter) -> None:
    reporter.say(
        f"[bold]Neural fits[/]: the demonstration scan, {_SCAN.matrix} matrix, {_SCAN.coils} coils, "
        f"{_SCAN.frames} frames of {_SCAN.spokes_per_frame} spokes."
    )
    with torch.no_grad():
        demo = Demo.simulated()
        _race_steps(reporter, demo)
        _fit_methods(reporter, demo)


def _race_steps(reporter: Reporter, demo: Demo) -> None:
    reporter.say(
        "Steps of the data term. Like for like is published network against published network: that ratio is "
        "the loop's doing. The fast field has a smaller network and a smaller batch, hence its samples a "
        "second; what such steps achieve is in the table of fits."
    )
    loops = _loops(demo)
    entries = race(loops, lambda _report: {}, min(reporter.limit_s, _RACE_S))
    table = Table(title=f"Steps; rounds: {len(entries[0].durations)}", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("batch", "steps/s", "samples/s", "GFLOP a step", "GFLOP/s", "% of matrix product"):
        table.add_column(heading, justify="right", no_wrap=True)
    for loop, entry in zip(loops, entries, strict=True):
        table.add_row(*_cells(loop, entry, reporter.machine.flops))
    reporter.console.print(table)
    for loop, entry in zip(loops[:2], entries[:2], strict=True):
        reporter.say(f"a step of {loop.name}")
        reporter.show_floor(loop.floor, entry.wall_s / loop.steps)
    fast, published = (
        entries[2].ratio_to(entry) * loop.steps / loops[2].steps
        for loop, entry in zip(loops[:2], entries[:2], strict=True)
    )
    reporter.say(
        f"over the plain loop: the published network in our loop {published:.2f} x the steps and samples; "
        f"the fast field {fast:.1f} x the steps, {fast * loops[0].batch / loops[2].batch:.1f} x the samples"
    )
    reporter.judge([Target("steps/s over the plain loop's", fast, _LEAST_RATIO, at_least=True)])


def _loops(demo: Demo) -> list[Loop]:
    """Ours with the fast field, ours with the published one, and the plain one."""
    fast, published = resolve("nik", {})[1], resolve("pisco_paper", {})[1]
    problem = gather(demo.kspace, demo.maps, fast.time, fast.held_out_share)
    return [
        _our_loop("ours: fast field", problem, fast, 30),
        _our_loop("ours: published network", problem, published, 3),
        _plain_loop("DataLoader: published network", problem, published, 3),
    ]


def _our_loop(name: str, problem: Gathered, options: FitOptions, steps: int) -> Loop:
    net = new_field(problem, options, Budget())
    plan = replace(plan_of(options), steps=steps)
    generator = torch.Generator().manual_seed(0)
    return Loop(
        name,
        lambda: fit(net, problem.samples, plan, Budget(), generator),
        net=net,
        steps=steps,
        batch=options.batch,
    )


def _plain_loop(name: str, problem: Gathered, options: FitOptions, steps: int) -> Loop:
    net = new_field(problem, options, Budget())
    loader = DataLoader(Points(problem.samples), batch_size=options.batch, shuffle=True, drop_last=True)
    batches = _endless(loader)
    optimiser = torch.optim.Adam(net.parameters(), lr=options.learning_rate)

    @torch.enable_grad()
    def work() -> None:
        for _ in range(steps):
            k, t, values = next(batches)
            optimiser.zero_grad()
            hdr(net(k, t), values, options.epsilon).backward()
            optimiser.step()

    return Loop(name, work, net=net, steps=steps, batch=options.batch)


def _endless(loader: DataLoader) -> Iterator[list[torch.Tensor]]:
    while True:
        yield from loader


def _cells(loop: Loop, entry: Entry, peak_flops: float) -> list[str]:
    rate, flop = loop.steps / entry.wall_s, loop.floor.other_flop
    return [
        loop.name,
        f"{loop.batch:,}",
        f"{rate:.2f}",
        f"{rate * loop.batch:,.0f}",
        f"{flop / 1e9:.1f}",
        f"{rate * flop / 1e9:.0f}",
        f"{100 * rate * flop / peak_flops:.0f}",
    ]


def _fit_methods(reporter: Reporter, demo: Demo) -> None:
    reporter.say(
        "Fits with our defaults, once each, from prepared k-space and maps to images. PISCO adds a network "
        "to the subspace reconstruction, which is therefore shown, too."
    )
    table = Table(title="Fits", title_justify="left")
    for heading in ("", "s", "steps", "stopped", "network's share", "PSNR dB", "over gridding", "peak MiB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    gridding, targets = None, []
    for name in ("gridding", "subspace", "nik", "pisco"):
        method, options = resolve(name, {})
        (result, images), usage = measure(lambda m=method, o=options: _whole(m, demo, o))
        reached = demo.psnr(images)
        gridding = reached if gridding is None else gridding
        table.add_row(
            name,
            f"{usage.seconds:.1f}",
            *_told(result.details),
            f"{reached:.2f}",
            f"{reached - gridding:+.2f}",
            f"{usage.peak_memory_mb:.0f}",
        )
        if name in ("nik", "pisco"):
            gain = reached - gridding
            targets.append(Target(f"{name}, s", usage.seconds, _MOST_S))
            targets.append(Target(f"{name}, dB over gridding", gain, _LEAST_GAIN_DB, at_least=True))
    reporter.console.print(table)
    reporter.judge(targets)


def _whole(method: Method, demo: Demo, options: Section) -> tuple[Reconstruction, torch.Tensor]:
    """What a method gives, and all of its images."""
    result = method.run(demo.kspace, demo.maps, options, Budget(_FIT_S))
    return result, torch.cat([result.images, *result.later])


def _told(details: Mapping[str, Any]) -> list[str]:
    """Steps, why the fit stopped and the network's share; empty for methods that fit no network."""
    if "shares" not in details:
        return [""] * 3
    return [str(details["steps"]), details["stopped"], f"{fmean(details['shares']):.2f}"]
