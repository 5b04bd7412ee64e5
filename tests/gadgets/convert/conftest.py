"""A radial scan of a blob that lies at one corner, and where the images show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.files.slices import read_slice
from python_recon.config import load_config
from python_recon.methods import gridding
from python_recon.resources.schedule import Budget
from python_recon.stream.preparation import prepare

MATRIX, FIELD_OF_VIEW_MM = 32, 160.0
BLOB = (7.0, -4.0)
"""Where the object is, in pixels (x, y) from the isocentre."""
COILS, FRAMES, SPOKES, SAMPLES = 3, 2, 34, 64
runner = CliRunner()


@dataclass(frozen=True)
class Blob:
    """The arrays of a scan in the project's own order and units."""

    data: np.ndarray
    """(frame, coil, spoke, readout) complex64."""
    trajectory: np.ndarray
    """(frame, spoke, readout, 2) in cycles per field of view."""


def signal(trajectory: np.ndarray) -> np.ndarray:
    """Transform of a Gaussian of 1.5 pixels at BLOB."""
    u, v = trajectory[..., 0] / MATRIX, trajectory[..., 1] / MATRIX
    shift = np.exp(-2j * np.pi * (u * BLOB[0] + v * BLOB[1]))
    return np.exp(-2 * np.pi**2 * 1.5**2 * (u**2 + v**2)) * shift


def spokes(first: int, count: int) -> np.ndarray:
    """(spoke, readout, 2) golden-angle trajectory; spoke 0 runs towards -x."""
    angles = (first + np.arange(count)) * np.pi * (np.sqrt(5) - 1) / 2 + np.pi
    radius = (np.arange(SAMPLES) - SAMPLES // 2) / SAMPLES * MATRIX
    return radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]


@pytest.fixture(scope="session")
def blob() -> Blob:
    trajectory = np.stack([spokes(frame * SPOKES, SPOKES) for frame in range(FRAMES)])
    gains = np.exp(2j * np.pi * np.arange(COILS) / COILS)
    data = gains[:, None, None] * signal(trajectory)[:, None]
    return Blob(data.astype(np.complex64), trajectory)


@pytest.fixture
def convert():
    """The command, as a user calls it."""

    def run(*arguments: object):
        return runner.invoke(app, ["convert", *map(str, arguments)])

    return run


@pytest.fixture(scope="session")
def images_of():
    """Gridding of the first slice of a file: (frame, y, x) magnitudes."""

    def reconstruct(path, **settings):
        config = load_config({"coils.maps": "walsh", "preview": "none", **settings})
        prepared = prepare(read_slice(path, "dataset", 0, config), config, Budget())
        return abs(
            gridding.run(prepared.kspace, prepared.maps, gridding.GriddingOptions(), Budget()).images.numpy()
        )

    return reconstruct


@pytest.fixture(scope="session")
def check_blob(images_of):
    """Asserts that every frame of a file shows the blob in its place."""

    def check(path, n_frames=FRAMES, **settings):
        images = images_of(path, **settings)
        assert len(images) == n_frames
        half, (x, y) = images.shape[-1] // 2, BLOB
        for image in images:
            peak = np.unravel_index(image.argmax(), image.shape)
            assert peak == (half + y, half + x)

    return check
