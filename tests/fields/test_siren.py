from __future__ import annotations

import math

import pytest
import torch

from python_recon.fields.siren import SineLayer, Siren


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def unit_features(n_points, n_features):
    """As Fourier features are: of mean square 1/2."""
    phase = 2 * math.pi * torch.rand(n_points, n_features // 2, generator=generator(9))
    return torch.cat([phase.cos(), phase.sin()], -1)


def test_a_layer_is_the_sine_of_a_scaled_affine_map():
    layer, x = SineLayer(3, 5, 20.0, generator()), torch.rand(7, 3, generator=generator(1))
    expected = torch.sin(20 * (x.double() @ layer.linear.weight.double().T + layer.linear.bias.double()))
    torch.testing.assert_close(layer(x).double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("is_first", "bound"), [(True, 1 / 96), (False, math.sqrt(6 / 96) / 30)])
def test_published_start(is_first, bound):
    linear = SineLayer(96, 400, 30.0, generator(), is_first=is_first).linear
    assert 0.99 * bound < linear.weight.abs().max() <= bound
    assert linear.weight.detach().std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(linear.weight.detach().mean()) < 0.02 * bound
    assert 0.9 / math.sqrt(96) < linear.bias.abs().max() <= 1 / math.sqrt(96)


@pytest.mark.parametrize("omega", [20.0, 30.0])
def test_every_layer_starts_with_phases_of_unit_variance(omega):
    """The point of the published start: neither depth nor width makes the phases grow or die."""
    features = Siren(128, 256, 6, 4, omega, generator()).hidden[0](unit_features(200, 128))
    for layer in Siren(128, 256, 6, 4, omega, generator()).hidden[1:]:
        phase = omega * features @ layer.linear.weight.T
        features = layer(features)
        assert 0.6 < phase.detach().square().mean() < 1.2
        assert 0.35 < features.detach().square().mean() < 0.55


def test_number_of_parameters_is_the_documented_one():
    n_in, width, n_layers, n_out = 6, 11, 3, 5
    siren = Siren(n_in, width, n_layers, n_out, 30.0, generator())
    expected = width * (n_in + 1) + (n_layers - 1) * width * (width + 1) + n_out * (width + 1)
    assert sum(p.numel() for p in siren.parameters()) == expected
    assert len(siren.hidden) == n_layers
    assert siren(torch.rand(2, 3, n_in)).shape == (2, 3, n_out)


def test_output_is_linear_and_may_exceed_one():
    siren = Siren(4, 32, 2, 3, 20.0, generator(), output_std=10.0)
    x = unit_features(50, 4)
    hidden = siren.hidden(x)
    torch.testing.assert_close(siren(x), hidden @ siren.output.weight.T + siren.output.bias)
    assert siren(x).abs().max() > 5


@pytest.mark.parametrize("output_std", [0.01, 1.0])
def test_output_starts_with_the_spread_asked_for(output_std):
    siren = Siren(128, 256, 4, 64, 20.0, generator(), output_std=output_std)
    assert siren(unit_features(300, 128)).detach().std() == pytest.approx(output_std, rel=0.15)
    assert not siren.output.bias.any()


def test_published_output_starts_as_a_sine_layer_does():
    output = Siren(128, 256, 2, 64, 20.0, generator()).output
    bound = math.sqrt(6 / 256) / 20
    assert 0.99 * bound < output.weight.abs().max() <= bound
    assert 0.9 / 16 < output.bias.abs().max() <= 1 / 16


def test_start_depends_on_the_generator_alone(device):
    def start(seed):
        return Siren(5, 8, 3, 2, 20.0, generator(seed, device)).state_dict()

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = start(4)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = start(4), start(5)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    assert {values.device.type for values in one.values()} == {device}


def test_it_fits_a_wave():
    """A field of one coordinate learns a wave of ten periods in a few hundred steps."""
    x = torch.linspace(-1, 1, 200)[:, None]
    wanted = torch.sin(10 * math.pi * x) * (1 + x)
    siren = Siren(1, 48, 2, 1, 30.0, generator())
    adam = torch.optim.Adam(siren.parameters(), 2e-3)
    for _ in range(300):
        adam.zero_grad()
        loss = (siren(x) - wanted).square().mean()
        loss.backward()
        adam.step()
    assert loss.detach() < 1e-3 * wanted.square().mean()


def test_it_compiles_whole():
    siren, x = Siren(6, 16, 2, 3, 20.0, generator()), unit_features(5, 6)
    torch.testing.assert_close(torch.compile(siren, fullgraph=True, backend="aot_eager")(x), siren(x))
