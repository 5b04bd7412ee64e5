"""Features that tell scans apart, however they are sampled: the first stage of ``ssfl``.

Each slice is there several times, sampled anew and more sparsely (:mod:`~python_recon.training.examples`).
An encoder with a small head maps two of these views to vectors; the contrastive loss or VICReg makes those of
one slice agree and those of others differ. What the encoder learned is kept, the head is not
(Xu et al., arXiv:2505.23408).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import skip_init

from python_recon.errors import DataError
from python_recon.fitting.descent import adam, cosine, set_rate
from python_recon.losses.contrastive import contrastive, recall
from python_recon.losses.vicreg import vicreg
from python_recon.networks.component_network import ComponentEncoder, as_channels
from python_recon.resources.schedule import ProgressReport, silent
from python_recon.training.cache import Cached
from python_recon.training.examples import Example

HEAD = 64
"""Features of a head."""
_RATE = 1e-3
_MOST = 64
"""Slices that are compared at a time."""


class Head(nn.Module):
    """Features (scan, channel, y, x) to a vector each: the largest of every channel, and two layers."""

    def __init__(self, n_in: int, generator: torch.Generator) -> None:
        super().__init__()
        first, second = _dense(n_in, HEAD, generator), _dense(HEAD, HEAD, generator)
        self.layers = nn.Sequential(
            first, nn.BatchNorm1d(HEAD), nn.ReLU(), second, nn.BatchNorm1d(HEAD)
        )  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(scan, width)."""
        vectors: torch.Tensor = self.layers(features.amax((-2, -1)))
        return vectors


def learn_features(
    encoder: ComponentEncoder,
    cached: Sequence[Cached],
    loss: Literal["contrastive", "vicreg"],
    epochs: int,
    seed: int,
    report: ProgressReport = silent,
) -> Head:
    """Train an encoder; its weights are changed. The head is returned for whoever wants to look at it.

    Raises
    ------
    DataError
        If there are fewer than two slices, or they were not sampled anew.
    """
    if len(cached) < 2:
        raise DataError("features are learned from two scans at least, there is one: give more scans")
    generator, chance = torch.Generator().manual_seed(seed), random.Random(seed)  # noqa: S311
    device = next(encoder.parameters()).device
    head = Head(encoder.n_features, generator).to(device)
    weights = [*encoder.parameters(), *head.parameters()]
    optimiser = adam(weights, _RATE, device)
    differs = contrastive if loss == "contrastive" else vicreg
    order = list(cached)
    for epoch in range(epochs):
        chance.shuffle(order)
        set_rate(optimiser.param_groups[0], _RATE * cosine(epoch / epochs))
        for group in _groups(order):
            views = [_two_views(one.load(), chance) for one in group]
            vectors = head(_features(encoder, [image for pair in views for image in pair], device))
            value = differs(vectors[::2], vectors[1::2])
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        report(f"features, {loss} loss {float(value.detach()):.3f}", (epoch + 1) / epochs)
    return head.eval()


@torch.no_grad()
def recall_of(encoder: ComponentEncoder, head: Head, cached: Sequence[Cached]) -> float:
    """Share of the views of slices whose nearest one, among the views of all, is of the same slice.

    The first view and the last one of each slice are compared.
    """
    device = next(encoder.parameters()).device
    views = [(example.views[0], example.noise, example.views[-1]) for example in (c.load() for c in cached)]
    images = [(view, noise) for first, noise, last in views for view in (first, last)]
    vectors = head.eval()(_features(encoder, images, device))
    return recall(vectors[::2], vectors[1::2])


def _features(
    encoder: ComponentEncoder, images: Sequence[tuple[torch.Tensor, float]], device: torch.device
) -> torch.Tensor:
    """(scan, channel): pooled one by one, since slices may differ in size."""
    found = [
        encoder(as_channels(view.to(device), noise, encoder.components)[0])[-1].amax((-2, -1), keepdim=True)
        for view, noise in images
    ]
    return torch.cat(found)


def _two_views(example: Example, chance: random.Random) -> list[tuple[torch.Tensor, float]]:
    """Different ones of a slice."""
    n_views = len(example.views)
    if n_views < 2:
        raise DataError("the examples were not sampled anew: prepare them with views")
    chosen = chance.sample(range(n_views), 2)
    return [(example.views[number], example.noise) for number in chosen]


def _groups(order: Sequence[Cached]) -> list[Sequence[Cached]]:
    """As large as may be, and never of one alone."""
    n_groups = -(-len(order) // _MOST)
    size = -(-len(order) // n_groups)
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    return [group for group in groups if len(group) > 1]


def _dense(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, n_in, n_out)  # type: ignore[no-untyped-call]
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
