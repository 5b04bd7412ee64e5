"""Cartesian scans that another program wrote, from file to images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
FLOAT = {"output.dtype": "float32"}
ELLIPSES = (
    (1, 0.69, 0.92, 0, 0, 0),
    (-0.8, 0.6624, 0.874, 0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0, 18),
    (0.1, 0.21, 0.25, 0, 0.35, 0),
    (0.1, 0.046, 0.046, 0, 0.1, 0),
    (0.1, 0.046, 0.046, 0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
)
"""Intensity, half axes, centre (x, y) and angle of the modified Shepp-Logan phantom."""


@pytest.fixture(scope="module")
def truth():
    y, x = np.mgrid[-32:32, -32:32] / 32
    image = np.zeros((64, 64))
    for value, a, b, x0, y0, degrees in ELLIPSES:
        turn = np.exp(-1j * np.deg2rad(degrees))
        place = ((x - x0) + 1j * (y - y0)) * turn
        image += value * ((place.real / a) ** 2 + (place.imag / b) ** 2 <= 1)
    return image


def scan_of(kind):
    path = DATA / f"shepp_logan_cartesian_{kind}.h5"
    if not path.is_file():
        pytest.skip(f"the foreign scan is not at {path}")
    return path


def errors(images, truth):
    """Of every image, relative; each on its best scale."""
    scales = [(image * truth).sum() / (image**2).sum() for image in images.astype(float)]
    return [
        np.linalg.norm(s * i - truth) / np.linalg.norm(truth) for s, i in zip(scales, images, strict=True)
    ]


def test_half_of_the_lines_give_nearly_what_all_give(replay, truth):
    full = replay(scan_of("full"), "cartesian_cg_sense", **FLOAT)
    half = replay(scan_of("r2"), "cartesian_cg_sense", **FLOAT)
    assert full.exit_code == half.exit_code == 0
    (error,) = errors(full.images[2], truth)
    assert error < 0.13  # noise, and steps that the pixels of the truth cut elsewhere
    assert len(half.images[2]) == 4
    assert max(errors(half.images[2], truth)) <= 1.3 * error
    assert min(errors(full.images[2][:, ::-1], truth)) > 0.5  # upright


@pytest.mark.parametrize("name", ["cartesian_preview", "cartesian_grasp", "radial_subspace"])
def test_other_configurations_take_the_lines(replay, truth, name):
    done = replay(scan_of("r2"), name, **FLOAT)
    assert done.exit_code == 0
    final = done.images[max(done.images)]
    assert max(errors(final, truth)) < (0.35 if name.endswith("preview") else 0.13)


def test_two_stages_give_what_one_gives(replay):
    settings = {"method": "cg_sense", "options.iterations": 5, **FLOAT}
    one = replay(scan_of("r2"), "radial_cg_sense", **settings)
    two = replay(scan_of("r2"), "radial_two_stage_grasp", **settings)
    assert two.exit_code == 0, two.stderr
    np.testing.assert_allclose(two.images[2], one.images[2], atol=1e-3 * one.images[2].max())
