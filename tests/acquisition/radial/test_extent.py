from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.radial.extent import field_of_view_scale, narrow, widen
from python_recon.data import KSpace
from python_recon.phantom import HeartPhantom

MATRIX = (56, 64)


def scan(stretch=1.0, noise=0.0, seed=0):
    """Radial k-space of the phantom; ``stretch`` enlarges the object relative to the field of view."""
    angles = np.deg2rad(111.246117975 * np.arange(40))
    radius = np.arange(-64, 64) / 2
    trajectory = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]
    data = HeartPhantom(n_coils=3).kspace(stretch * trajectory, np.zeros(40))[None] * 60
    rng = np.random.default_rng(seed)
    data = data + noise * (rng.standard_normal(data.shape) + 1j * rng.standard_normal(data.shape))
    return KSpace(data.astype(np.complex64), trajectory[None].astype(np.float32), MATRIX)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(
    ("stretch", "expected"), [(0.9, 1.0), (1.0, 1.0), (1.35, 1.25), (1.6, 1.5), (1.95, 2.0)]
)
def test_scale_holds_the_object(stretch, expected, noise):
    found = field_of_view_scale(scan(stretch, noise))
    assert found == expected


@pytest.mark.parametrize("seed", range(10))
def test_noise_asks_for_nothing(seed):
    noisy = scan(noise=1.0, seed=seed)
    assert field_of_view_scale(noisy) == 1.0
    assert field_of_view_scale(replace(noisy, data=noisy.data - scan().data)) == 1.0


def test_without_oversampling_there_is_nothing_to_see():
    kspace = scan(1.6)
    coarse = replace(kspace, data=kspace.data[..., ::2], trajectory=kspace.trajectory[:, :, ::2])
    assert field_of_view_scale(coarse) == 1.0


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5, 2.0])
def test_narrowed_gridding_of_a_widened_scan_is_gridding(scale):
    from python_recon.acquisition.radial.density import fill_density
    from python_recon.config import DensityConfig
    from python_recon.operators.nufft import Nufft

    def gridded(kspace):
        weighted = fill_density(kspace, DensityConfig())
        images = Nufft(weighted.trajectory, weighted.matrix, 1e-5).adjoint(
            weighted.data * weighted.density[:, None]
        )
        return images[:, 0]

    kspace = scan()
    wide = widen(kspace, scale)
    assert all(size % 2 == 0 for size in wide.matrix)
    expected = gridded(kspace)
    found = narrow(gridded(wide), MATRIX)
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) < 2e-3 * np.linalg.norm(expected)
