from __future__ import annotations

import pytest
import torch

from python_recon.networks.layers import from_channels, from_kspace, to_channels, to_kspace
from python_recon.networks.unrolled import UnrolledMirid, UnrolledResNet
from tests.numerics import complex_noise, relative_error

SHAPE = (2, 12, 10)


def images(seed=1):
    return torch.as_tensor(complex_noise(SHAPE, seed))


def small_nets(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        UnrolledResNet(generator, unrolls=2, iterations=4, width=8, blocks=2),
        UnrolledMirid(generator, unrolls=2, iterations=4, width=6, layers=2),
        UnrolledMirid(generator, n_shots=2, unrolls=2, iterations=4, width=6, layers=2),
    ]


def half(images):
    return images / 2


def test_sizes_are_the_published_ones():
    count = [
        sum(p.numel() for p in net.parameters())
        for net in (UnrolledResNet(torch.Generator()), UnrolledMirid(torch.Generator(), n_shots=2))
    ]
    assert count == [1_145_089, 2 * 291_556 + 2]


@pytest.mark.parametrize("number", range(3))
def test_every_weight_learns(number):
    net = small_nets()[number]
    (net(half, images()) - images(2)).abs().square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert net(half, images()).shape == SHAPE


@pytest.mark.parametrize("number", range(3))
def test_a_fit_comes_nearer_to_the_images(number):
    """To images that the data tell in part: half of each pixel."""
    net, wanted = small_nets()[number], to_kspace(0.1 * images(2)).abs().to(torch.complex64)
    right_side = half(wanted) + 0.1 * images(3)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        error = (net(half, right_side) - wanted).abs().square().mean()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.9 * errors[0]


@pytest.mark.parametrize("number", range(2))
def test_frames_by_themselves_are_seen_by_themselves_before_the_data(number):
    """Of one frame, the ResNet sees no other."""
    generator = torch.Generator().manual_seed(0)
    net = UnrolledResNet(generator, width=8, blocks=2).regulariser
    both = net(images())
    assert (
        relative_error(net(images()[number : number + 1]).detach(), both[number : number + 1].detach()) < 1e-6
    )


def test_start_depends_on_the_generator_alone():
    before = torch.random.get_rng_state()
    for one, same, other in zip(small_nets(1), small_nets(1), small_nets(2), strict=True):
        state, again, different = (net.state_dict() for net in (one, same, other))
        assert all(torch.equal(state[name], again[name]) for name in state)
        assert any(not torch.equal(state[name], different[name]) for name in state)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_channels_are_real_and_imaginary_parts():
    channels = to_channels(images())
    assert torch.equal(channels[2], images()[1].real)
    assert torch.equal(channels[3], images()[1].imag)
    assert torch.equal(from_channels(channels), images())


def test_kspace_of_the_conjugate_is_mirrored():
    """What makes virtual coils: odd matrices have their centre in the middle."""
    odd = images()[:, :11, :9]
    mirrored = to_kspace(odd).conj().flip(-2, -1)
    assert relative_error(to_kspace(odd.conj()), mirrored) < 1e-5
    assert relative_error(from_kspace(to_kspace(odd)), odd) < 1e-5
