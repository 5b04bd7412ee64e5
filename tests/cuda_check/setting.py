"""On what the checks run."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from python_recon.acquisition.radial.density import ramp_density
from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig, preset_names
from python_recon.data import CoilMaps, KSpace, NoiseLevel
from python_recon.fitting.trained_model import Card, Facts, Ranges, save_model
from python_recon.methods.registry import resolve
from python_recon.networks.component_network import Architecture, ComponentNetwork
from python_recon.operators.nufft import Nufft
from python_recon.phantom import HeartPhantom
from tests.numerics import HeartScan, golden_spokes, scan_heart

SMALL_FIT = {
    "batch": 512,
    "neighbourhoods": 64,
    "pisco_sets": 2,
    "width": 32,
    "layers": 2,
    "levels": 4,
    "log2_table_size": 10,
    "n_features": 64,
    "base_resolution": 4,
    "channels": 8,
    "blocks": 2,
    "draws": 2,
    "judges": 1,
    "unrolls": 1,
    "iterations": 3,
    "splits": 2,
    "epochs": 2,
}
"""Sizes of a field or a network that is fitted in no time; those that a method has are taken."""
_NOISE = 0.03


@dataclass(frozen=True)
class Setting:
    """A device, and how large its checks are."""

    device: str
    folder: Path
    """For files that come and go."""

    @property
    def is_cuda(self) -> bool:
        return self.device == "cuda"

    def options(self, name: str, n_steps: int) -> dict[str, Any]:
        """A small fit of so many steps in each of its stages; nothing for a method that fits nothing."""
        sizes = small_fit(name)
        fields = resolve(name, {})[0].options.model_fields
        return sizes | {key: n_steps for key in fields if key.endswith("steps")} if sizes else {}

    def needed(self, name: str) -> dict[str, Any]:
        """What a method does not run without: of trained ones, their model."""
        is_trained = "adapt_steps" in resolve(name, {})[0].options.model_fields
        return {"model": str(self._model)} if is_trained else {}

    @functools.cached_property
    def _model(self) -> Path:
        """An untrained network for the scans of the checks."""
        network = ComponentNetwork(Architecture(width=8), torch.Generator().manual_seed(0))
        facts = [Facts.of(self.small.kspace), Facts.of(self.published[0])]
        card = Card(
            method="ssdu",
            architecture=Architecture(width=8),
            version="1",
            ranges=Ranges.of(facts),
            scans=("small",),
            validation_scans=("published",),
            loss="none",
            validation=(1.0,),
        )
        save_model(network, card, path := self.folder / "untrained.safetensors")
        return path

    @functools.cached_property
    def small(self) -> HeartScan:
        """12 frames of 8 spokes, matrix 32, 4 coils, with maps that were estimated from them."""
        scan = scan_heart(12, 8, 4, (32, 32))
        return replace(scan, maps=estimate(scan.kspace, CoilConfig()))

    @functools.cached_property
    def published(self) -> tuple[KSpace, CoilMaps]:
        """30 frames of 34 spokes, matrix 192, 16 coils, on the device; on the CPU it is a small one.

        For times only: it is made by our own transform, of six phases of a heartbeat.
        """
        sizes = (30, 34, 16, 192) if self.is_cuda else (6, 8, 4, 32)
        n_frames, n_spokes, n_coils, n = sizes
        heart, matrix = HeartPhantom(n_coils=n_coils), (n, n)
        times = (0.003 * np.arange(n_frames * n_spokes)).reshape(n_frames, n_spokes)
        phases = heart.reference(np.linspace(0, 1, 6, endpoint=False), matrix)
        series = torch.as_tensor(phases[np.arange(n_frames) % 6], device=self.device)
        maps = CoilMaps(heart.coil_maps(matrix), "phantom").to_torch(self.device)
        trajectory = torch.as_tensor(golden_spokes(n_frames, n_spokes, 2 * n, matrix), device=self.device)
        data = Nufft(trajectory, matrix).forward(series[:, None] * maps.maps)
        generator = torch.Generator(data.device).manual_seed(0)
        noise = torch.randn(data.shape, dtype=data.dtype, device=data.device, generator=generator)
        kspace = KSpace(
            data=(data + _NOISE * noise).cpu().numpy(),
            trajectory=trajectory.cpu().numpy(),
            matrix=matrix,
            noise=NoiseLevel(_NOISE / 2**0.5, is_measured=True),
            spoke_times_s=times,
            times_s=times.mean(1),
        )
        return replace(kspace, density=ramp_density(kspace)).to_torch(self.device), maps


def small_fit(name: str) -> dict[str, Any]:
    """Sizes of a small fit by a method; nothing for one that fits nothing."""
    fields = resolve(name, {})[0].options.model_fields
    is_fit = "steps" in fields or "epochs" in fields
    return {key: value for key, value in SMALL_FIT.items() if is_fit and key in fields}


def fits() -> list[str]:
    """Presets whose steps may be captured."""
    return [name for name in preset_names() if "compiled" in resolve(name, {})[0].options.model_fields]
