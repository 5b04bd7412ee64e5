from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import DataError
from python_recon.fitting.pairs import SolvedSlice
from python_recon.fitting.recorrupted import PairMaker
from python_recon.losses import measured_loss
from python_recon.methods.subspace import projected
from python_recon.operators.sense import Sense, data_weights, density_of
from python_recon.operators.toeplitz import SubspaceGram, point_spread_kernels
from tests.numerics import complex_noise, relative_error, scan_heart

NOISE = 0.03


@pytest.fixture(scope="module")
def scan():
    scan = scan_heart(4, 9, 3, (24, 24), noise=NOISE)
    return replace(scan, kspace=replace(scan.kspace, noise=NoiseLevel(NOISE, is_measured=True)))


@pytest.fixture(scope="module")
def basis():
    return torch.linalg.qr(torch.randn(4, 2, generator=torch.Generator().manual_seed(1))).Q


@pytest.fixture(scope="module")
def grams(scan, basis):
    kspace, maps = scan.kspace.to_torch(), scan.maps.to_torch().maps
    weights = data_weights(kspace), density_of(kspace)
    kernels = [point_spread_kernels(kspace.trajectory, each, kspace.matrix) for each in weights]
    return tuple(SubspaceGram(each, maps, basis) for each in kernels)


@pytest.fixture
def maker(scan, basis, grams):
    return maker_of(scan.kspace, scan, basis, grams)


def maker_of(kspace, scan, basis, grams, loss="density"):
    solution = torch.as_tensor(complex_noise((2, 24, 24), 5))
    return PairMaker(SolvedSlice(kspace.to_torch(), scan.maps.to_torch(), basis, solution), grams, loss)


def test_the_noises_of_a_pair_are_those_of_the_scan_and_independent(maker):
    """y + n' and y - n': with the scan's own noise they have nothing in common."""
    fresh = maker._noise(3)
    own = NOISE * torch.as_tensor(complex_noise(fresh.shape, 21))
    assert float(fresh.abs().square().mean()) == pytest.approx(2 * NOISE**2, rel=0.05)
    one, other = (own + fresh).flatten(), (own - fresh).flatten()
    assert abs(torch.vdot(one, other)) < 0.05 * one.norm() * other.norm()


def test_a_seed_gives_the_same_pair_and_another_one_another(maker):
    one, same, other = (maker.pair(seed, lambda residual: residual) for seed in (1, 1, 2))
    assert torch.equal(one.loss.target, same.loss.target)
    assert relative_error(other.start.components, one.start.components) > 0.01


def test_right_sides_are_what_the_start_leaves_of_the_data(maker, scan, basis):
    """Computed with one normal operator each; here from the k-space itself."""
    kspace, sense = scan.kspace.to_torch(), Sense(scan.kspace.to_torch(), scan.maps.to_torch(), 1e-4)
    start = torch.as_tensor(complex_noise((2, 24, 24), 6))
    pair, noise = maker.pair(1, lambda _residual: start), maker._noise(1)
    predicted = sense.forward(torch.einsum("fk,kyx->fyx", basis.to(torch.complex64), start))
    weights = data_weights(kspace)[:, None], density_of(kspace)[:, None]
    for result, weight, data in zip(
        (pair.start.residual, pair.loss.target),
        weights,
        (kspace.data + noise, kspace.data - noise),
        strict=True,
    ):
        expected = projected(basis, sense.adjoint(weight * (data - predicted)))
        assert relative_error(result, expected) < 2e-3


def test_without_noise_there_are_no_pairs(scan, basis, grams):
    with pytest.raises(DataError, match="pairs need the noise of the k-space: with_noise estimates it"):
        maker_of(replace(scan.kspace, noise=None), scan, basis, grams)


def test_a_loss_of_samples_sees_the_other_data(scan, basis, grams):
    """Data of which the start is told by the first, the loss by the second: here from the k-space itself."""
    maker = maker_of(scan.kspace, scan, basis, grams, "usual")
    start, change = (torch.as_tensor(complex_noise((2, 24, 24), seed)) for seed in (6, 7))
    pair = maker.pair(1, lambda _residual: start)
    kspace = scan.kspace.to_torch()
    series = torch.einsum("fk,kyx->fyx", basis.to(torch.complex64), start + change)
    predicted = Sense(kspace, scan.maps.to_torch(), 1e-4).forward(series)
    expected = measured_loss("usual", kspace.data - maker._noise(1))(predicted)
    assert pair.loss(change, 0).item() == pytest.approx(expected.item(), rel=1e-3)
