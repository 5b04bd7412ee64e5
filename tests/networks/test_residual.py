from __future__ import annotations

import torch

from python_recon.networks.residual import ResidualCnn
from tests.numerics import complex_noise


def network(magnitudes=(8.0, 0.5), width=6, layers=3, seed=0):
    return ResidualCnn(torch.tensor(magnitudes), width, layers, torch.Generator().manual_seed(seed))


def trained(net):
    """With a last layer that is not zero."""
    with torch.no_grad():
        net.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(9))
    return net


def test_before_it_has_learned_it_changes_nothing():
    components = torch.as_tensor(complex_noise((2, 8, 10)))
    assert not network()(components).any()


def test_its_first_step_can_change_something():
    net, components = network(), torch.as_tensor(complex_noise((2, 8, 10)))
    (net(components) - components).abs().square().sum().backward()
    assert net.layers[-1].weight.grad.abs().amax() > 0


def test_a_component_is_seen_in_its_own_unit():
    """However weak it is, and whatever the unit of the data: powers of two change no digit."""
    components = torch.as_tensor(complex_noise((2, 8, 10)))
    factors = torch.tensor([4.0, 1 / 16])
    one, other = trained(network()), trained(network((8.0 * 4, 0.5 / 16)))
    expected = one(components) * factors[:, None, None]
    assert torch.equal(other(components * factors[:, None, None]), expected)


def test_an_empty_component_gives_finite_images():
    components = torch.as_tensor(complex_noise((2, 8, 10)))
    components[1] = 0
    change = trained(network((8.0, 0.0)))(components)
    assert torch.isfinite(torch.view_as_real(change)).all()


def test_it_reaches_as_far_as_its_layers():
    """One pixel for each 3 x 3 layer."""
    net, components = trained(network(layers=4)), torch.zeros(2, 21, 21, dtype=torch.complex64)
    touched = components.clone()
    touched[0, 10, 10] = 8.0
    reached = (net(touched) - net(components)).abs().sum(0).nonzero()
    assert (reached.amin(0).tolist(), reached.amax(0).tolist()) == ([6, 6], [14, 14])


def test_start_depends_on_the_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (network(seed=seed).layers[0].weight for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
