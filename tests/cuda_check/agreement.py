"""Each path on the device against its twin on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from python_recon.acquisition.coil_compression import compress
from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig, DensityConfig
from python_recon.fields.hash_grid import HashGrid
from python_recon.operators.density import fill_density
from python_recon.operators.nufft import Library, Nufft
from python_recon.operators.sense import data_weights
from python_recon.operators.toeplitz import SenseGram, SubspaceGram, point_spread_kernels
from tests.cuda_check.running import Check, LeftOutError
from tests.cuda_check.setting import Setting
from tests.numerics import adjoint_dft, complex_noise, dft, golden_spokes, relative_error

PART = "agreement"
_MATRIX, _FRAMES, _COILS, _SPOKES, _SAMPLES = (40, 33), 5, 3, 7, 72
_ESTIMATORS = ("low_resolution", "walsh", "espirit", "nlinv")


def checks(setting: Setting) -> Iterator[Check]:
    libraries: tuple[Library, ...] = ("cufinufft", "gridder") if setting.is_cuda else ("finufft", "gridder")
    for library in libraries:
        yield Check(PART, f"NUFFT by {library}", partial(nufft, setting, library))
    yield Check(PART, "Gram of a series", partial(sense_gram, setting))
    yield Check(PART, "Gram of a subspace", partial(subspace_gram, setting))
    yield Check(PART, "coil compression and density", partial(preparation, setting))
    for name in _ESTIMATORS:
        yield Check(PART, f"coil maps by {name}", partial(maps, setting, name))
    yield Check(PART, "hash grid by Triton and by Torch", partial(triton, setting))


def require(figures: dict[str, Any], **most: float) -> dict[str, Any]:
    """The figures, of which those that are named may not be above their limits."""
    bad = [
        f"{name} is {figures[name]:.3g}, at most {limit:.3g} was expected"
        for name, limit in most.items()
        if not figures[name] <= limit
    ]
    if bad:
        raise AssertionError("; ".join(bad))
    return figures


def nufft(setting: Setting, library: Library) -> dict[str, Any]:
    """Both directions against the definition, term by term; points are set anew in between."""
    trajectory = golden_spokes(_FRAMES, _SPOKES, _SAMPLES, _MATRIX)
    operator = Nufft(torch.as_tensor(trajectory, device=setting.device), _MATRIX, 1e-3, library)
    images = complex_noise((_FRAMES, _COILS, *_MATRIX))
    kspace = complex_noise((_FRAMES, _COILS, _SPOKES, _SAMPLES), 1)
    figures = {}
    for each in ("first", "again"):
        forward = operator.forward(torch.as_tensor(images, device=setting.device))
        adjoint = operator.adjoint(torch.as_tensor(kspace, device=setting.device))
        figures[f"forward, {each}"] = relative_error(forward, dft(images, trajectory))
        figures[f"adjoint, {each}"] = relative_error(adjoint, adjoint_dft(kspace, trajectory, _MATRIX))
    return require(figures, **dict.fromkeys(figures, 1e-3))


def _gram_parts(setting: Setting, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    kspace = setting.small.kspace.to_torch(device)
    weights = data_weights(kspace)
    return point_spread_kernels(kspace.trajectory, weights, kspace.matrix), setting.small.maps.to_torch(
        device
    ).maps


def sense_gram(setting: Setting) -> dict[str, Any]:
    images = torch.as_tensor(complex_noise((12, 32, 32)))
    done = [SenseGram(*_gram_parts(setting, d))(images.to(d)) for d in (setting.device, "cpu")]
    return require({"error": relative_error(*done)}, error=2e-3)


def subspace_gram(setting: Setting) -> dict[str, Any]:
    basis = torch.linalg.qr(torch.as_tensor(complex_noise((12, 4)).real))[0]
    components = torch.as_tensor(complex_noise((4, 32, 32)))
    done = [
        SubspaceGram(*_gram_parts(setting, d), basis.to(d))(components.to(d)) for d in (setting.device, "cpu")
    ]
    return require({"error": relative_error(*done)}, error=2e-3)


def preparation(setting: Setting) -> dict[str, Any]:
    kspace = setting.small.kspace
    done = [compress(kspace.to_torch(d), CoilConfig(virtual=3)).data for d in (setting.device, "cpu")]
    density = [fill_density(kspace.to_torch(d), DensityConfig()).density for d in (setting.device, "cpu")]
    # Virtual coils are known but for a phase each.
    figures = {
        "coils": relative_error(*(each.abs() for each in done)),
        "density": relative_error(*density),
    }
    return require(figures, coils=1e-3, density=1e-4)


def maps(setting: Setting, name: str) -> dict[str, Any]:
    config = CoilConfig(maps=name)
    done = [estimate(setting.small.kspace.to_torch(d), config) for d in (setting.device, "cpu")]
    if done[0].comment != done[1].comment:
        raise AssertionError(f"{done[0].comment!r} on {setting.device}, {done[1].comment!r} on the CPU")
    magnitudes = [each.maps.abs() for each in done]
    return require({"error": relative_error(*magnitudes)}, error=0.02)


def triton(setting: Setting) -> dict[str, Any]:
    """Values and gradients, dense and hashed levels; which of the two is taken is told."""
    if not setting.is_cuda:
        raise LeftOutError("the kernel runs on CUDA; tests/fields run it in the interpreter and compile it")
    from python_recon.fields import hash_grid_triton

    figures: dict[str, Any] = {}
    for n_dims in (2, 3):
        grid = HashGrid(n_dims, torch.Generator().manual_seed(n_dims), log2_table_size=14).to("cuda")
        x = torch.rand(20_000, n_dims, generator=torch.Generator().manual_seed(1)).to("cuda")
        outer = torch.cos(torch.arange(len(x) * grid.n_features, device="cuda")).reshape(len(x), -1)
        done = [f(x) for f in (grid.torch_features, partial(hash_grid_triton.features, grid))]
        slopes = [torch.autograd.grad(each, grid.table, outer)[0] for each in done]
        figures[f"{n_dims}D"] = relative_error(*done)
        figures[f"{n_dims}D gradient"] = relative_error(*slopes)
        figures[f"{n_dims}D by Triton"] = bool(np.bool_(hash_grid_triton.is_faster(grid, x)))
    errors = [name for name in figures if "Triton" not in name]
    return require(figures, **dict.fromkeys(errors, 1e-4))
