from __future__ import annotations

import torch

from python_recon.networks.dual import DualCnn
from tests.numerics import complex_noise, relative_error

SHAPE = (2, 12, 10)


def components():
    return torch.as_tensor(complex_noise(SHAPE))


def network(scan=None, seed=0):
    scan = components() if scan is None else scan
    return DualCnn(scan, 6, 3, torch.Generator().manual_seed(seed))


def trained(net):
    """With last layers that are not zero."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for part in (net.of_images, net.of_kspace):
            part.layers[-1].weight.normal_(generator=generator)
    return net


def test_before_it_has_learned_it_changes_nothing():
    assert not network()(components()).any()


def test_both_parts_learn():
    net = network()
    (net(components()) - components()).abs().square().sum().backward()
    assert all(part.layers[-1].weight.grad.abs().amax() > 0 for part in (net.of_images, net.of_kspace))


def test_the_unit_of_a_component_does_not_matter():
    factors = torch.tensor([4.0, 1 / 16])[:, None, None]
    scaled = trained(network(factors * components()))(factors * components())
    assert relative_error(scaled.detach(), (factors * trained(network())(components())).detach()) < 1e-4


def test_an_empty_component_gives_finite_images():
    scan = components()
    scan[1] = 0
    assert torch.isfinite(torch.view_as_real(trained(network(scan))(scan))).all()
