"""The centre of k-space as a scan of a smaller matrix, and its images on the full one."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from python_recon.data import CoilMaps, KSpace
from python_recon.fields.resampling import resample_images
from python_recon.operators.sense import density_of

_BORDER = 0.017
"""Cycles by which the edge of low resolution lies off the whole and half cycles, where samples lie: their
last bit is not to decide whether they are within."""


def changes_of(low: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """What a low-resolution series does about its mean, on the full matrix and in its unit."""
    unit = math.sqrt(low.shape[-2] * low.shape[-1] / (matrix[0] * matrix[1]))
    return unit * resample_images(low - low.mean(0), matrix)


def at_low_resolution(kspace: KSpace, maps: CoilMaps, matrix: int) -> tuple[KSpace, CoilMaps]:
    """The centre of k-space as a scan of a smaller matrix."""
    small = (min(matrix, kspace.matrix[0]), min(matrix, kspace.matrix[1]))
    limits = torch.tensor([small[1] / 2, small[0] / 2], device=kspace.data.device) - _BORDER
    density = density_of(kspace)
    inside = (kspace.trajectory.abs() < limits).all(-1) & (density > 0)
    window = inside.flatten(0, 1).any(0).nonzero()
    readout = slice(int(window[0]), int(window[-1]) + 1)
    inside = inside[..., readout]
    cut = replace(
        kspace,
        data=kspace.data[..., readout] * inside[:, None],
        trajectory=kspace.trajectory[:, :, readout],
        density=density[..., readout] * inside,
        matrix=small,
    )
    return cut, CoilMaps(_thin(maps.maps, small), maps.source)


def _thin(maps: torch.Tensor, matrix: tuple[int, int]) -> torch.Tensor:
    """Coil maps, which are smooth, at the pixels of a coarser grid."""
    rows, columns = (
        ((torch.arange(n) - n // 2) * full / n + full // 2).round().long().clamp(0, full - 1)
        for n, full in zip(matrix, maps.shape[-2:], strict=True)
    )
    return maps[:, rows[:, None], columns]
