"""Virtual coils."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.coil_compression import (
    apply_compression,
    compress,
    compress_with_maps,
    compression_matrix,
)
from python_recon.config import CoilConfig
from python_recon.data import CoilMaps, KSpace


@pytest.fixture
def kspace():
    """Ten coils that see three sources of falling strength, and a little noise."""
    rng = np.random.default_rng(8)
    normal = lambda *shape: rng.normal(size=shape) + 1j * rng.normal(size=shape)  # noqa: E731
    sources = normal(3, 2 * 7 * 16) * np.array([[10.0], [3.0], [1.0]])
    data = np.linalg.qr(normal(10, 3))[0] @ sources + 0.01 * normal(10, 2 * 7 * 16)
    data = data.reshape(10, 2, 7, 16).transpose(1, 0, 2, 3).astype(np.complex64)
    return KSpace(np.ascontiguousarray(data), np.zeros((2, 7, 16, 2), np.float32), (16, 16))


def energy(data):
    return float(np.square(np.abs(data)).sum())


def test_matches_the_singular_values(kspace):
    flat = kspace.data.transpose(1, 0, 2, 3).reshape(10, -1)
    singular = np.linalg.svd(flat, compute_uv=False)
    out = compress(kspace, CoilConfig(virtual=4))
    assert out.data.shape == (2, 4, 7, 16)
    assert out.data.dtype == np.complex64
    strengths = np.linalg.norm(out.data.transpose(1, 0, 2, 3).reshape(4, -1), axis=1)
    np.testing.assert_allclose(strengths, singular[:4], rtol=2e-3)


def test_the_strongest_of_many_coils_are_those_of_all(kspace):
    """They are found without the products of all pairs of coils."""
    rng = np.random.default_rng(9)
    mixing = np.linalg.qr(rng.normal(size=(90, 10)) + 1j * rng.normal(size=(90, 10)))[0]
    noise = 0.01 * rng.normal(size=(2, 90, 7, 16))
    many = replace(
        kspace, data=(np.einsum("vc,fcsr->fvsr", mixing, kspace.data) + noise).astype(np.complex64)
    )
    flat = many.data.transpose(1, 0, 2, 3).reshape(90, -1)
    singular = np.linalg.svd(flat, compute_uv=False)
    out = compress(many, CoilConfig(virtual=3))
    strengths = np.linalg.norm(out.data.transpose(1, 0, 2, 3).reshape(3, -1), axis=1)
    np.testing.assert_allclose(strengths, singular[:3], rtol=2e-3)
    assert compress(many, CoilConfig(energy=0.985)).n_coils == 2
    np.testing.assert_array_equal(compress(many, CoilConfig(virtual=3)).data, out.data)


@pytest.mark.parametrize(("share", "n_virtual"), [(0.9, 1), (0.985, 2), (0.99999, 3)])
def test_number_follows_the_energy(kspace, share, n_virtual):
    out = compress(kspace, CoilConfig(energy=share))
    assert out.n_coils == n_virtual
    assert energy(out.data) >= share * energy(kspace.data)


def test_number_has_a_maximum(kspace):
    assert compress(kspace, CoilConfig(energy=1.0, maximum=4)).n_coils == 4


def test_white_noise_stays_white(kspace):
    matrix = compression_matrix(kspace, CoilConfig(virtual=5))
    np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(5), atol=1e-5)


def test_maps_that_came_along_are_of_the_same_coils(kspace):
    """What was one image seen by all coils is still that image seen by the virtual ones."""
    rng = np.random.default_rng(3)
    maps = CoilMaps.normalised(rng.normal(size=(10, 4, 4)) + 1j * rng.normal(size=(10, 4, 4)), "test")
    virtual, compressed = compress_with_maps(kspace, maps, CoilConfig(virtual=4))
    matrix = compression_matrix(kspace, CoilConfig(virtual=4))
    expected = np.tensordot(matrix, maps.maps, 1)
    np.testing.assert_allclose(np.linalg.norm(compressed.maps, axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(
        compressed.maps * np.linalg.norm(expected, axis=0), expected, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(virtual.data, apply_compression(kspace, matrix).data)
    assert compress_with_maps(kspace, maps, CoilConfig(virtual=10)) == (kspace, maps)


@pytest.mark.parametrize("virtual", [10, 64])
def test_no_fewer_coils_means_no_change(kspace, virtual):
    assert compress(kspace, CoilConfig(virtual=virtual)) is kspace


def test_empty_data_do_not_fail(kspace):
    silent = KSpace(np.zeros_like(kspace.data), kspace.trajectory, kspace.matrix)
    assert not compress(silent, CoilConfig()).data.any()


def test_matrix_of_a_series_serves_its_frames(kspace):
    matrix = compression_matrix(kspace, CoilConfig(virtual=3))
    whole = compress(kspace, CoilConfig(virtual=3))
    second = apply_compression(kspace.frames(slice(1, 2)), matrix)
    np.testing.assert_allclose(second.data, whole.data[1:], rtol=1e-5)


def test_torch_agrees_with_numpy(kspace):
    torch = pytest.importorskip("torch")
    out = compress(kspace.to_torch(), CoilConfig(virtual=3))
    assert isinstance(out.data, torch.Tensor)
    np.testing.assert_allclose(out.data.numpy(), compress(kspace, CoilConfig(virtual=3)).data, atol=1e-3)


@pytest.mark.cuda
def test_compression_stays_on_the_gpu(kspace):
    out = compress(kspace.to_torch("cuda"), CoilConfig(virtual=3))
    assert out.data.is_cuda
    np.testing.assert_allclose(out.data.cpu(), compress(kspace, CoilConfig(virtual=3)).data, atol=1e-3)
