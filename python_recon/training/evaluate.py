"""How good a trained network is on scans, by the scans themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from python_recon.config import Config
from python_recon.fitting.trained_model import load_model
from python_recon.resources.device import set_up
from python_recon.resources.schedule import ProgressReport, silent
from python_recon.training.cache import Cache, ScanSource
from python_recon.training.examples import ExampleOptions
from python_recon.training.trainer import error_of, read_ahead


@dataclass(frozen=True)
class Line:
    """What came of one slice."""

    scan: str
    error: float
    """Mean over its pairs of noisier data; 1 is that of the ``subspace`` images."""
    remark: str
    """In what it lies outside of what the network learned from, and whether it learned from it."""


def evaluate(
    model: Path,
    sources: Sequence[ScanSource],
    cache: Path,
    config: Config,
    report: ProgressReport = silent,
) -> Iterator[Line]:
    """A line for each slice of the scans.

    Raises
    ------
    DataError
        If the model is none, or there is no scan.
    """
    device = set_up(config)
    network, card = load_model(model, device)
    cached = Cache(cache, config, ExampleOptions()).examples(sources, report)
    for example in read_ahead(cached, device):
        with torch.no_grad():
            errors = [float(error_of(network, example, number)) for number in range(example.n_pairs)]
        remarks = card.ranges.departures(example.facts)
        remarks += ["learned from it"] if example.scan in card.scans else []
        yield Line(example.scan, sum(errors) / len(errors), "; ".join(remarks))
