"""Where methods run."""

from __future__ import annotations

import torch

from python_recon.config import Config
from python_recon.errors import BackendError


def set_up(config: Config) -> str:
    """Apply the number of threads and return the Torch device, ``cpu`` or ``cuda``.

    Raises
    ------
    BackendError
        If CUDA is asked for and there is none.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise BackendError(
            f"device is cuda, but Torch {torch.__version__} finds no GPU; set device to auto, or run "
            "`gadgetron-pisco doctor`"
        )
    return "cuda" if has_cuda and config.device != "cpu" else "cpu"
