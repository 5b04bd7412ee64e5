from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.field_of_view import narrow
from python_recon.acquisition.radial.extent import field_of_view_scale, trim, widen
from python_recon.data import KSpace, Readout, Scan
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
    from python_recon.config import DensityConfig
    from python_recon.operators.density import fill_density
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


def spokes_of_length(*gains, n=128):
    """Located readouts whose spokes are longer or shorter than the header says."""
    along = (np.arange(n) - n // 2) / 2
    data = np.arange(n, dtype=np.complex64)[None]
    return [Readout(data, trajectory=np.stack([g * along, 0 * along], -1).astype(np.float32)) for g in gains]


def trimmed(readouts, matrix):
    wide = Scan((64, 64), (64, 128), (300.0,) * 3, (300.0,) * 3)
    return list(trim(readouts, wide, (matrix, matrix)))


@pytest.mark.parametrize("matrix", [64, 48])
def test_spokes_that_are_not_exactly_alike_are_cut_alike(matrix):
    rng = np.random.default_rng(3)
    gains = [1.0, *(1 + 0.01 * rng.standard_normal(30)), 1.02, 0.98]
    cut = trimmed(spokes_of_length(*gains), matrix)
    assert {r.n_samples for r in cut} == {2 * matrix}
    assert {r.center_sample for r in cut} == {matrix}
    assert all((r.data == cut[0].data).all() for r in cut)


def test_spokes_of_another_kind_are_cut_by_themselves():
    cut = trimmed(spokes_of_length(1.0, 2.0, 1.0), 48)
    assert [r.n_samples for r in cut] == [96, 48, 96]


def test_half_spokes_and_ramps_are_cut_at_the_radius():
    ramp = np.concatenate([np.arange(8) ** 2 / 32, np.arange(4, 68) / 2]).astype(np.float32)
    readout = Readout(np.ones((1, 72), np.complex64), trajectory=np.stack([ramp, 0 * ramp], -1))
    (cut,) = trimmed([readout], 48)
    assert np.abs(cut.trajectory[-1, 0]) == 23.5
    assert cut.center_sample == 0


def test_half_spokes_tell_nothing_of_the_field_of_view():
    kspace = scan(1.6)
    half = replace(kspace, data=kspace.data[..., 64:], trajectory=kspace.trajectory[:, :, 64:])
    assert field_of_view_scale(half) == 1.0
