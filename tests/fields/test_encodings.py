from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ShapeError
from python_recon.fields.encodings import FourierFeatures, Stiff
from python_recon.fields.time_axis import TemporalHarmonics


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def points(n, n_dims=2, seed=3):
    return 2 * torch.rand(n, n_dims, generator=generator(seed)) - 1


def test_features_are_cosines_then_sines():
    frequencies = torch.tensor([[0.5, 2.0], [-3.0, 0.25], [7.0, 1.0]])
    v = points(5)
    phase = 2 * np.pi * v.numpy().astype(float) @ frequencies.numpy().astype(float).T
    expected = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    features = FourierFeatures(frequencies)
    assert features.n_features == 6
    np.testing.assert_allclose(features(v), expected, atol=5e-6)


def test_leading_axes_are_kept(device):
    features = FourierFeatures.from_normal(6, 2.0, generator(device=device), n_dims=3)
    v = points(20, 3).to(device).reshape(4, 5, 3)
    torch.testing.assert_close(features(v), features(v.reshape(20, 3)).reshape(4, 5, 12))


def test_phases_keep_their_precision_under_autocast():
    """Hundreds of radians in bfloat16 would be random phases."""
    features, v = FourierFeatures.from_normal(40, 50.0, generator()), points(30)
    expected = features(v)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features(v), expected)


def test_normal_frequencies_have_their_spread_and_repeat():
    one, same, other = (FourierFeatures.from_normal(4000, 6.0, generator(s), n_dims=4) for s in (1, 1, 2))
    assert one.frequencies.shape == (4000, 4)
    assert one.frequencies.std() == pytest.approx(6, rel=0.03)
    assert torch.equal(one.frequencies, same.frequencies)
    assert not torch.equal(one.frequencies, other.frequencies)


def test_coordinates_must_have_the_dimension_of_the_frequencies():
    features = FourierFeatures.from_normal(5, 1.0, generator(), n_dims=2)
    with pytest.raises(ShapeError, match="3 dimensions, the frequencies have 2"):
        features(points(4, 3))
    with pytest.raises(ShapeError, match=r"\(7,\).*expected \(frequency, dimension\)"):
        FourierFeatures(torch.zeros(7))


def test_stiff_is_the_published_encoding():
    stiff = Stiff.from_normal(512, 6.0, generator())
    assert stiff.static.frequencies.shape == (192, 2)
    assert stiff.dynamic.frequencies.shape == (32, 2)
    assert stiff.n_features == 512
    k, t = points(7), torch.linspace(0, 0.9, 7)
    static = 2 * np.pi * k.numpy() @ stiff.static.frequencies.numpy().T
    dynamic = 2 * np.pi * k.numpy() @ stiff.dynamic.frequencies.numpy().T
    turn = 2 * np.pi * t.numpy()[:, None]
    products = [f(dynamic) * g(turn) for f in (np.cos, np.sin) for g in (np.cos, np.sin)]
    dynamic = np.stack([np.stack(products[:2], -1), np.stack(products[2:], -1)], 1).reshape(7, -1)
    expected = np.concatenate([np.cos(static), np.sin(static), dynamic], axis=1)
    np.testing.assert_allclose(stiff(k, TemporalHarmonics("periodic", 1)(t)), expected, atol=2e-5)


@pytest.mark.parametrize(("n_features", "n_temporal"), [(512, 2), (256, 6), (100, 8), (64, 3)])
def test_stiff_has_the_features_asked_for(n_features, n_temporal):
    stiff = Stiff.from_normal(n_features, 6.0, generator(), n_temporal=n_temporal)
    assert stiff.n_features == n_features
    assert stiff(points(5), torch.rand(5, n_temporal)).shape == (5, n_features)
    assert abs(stiff.static.n_features / n_features - 0.75) <= n_temporal / n_features


def test_stiff_takes_one_moment_for_all_points(device):
    stiff = Stiff.from_normal(64, 6.0, generator(), n_temporal=4).to(device)
    k, temporal = points(9).to(device), torch.rand(1, 4, generator=generator()).to(device)
    torch.testing.assert_close(stiff(k, temporal), stiff(k, temporal.expand(9, 4)))


def test_static_features_do_not_see_time():
    stiff, k = Stiff.from_normal(64, 6.0, generator()), points(6)
    early, late = stiff(k, torch.zeros(1, 2)), stiff(k, torch.ones(1, 2))
    changed = (early != late).any(0)
    assert changed.tolist() == [False] * 48 + [True] * 16


def test_encodings_compile_whole():
    stiff, k, temporal = Stiff.from_normal(64, 6.0, generator()), points(6), torch.rand(6, 2)
    compiled = torch.compile(stiff, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(k, temporal), stiff(k, temporal))
