"""What is scanned: the built-in heart, or an object from a file, as one phantom for each slice or sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gadgets.simulation.object_files import read_object
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.physiology import irregular_r_waves
from gadgets.simulation.plan import Plan
from python_recon.errors import ConfigError
from python_recon.phantom import EXTENT, FIELD_OF_VIEW_MM, HeartPhantom, ObjectPhantom, Phantom

_SHEETS_PER_PARTITION = 2
_MIDDLE_MM = 10.0
"""Where the middle of a slab cuts the heart: it shows more of the apex than of the base."""


def phantoms_of(options: SimulateOptions, plan: Plan) -> Sequence[Phantom]:
    """One phantom for each slice of the scan or, of a volume, for each of the sheets that make its slab.

    Sheets are thinner than partitions; of an object from a file, all its slices are sheets.

    Raises
    ------
    ConfigError
        When the options exclude each other, or the object has fewer slices than are asked for.
    DataError
        When the object's file cannot be read or holds no images.
    """
    end_s = float(plan.times_s[-1])
    shared = {
        "n_coils": options.coils,
        "heart_rate_bpm": options.heart_rate,
        "r_waves_s": irregular_r_waves(options, end_s) if options.arrhythmia else (),
        "contraction": options.contraction,
        "breathing_amplitude_mm": options.breathing,
        "contrast": options.contrast,
        "seed": options.seed,
    }
    if options.object is not None:
        return _from_file(options.object, options, shared, end_s, plan.thickness_mm)
    if options.object_interval:
        raise ConfigError("an object interval needs an object: name its file, or leave the interval out")
    if options.is_volume:
        heights = sheet_heights_mm(_SHEETS_PER_PARTITION * options.partitions, plan.thickness_mm)
        return [
            HeartPhantom(
                **shared,
                texture=options.texture,
                slice_offset_mm=_MIDDLE_MM + mm,
                coil_height=mm / FIELD_OF_VIEW_MM,
            )
            for mm in heights
        ]
    offsets = plan.slice_offsets_mm
    return [HeartPhantom(**shared, texture=options.texture, slice_offset_mm=float(mm)) for mm in offsets]


def sheet_heights_mm(n_sheets: int, thickness_mm: float) -> list[float]:
    """Middle of each sheet of a slab, from the middle of the slab."""
    return [((sheet + 0.5) / n_sheets - 0.5) * thickness_mm for sheet in range(n_sheets)]


def _from_file(
    path: Path, options: SimulateOptions, shared: dict[str, Any], end_s: float, thickness_mm: float
) -> list[Phantom]:
    if options.texture:
        raise ConfigError("texture is for the built-in heart, an object has its own: leave one of both out")
    images = read_object(path)
    n_slices, n_frames, *sides = images.shape
    if options.slices > n_slices:
        raise ConfigError(f"{path} has {n_slices} slices, {options.slices} are asked for: ask for fewer")
    if n_frames > 1 and (options.respiratory_signal or options.cardiac_signal in ("ecg", "both")):
        raise ConfigError(
            f"{path} is a series, whose heartbeats and breath are not known: it has no waveforms"
        )
    interval_s = options.object_interval * 1e-3 or max(end_s, 1e-3) / max(1, n_frames - 1)
    # Twice as fine as the scan's matrix, and no coarser than the pixels of the object.
    grid = 2 * max(options.matrix, int(np.ceil(max(sides) / EXTENT / 2)))
    if options.is_volume:
        heights = sheet_heights_mm(n_slices, thickness_mm)
        return [
            ObjectPhantom(
                **shared, images=one, grid_size=grid, interval_s=interval_s, coil_height=mm / FIELD_OF_VIEW_MM
            )
            for one, mm in zip(images, heights, strict=True)
        ]
    first = (n_slices - options.slices) // 2
    return [
        ObjectPhantom(**shared, images=one, grid_size=grid, interval_s=interval_s)
        for one in images[first : first + options.slices]
    ]
