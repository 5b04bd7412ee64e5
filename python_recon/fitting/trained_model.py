"""Networks trained on a site's scans, in files: safetensors with all that is said of them, and no pickle.

The metadata hold ``format``, ``format_version`` and, as JSON, the ``card``: method, architecture, version of
the program, the ranges of the scans that it learned from, their names, the loss and its validation curve.
A file is data: nothing in it is run, and before memory is taken for the network the shapes of its tensors are
compared with those that the architecture has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from python_recon.config import Section
from python_recon.data import KSpace
from python_recon.errors import ConfigError, DataError
from python_recon.networks.component_network import Architecture, ComponentNetwork
from python_recon.resources.new_files import new_file

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = "gadgetron-pisco model"
FORMAT_VERSION = 1
_LARGEST_BYTES = 1 << 30
"""Of a file: no network of ours comes near it."""
_BY_SHARE = 0.25
"""How far a scan may lie outside of what was learned from, relative to that, and still count as within."""


class Facts(Section):
    """What a network's training has to cover of a scan."""

    encoding: str
    """A name of :mod:`python_recon.acquisition.encoding`."""
    frames: int = Field(ge=1, le=1_000_000)
    spokes: int = Field(ge=1, le=1_000_000)
    """Of a frame."""
    matrix: int = Field(ge=1, le=65_536)
    """Longer side."""
    coils: int = Field(ge=1, le=4096)
    """After compression."""

    @classmethod
    def of(cls, kspace: KSpace) -> Self:
        """Of prepared k-space."""
        return cls(
            encoding=kspace.encoding,
            frames=kspace.n_frames,
            spokes=kspace.n_spokes,
            matrix=max(kspace.matrix),
            coils=kspace.n_coils,
        )


class Ranges(Section):
    """The scans that a network learned from, from the least to the largest of each fact."""

    least: Facts
    largest: Facts

    @classmethod
    def of(cls, facts: list[Facts]) -> Self:
        """Of scans of one encoding."""

        def extreme(choose: Callable[[Iterable[int]], int]) -> Facts:
            numbers = {name: choose([getattr(each, name) for each in facts]) for name in _NUMBERS}
            return Facts(encoding=facts[0].encoding, **numbers)

        return cls(least=extreme(min), largest=extreme(max))

    def departures(self, facts: Facts) -> list[str]:
        """In what a scan lies outside, one phrase each; empty where it lies within."""
        if facts.encoding != self.least.encoding:
            return [f"its encoding is {facts.encoding}, that of the training {self.least.encoding}"]
        told = []
        for name in _NUMBERS:
            found, least, largest = (getattr(each, name) for each in (facts, self.least, self.largest))
            if not (1 - _BY_SHARE) * least <= found <= (1 + _BY_SHARE) * largest:
                told.append(f"{found} {name}, trained with {least} to {largest}")
        return told


_Error: TypeAlias = Annotated[float, Field(ge=-1e39, le=1e39)]
_NUMBERS = ("frames", "spokes", "matrix", "coils")


class Card(Section):
    """What is said of a trained network."""

    method: str
    """Preset that runs it."""
    architecture: Architecture
    version: str
    """Of the program that trained it."""
    ranges: Ranges
    scans: tuple[str, ...] = Field(max_length=1_000_000)
    """That it learned from."""
    validation_scans: tuple[str, ...] = Field(max_length=1_000_000)
    """That told when it was best."""
    loss: str
    """What was minimised."""
    validation: tuple[_Error, ...] = Field(max_length=1_000_000)
    """Error of the validation scans after each epoch where it was finite; 1 is that of the images
    it starts from."""
    features: str = ""
    """How its features were learned, and how well; empty: it has none."""

    @property
    def best(self) -> float:
        """The least validation error."""
        return min(self.validation, default=1.0)


def save_model(network: ComponentNetwork, card: Card, path: Path) -> None:
    """Write a network; a file of that name is replaced once the new one is whole.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "card": card.model_dump_json()}
    tensors = {name: tensor.cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    try:
        with new_file(path) as part:
            save_file(tensors, part, metadata)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"the model {path} cannot be written: {error}") from error


def read_card(path: Path) -> Card:
    """What a file says of its network; raises DataError where it is none of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is no model: {error}") from error
    if metadata.get("format") != FORMAT:
        raise DataError(
            f"{path} is no model of ours: its metadata do not name the format {FORMAT!r}; train one with "
            "`gadgetron-pisco train`"
        )
    found = metadata.get("format_version")
    if found != str(FORMAT_VERSION):
        raise DataError(
            f"{path} has format version {found}, this program reads {FORMAT_VERSION}: train it again, or use "
            "the program's version that wrote it"
        )
    try:
        return Card.model_validate_json(metadata.get("card", ""))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"the card of the model {path} is damaged: {place} {first['msg']}") from error


def load_model(path: Path, device: str | torch.device = "cpu") -> tuple[ComponentNetwork, Card]:
    """A network as it was trained.

    Raises
    ------
    DataError
        If the file is missing, none of ours, of another version, damaged, or holds NaN or Inf.
    """
    if not path.is_file():
        raise DataError(f"there is no model {path}; train one with `gadgetron-pisco train`")
    if path.stat().st_size > _LARGEST_BYTES:
        raise DataError(f"{path} has {path.stat().st_size} bytes: no model of ours is larger than 1 GB")
    card = read_card(path)
    with torch.device("meta"):
        expected = _shapes(ComponentNetwork(card.architecture, torch.Generator()))
    tensors = _read(path, expected)
    network = ComponentNetwork(card.architecture, torch.Generator())
    network.load_state_dict(tensors)
    return network.to(device).eval().requires_grad_(requires_grad=False), card


def _shapes(network: ComponentNetwork) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _read(path: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if found != expected:
                differing = sorted(
                    name for name in {*found, *expected} if found.get(name) != expected.get(name)
                )
                name = differing[0]
                raise DataError(
                    f"{path} is damaged: {len(differing)} tensors are not those of its architecture; {name} "
                    f"is {found.get(name)}, expected {expected.get(name)}; copy it again"
                )
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is damaged: {error}; copy it again") from error
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
            raise DataError(f"{path} is damaged: {name} is {tensor.dtype} or holds NaN or Inf; copy it again")
    return tensors
