from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.radial.density import ramp_density
from python_recon.data import CoilMaps, KSpace
from python_recon.errors import ShapeError
from tests.numerics import (
    adjoint_dft,
    cartesian_grid,
    complex_noise,
    dft,
    relative_error,
    run_method,
    scan_heart,
)


def test_it_is_the_weighted_adjoint(small_heart, device):
    kspace, maps = small_heart.kspace, small_heart.maps
    weighted = kspace.data * kspace.density[:, None]
    coil_images = adjoint_dft(weighted, kspace.trajectory, kspace.matrix)
    expected = (coil_images * maps.maps.conj()).sum(1)
    assert relative_error(run_method("gridding", kspace, maps, device).images, expected) < 1e-3


def test_full_sampling_of_the_cartesian_grid_gives_the_image():
    """Density is in units of area: each sample of the grid weighs 1."""
    matrix = (13, 16)
    image, maps = complex_noise((1, *matrix)), complex_noise((3, *matrix), 1)
    maps /= np.linalg.norm(maps, axis=0)
    trajectory = cartesian_grid(matrix)
    data = dft(image[:, None] * maps, trajectory).astype(np.complex64)
    kspace = KSpace(data, trajectory, matrix, density=np.ones((1, *matrix), np.float32))
    assert relative_error(run_method("gridding", kspace, CoilMaps(maps, "test")).images, image) < 1e-3


def test_more_spokes_are_better():
    """And with as many as Nyquist demands nothing is left but noise and the edges of k-space."""
    psnr = [_psnr(n_spokes) for n_spokes in (8, 21, 55)]
    assert np.all(np.diff(psnr) > 2)
    assert psnr[-1] > 28


def _psnr(n_spokes):
    scan = scan_heart(2, n_spokes, 4, (32, 32), breathing_amplitude_mm=0.0)
    return scan.psnr(run_method("gridding", scan.kspace, scan.maps).images)


def test_borrowed_spokes_sharpen_a_still_object():
    """View sharing: spokes of the neighbours, for the outer k-space only."""
    still = {"contraction": 0.0, "breathing_amplitude_mm": 0.0, "contrast": 0.0}
    scan = scan_heart(3, 13, 4, (32, 32), noise=0.01, **still)
    whole = scan.kspace

    def one_frame(is_shared):
        frames = whole.data.swapaxes(1, 2).reshape(1, 39, 4, -1).swapaxes(1, 2)
        kspace = KSpace(frames, whole.trajectory.reshape(1, 39, -1, 2), whole.matrix, is_shared=is_shared)
        kspace = replace(kspace, density=ramp_density(kspace))
        return run_method("gridding", kspace, scan.maps).images

    shared = np.ones((1, 39), bool)
    shared[:, 13:26] = False
    alone = run_method("gridding", whole.frames(slice(1, 2)), scan.maps).images
    truth = replace(scan, truth=scan.truth[1:2])
    assert truth.psnr(one_frame(shared)) > truth.psnr(alone) + 4


def test_missing_density_is_told(small_heart):
    with pytest.raises(ShapeError, match="fill_density"):
        run_method("gridding", replace(small_heart.kspace, density=None), small_heart.maps)
