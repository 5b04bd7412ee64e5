"""The precision in which fits multiply matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 products on a GPU; parameters and everything else stay float32.

    Not TF32, whose switch is that of the whole process: another thread prepares the next slice meanwhile.
    """
    if device.type != "cuda":
        return nullcontext()
    # Without its cache, whose copies of the weights would outlive a step that is replayed as a graph.
    return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)
