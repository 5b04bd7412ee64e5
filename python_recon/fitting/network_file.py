"""Networks that one scan taught, in memory and in files: a fit begins where another one ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.fitting.checkpoint import path_of_slice
from python_recon.fitting.file_format import read_tensors
from python_recon.resources.new_files import new_file

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = "gadgetron-pisco zero-shot network"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """What a network has learned, on the CPU."""

    kind: str
    tensors: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, net: nn.Module) -> Self:
        """Of a network that goes on living."""
        tensors = {name: held.detach().cpu().clone() for name, held in net.state_dict().items()}
        return cls(type(net).__name__, tensors)

    def fits(self, net: nn.Module) -> bool:
        """Whether it is of the same kind and size."""
        own = {name: held.shape for name, held in net.state_dict().items()}
        return self.kind == type(net).__name__ and own == {n: t.shape for n, t in self.tensors.items()}


def begin(net: nn.Module, model: str, former: object) -> nn.Module:
    """The network with what was learned before: by a file or, without one, by the former fit.

    Parameters
    ----------
    model
        File of a network; empty: none.
    former
        State of a former fit; anything else, or a network of another size, is left alone.

    Raises
    ------
    DataError
        If the file is none of a network, or one of another kind or size.
    """
    if model:
        known = load(Path(model))
        if not known.fits(net):
            raise DataError(
                f"the network in {model}, a {known.kind}, is of another kind or size than options and scan "
                "ask for: set channels and layers as it was made, or leave options.model empty"
            )
        net.load_state_dict(dict(known.tensors))
    elif isinstance(former, TrainedNetwork) and former.fits(net):
        net.load_state_dict(dict(former.tensors))
        _log.info("the network starts from the former one")
    return net


def keep(net: nn.Module, path: str, kspace: KSpace) -> str:
    """Write a network to the file of its slice; nothing where the path is empty.

    Returns
    -------
        Why it could not be saved: images that are done are not given up for that. Empty where it was.
    """
    if not path:
        return ""
    trained, target = TrainedNetwork.of(net), path_of_slice(path, kspace.counters)
    origin = {"measurement": kspace.measurement_id, "matrix": kspace.matrix, "frames": kspace.n_frames}
    metadata = {"format": FORMAT, "kind": trained.kind, "origin": json.dumps(origin)}
    try:
        with new_file(target) as part:
            save_file({name: t.contiguous() for name, t in trained.tensors.items()}, part, metadata)
    except (OSError, SafetensorError) as error:
        _log.warning("the network cannot be saved to %s: %s", target, error)
        return f"the network could not be saved to {target}"
    return ""


def load(path: Path) -> TrainedNetwork:
    """Read a network; raises DataError where the file holds none, or numbers that are not finite."""
    if not path.is_file():
        raise DataError(f"there is no file {path} of a network")
    metadata, tensors = read_tensors(path, "file of a network")
    if metadata.get("format") != FORMAT:
        raise DataError(f"{path} is no file of a network: its metadata do not name the format {FORMAT!r}")
    damaged = [name for name, held in tensors.items() if not torch.isfinite(held).all()]
    if damaged:
        raise DataError(f"{path} is damaged: {', '.join(damaged[:3])} hold NaN or Inf; fit again")
    return TrainedNetwork(metadata.get("kind", ""), tensors)
