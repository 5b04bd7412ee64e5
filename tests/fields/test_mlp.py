from __future__ import annotations

import pytest
import torch

from python_recon.fields.mlp import Mlp, SmoothReLU, uniform_linear


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def test_it_is_relu_layers_and_a_linear_output():
    mlp = Mlp(5, 7, 2, 3, generator(), is_smooth=False)
    x = torch.randn(11, 5, generator=generator(1))
    first, _, second, _, output = mlp.layers
    expected = output(second(first(x).clamp_min(0)).clamp_min(0))
    torch.testing.assert_close(mlp(x), expected)
    assert (mlp(x) < 0).any()


def test_a_smooth_relu_has_no_kink():
    """And is a ReLU but for a tenth about 0."""
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64, requires_grad=True)
    values = SmoothReLU()(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    assert (values - x.clamp_min(0)).abs().max() < 0.02
    assert slopes.diff().abs().max() < 0.01
    assert (slopes[x > 0.3] - 1).abs().max() < 0.05


def test_number_of_parameters_is_the_documented_one():
    n_in, width, n_layers, n_out = 6, 11, 4, 5
    expected = width * (n_in + 1) + (n_layers - 1) * width * (width + 1) + n_out * (width + 1)
    assert sum(p.numel() for p in Mlp(n_in, width, n_layers, n_out, generator()).parameters()) == expected


@pytest.mark.parametrize("n_layers", [1, 6])
def test_depth_neither_damps_nor_swells_the_signal(n_layers):
    """The mean square of the output is that of the input, whatever the depth."""
    x = torch.randn(400, 64, generator=generator(2))
    output = Mlp(64, 512, n_layers, 200, generator())(x).detach()
    assert 0.7 < output.square().mean() < 1.4


def test_start_depends_on_the_generator_alone(device):
    before = torch.random.get_rng_state()
    one, same, other = (uniform_linear(9, 400, 0.3, 0.1, generator(s, device)) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)
    assert 0.29 < one.weight.abs().max() <= 0.3
    assert 0.09 < one.bias.abs().max() <= 0.1
    assert one.weight.device.type == device


def test_outputs_stay_in_single_precision_where_products_are_not():
    """Half of a byte of an image would be rounded away."""
    net, features = Mlp(8, 32, 2, 3, generator()), torch.rand(50, 8, generator=generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(features)
    assert rounded.dtype == torch.float32
    error = (rounded - net(features)).norm() / net(features).norm()
    assert 1e-5 < error < 1e-2
    rounded.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())
