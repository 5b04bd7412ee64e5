"""LPIPS (doi 10.1109/CVPR.2018.00068), where the package ``lpips`` and its weights are at hand.

Neither is a dependency, for it brings torchvision along. Nothing is downloaded: the weights of AlexNet have
to lie in the cache of ``torch.hub``, where a first ``lpips.LPIPS(net="alex")`` with a network puts them.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = "alexnet-*.pth"


def distance(images: np.ndarray, truth: np.ndarray) -> float | None:
    """LPIPS (AlexNet) of (frame, y, x) series, averaged over the frames; None where it cannot be computed.

    0 is best. Magnitudes from 0 to 1; what is brighter is clipped.
    """
    import torch

    network = _network()
    if network is None:
        return None
    with torch.no_grad():
        scores = [network(_as_rgb(a), _as_rgb(b)) for a, b in zip(images, truth, strict=True)]
    return float(torch.stack(scores).mean())


def _as_rgb(image: np.ndarray) -> Tensor:
    """(1, colour, y, x) from -1 to 1."""
    import torch

    grey = torch.from_numpy(np.clip(image, 0, 1).astype(np.float32))
    return (2 * grey - 1).expand(1, 3, -1, -1)


@cache
def _network() -> Any | None:
    import torch

    try:
        import lpips  # type: ignore[import-not-found]
    except ImportError:
        return None
    if not list(Path(torch.hub.get_dir(), "checkpoints").glob(_WEIGHTS)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision by names that have been replaced
        return lpips.LPIPS(net="alex", verbose=False).eval()
