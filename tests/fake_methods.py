"""Methods for the ladder that give a number, raise an error or take their time, in the places of ours."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from python_recon.config import Section
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import BackendError
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.schedule import Budget
from python_recon.stream import ladder

N_FRAMES, N_COILS, MATRIX = 4, 8, (8, 10)


class NoOptions(Section):
    """Nothing to set."""


def kspace_and_maps() -> tuple[KSpace, CoilMaps]:
    """Each coil is stronger than the next one."""
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(N_FRAMES, N_COILS, 3, 4, dtype=torch.complex64, generator=generator)
    strength = torch.linspace(1, 0.1, N_COILS)[:, None, None]
    maps = torch.ones(N_COILS, *MATRIX, dtype=torch.complex64) * strength
    return KSpace(data * strength, torch.zeros(N_FRAMES, 3, 4, 2), MATRIX), CoilMaps(maps, "ramp")


def images(value: float, n_frames: int = N_FRAMES) -> torch.Tensor:
    return torch.full((n_frames, *MATRIX), value, dtype=torch.complex64)


def raising(error: Exception) -> Method:
    def run(_kspace, _maps, _options, _budget):
        raise error

    return Method(run, NoOptions)


def giving(value: float) -> Method:
    return Method(lambda _kspace, _maps, _options, _budget: Reconstruction(images(value)), NoOptions)


def rendering(*values: float, then: Exception | None = None) -> Method:
    """A frame for every value, made one after the other, and perhaps an error after them."""

    def later() -> Iterator[torch.Tensor]:
        for value in values[1:]:
            assert not torch.is_grad_enabled()
            yield images(value, 1)
        if then is not None:
            raise then

    def run(_kspace, _maps, _options, _budget):
        return Reconstruction(images(values[0], 1), later=later())

    return Method(run, NoOptions)


def put_in_place(monkeypatch, methods: dict[str, Method], options: Section | None = None) -> None:
    """These are all the methods there are."""

    def resolve(name, _options):
        if name not in methods:
            raise BackendError(f"{name} is not here")
        return methods[name], options or NoOptions()

    monkeypatch.setattr(ladder, "resolve", resolve)


def climb(budget: Budget | None = None) -> list[ladder.Outcome]:
    """What comes of grasp, part by part."""
    return list(ladder.climb_down_in_parts(*kspace_and_maps(), "grasp", {}, budget or Budget()))


def values(outcomes: list[ladder.Outcome]) -> list[float]:
    """Of every frame."""
    return [float(image[0, 0].real) for each in outcomes for image in each.reconstruction.images]
