"""What a series tells of its making: stages, memory and coil maps."""

from __future__ import annotations

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.resources.device import computer
from python_recon.stream.chain import reconstruct_stream
from tests.heart_stream import COILS, MATRIX, SCAN, readouts


def reconstruct(**settings):
    config = load_config({"method": "cg_sense", "preview": "none", **settings})
    (series,) = reconstruct_stream(readouts((0,)), SCAN, config)
    return series


def test_seconds_of_every_stage_and_the_peak_of_memory():
    details = reconstruct().details
    stages = [details[f"seconds_{stage}"] for stage in ("preparation", "coil_maps", "method")]
    assert all(seconds > 0 for seconds in stages)
    assert details["peak_memory_mib"] > 50
    assert details.items() >= computer().items()


def test_coil_maps_come_only_where_they_are_asked_for():
    assert reconstruct().coil_maps is None


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_coil_maps_fit_the_images_and_keep_their_scale(scale):
    settings = {"output.coil_maps": True, "coils.virtual": COILS, "field_of_view_scale": scale}
    series = reconstruct(**settings)
    assert series.coil_maps.shape == (COILS, MATRIX, MATRIX)
    assert series.coil_maps.dtype == np.complex64
    brightest = np.abs(series.images).mean(0)
    inside = brightest > 0.3 * brightest.max()
    root_sum_of_squares = np.linalg.norm(series.coil_maps, axis=0)[inside]
    np.testing.assert_allclose(root_sum_of_squares, 1, atol=0.02)
