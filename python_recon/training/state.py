"""What a training goes on from: weights, moments of the optimiser, epochs and errors so far, in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from python_recon.errors import ConfigError, DataError
from python_recon.resources.new_files import new_file

_FORMAT = "gadgetron-pisco training 1"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class State:
    """How far a training is."""

    epoch: int = 0
    seconds: float = 0.0
    """Spent so far."""
    validation: list[float] = field(default_factory=list)
    features: str = ""
    """How the features were learned."""
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    """Weights (``net.``) and moments of the optimiser (``adam.``)."""

    def take(self, network: nn.Module, optimiser: torch.optim.Optimizer, seconds: float) -> None:
        """Keep what there is now."""
        self.seconds += seconds
        held = {f"net.{name}": tensor for name, tensor in network.state_dict().items()}
        for number, moments in enumerate(optimiser.state.values()):
            held |= {f"adam.{number}.{name}": moments[name] for name in _MOMENTS}
        self.tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in held.items()}

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Into a network and its optimiser; nothing where nothing was kept.

        Raises
        ------
        DataError
            If the weights are those of another network.
        """
        if not self.tensors:
            return
        weights = {name[4:]: tensor for name, tensor in self.tensors.items() if name.startswith("net.")}
        try:
            network.load_state_dict(weights)
            self._restore_moments(optimiser)
        except (RuntimeError, KeyError) as error:
            raise DataError(
                f"the training to resume is that of another network ({error}): give the options that it was "
                "begun with, or leave --resume out"
            ) from error

    def _restore_moments(self, optimiser: torch.optim.Optimizer) -> None:
        saved = optimiser.state_dict()
        numbers = range(len(saved["param_groups"][0]["params"]))
        saved["state"] = {
            number: {name: self.tensors[f"adam.{number}.{name}"] for name in _MOMENTS} for number in numbers
        }
        optimiser.load_state_dict(saved)


def save_state(state: State, path: Path, settings: str) -> None:
    """Write a state; raises ConfigError where that cannot be done.

    Parameters
    ----------
    settings
        Of the training: one that differs is not resumed.
    """
    told = {
        "epoch": state.epoch, "seconds": state.seconds, "validation": state.validation,
        "features": state.features,
    }  # fmt: skip
    metadata = {"format": _FORMAT, "settings": settings, "state": json.dumps(told)}
    try:
        with new_file(path) as part:
            save_file(state.tensors, part, metadata)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"the state of the training, {path}, cannot be written: {error}") from error


def load_state(path: Path, settings: str) -> State:
    """A state to resume from.

    Raises
    ------
    DataError
        If there is none, it is damaged, or of other settings.
    """
    if not path.is_file():
        raise DataError(f"there is no training to resume at {path}: leave --resume out")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(metadata["state"])
        state = State(
            int(told["epoch"]), float(told["seconds"]), [float(error) for error in told["validation"]],
            str(told["features"]), tensors,
        )  # fmt: skip
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"the training at {path} is damaged: {error}; leave --resume out") from error
    if metadata.get("format") != _FORMAT or metadata.get("settings") != settings:
        raise DataError(
            f"the training at {path} was begun with other settings: give the same ones, or leave --resume out"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise DataError(f"the training at {path} is damaged: it holds NaN or Inf; leave --resume out")
    return state
