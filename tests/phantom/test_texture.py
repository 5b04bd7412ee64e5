"""Texture of the heart: exact in k-space, within its tissue, carried by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.phantom import HeartPhantom
from python_recon.phantom.anatomy import State, anatomy
from python_recon.phantom.blobs import Blobs, add_blobs, transform_blobs
from python_recon.phantom.ellipses import rasterise
from python_recon.phantom.texture import grow

PLAIN = HeartPhantom(n_coils=3, seed=4)
TEXTURED = replace(PLAIN, texture=0.1)
AXIS = (np.arange(512) - 256) / 512


def spokes(n, samples=24):
    angles = np.linspace(0, 3, n)
    radius = np.linspace(-40, 40, samples)
    return np.stack([np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius)], axis=-1)


def test_blobs_have_the_transform_that_is_written_out():
    generator = np.random.default_rng(0)
    x, y, amplitude = generator.uniform(-0.4, 0.4, (3, 7, 2, 1))
    k, shifts, width = spokes(2), generator.uniform(-2, 2, (4, 2)), 0.01
    found = transform_blobs(Blobs(amplitude, x, y, width), k, shifts)
    moved = k - shifts[:, None, None]
    waves = np.exp(
        -2j * np.pi * (moved[..., 0, None] * x.T[0][:, None] + moved[..., 1, None] * y.T[0][:, None])
    )
    envelope = 2 * np.pi * width**2 * np.exp(-2 * (np.pi * width) ** 2 * (moved**2).sum(-1))
    expected = envelope * (waves * amplitude.T[0][:, None]).sum(-1)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_blobs_are_drawn_as_they_are_transformed():
    blobs = Blobs(np.array([1.0, -0.5]), np.array([0.1, -0.2]), np.array([0.05, 0.15]), 0.02)
    image, k = np.zeros((512, 512), np.float32), spokes(3)[..., 8:16, :]
    add_blobs(image, blobs, AXIS, AXIS)
    along, down = (np.exp(-2j * np.pi * np.outer(k[..., i].ravel(), AXIS)) for i in (0, 1))
    expected = np.einsum("ky,yx,kx->k", down, image, along) / 512**2
    still = Blobs(
        *(values[:, None, None].repeat(3, 1) for values in (blobs.amplitude, blobs.x, blobs.y)), 0.02
    )
    found = transform_blobs(still, k, np.zeros((1, 2)))[0]
    assert np.abs(found.ravel() - expected).max() < 1e-3 * np.abs(expected).max()


def test_each_spoke_and_sample_sees_the_texture_of_its_time():
    k, times = spokes(2), np.array([0.1, 0.5])
    together = TEXTURED.kspace(k, times)
    alone = TEXTURED.kspace(k[1:], times[1:])
    np.testing.assert_allclose(together[:, 1], alone[:, 0], atol=1e-6)
    by_sample = TEXTURED.kspace(k, np.repeat(times[:, None], k.shape[1], axis=1))
    np.testing.assert_allclose(by_sample, together, atol=1e-6)


def test_the_reference_shows_the_texture_of_the_image():
    times, matrix = np.array([0.3]), (96, 96)
    seen, drawn = (
        getattr(TEXTURED, kind)(times, matrix) - getattr(PLAIN, kind)(times, matrix)
        for kind in ("reference", "image")
    )
    assert np.linalg.norm(seen - drawn) < 0.25 * np.linalg.norm(drawn)
    assert np.linalg.norm(drawn) > 0


def test_tissues_vary_by_the_share_that_is_asked_for():
    plain, textured = (p._drawn(0.0, AXIS, AXIS) for p in (replace(PLAIN, contrast=0.0),
                                                           replace(TEXTURED, contrast=0.0)))  # fmt: skip
    back = np.abs(plain - 0.26) < 1e-6  # the chest wall is the largest tissue
    back[:350] = False
    assert back.sum() > 5000
    assert np.std(textured[back] / plain[back]) == pytest.approx(0.1, abs=0.04)
    assert textured[back].mean() == pytest.approx(plain[back].mean(), rel=0.03)
    np.testing.assert_array_equal(textured[:20], 0)


def extremes(contraction, inspiration):
    shape = np.ones(len(contraction))
    return anatomy(State(np.array(contraction), np.array(inspiration), shape, shape, shape))


def test_grains_lie_in_one_tissue_at_every_state():
    """The sum of ellipses at a grain's middle, and a width beside it, is what the grain takes it for."""
    texture = grow(extremes([0, 0, 0.3, 0.3], [0, 0.02, 0, 0.02]), 0.1, np.random.default_rng(0))
    assert len(texture.owner) > 1000
    for contraction, inspiration in ((0.0, 0.0), (0.15, 0.01), (0.3, 0.02)):
        section = extremes([contraction], [inspiration])
        blobs = texture.on(section)
        tissue = blobs.amplitude[:, 0] / texture.strength
        for dx, dy in ((0, 0), (0.006, 0), (0, -0.006)):
            at = [
                rasterise(anatomy(still(contraction, inspiration)), np.array([x]), np.array([y]))[0, 0]
                for x, y in zip(blobs.x[::40, 0] + dx, blobs.y[::40, 0] + dy, strict=True)
            ]
            np.testing.assert_allclose(at, tissue[::40], atol=1e-5)


def still(contraction, inspiration):
    one = np.ones(())
    return State(contraction * one, inspiration * one, one, one, one)


def test_grains_move_with_the_heart():
    phantom = replace(TEXTURED, breathing_amplitude_mm=0.0, contrast=0.0)
    texture = phantom._texture
    rest, systole = (texture.on(anatomy(still(share, 0.0))) for share in (0.0, 0.3))
    distance = np.hypot(rest.x - 0.098, rest.y + 0.045)
    step = np.hypot(systole.x - rest.x, systole.y - rest.y)
    assert step[distance < 0.05].max() > 0.01
    assert step[distance > 0.25].max() < 1e-9


def test_the_seed_decides_the_texture():
    again, other = replace(TEXTURED), replace(TEXTURED, seed=5)
    np.testing.assert_array_equal(again._texture.place, TEXTURED._texture.place)
    assert not np.array_equal(other._texture.strength, TEXTURED._texture.strength)
    assert PLAIN._texture is None
