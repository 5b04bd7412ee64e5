from __future__ import annotations

import numpy as np
import pytest

from python_recon.data import Counters, Geometry, ImageSeries


@pytest.fixture
def beating_disc() -> np.ndarray:
    """(frame, y, x): a disc at (y 14, x 30) of a 40 x 48 image that grows and shrinks, on a still body."""
    y, x = np.mgrid[:40, :48]
    radius = 6 + 4 * np.sin(2 * np.pi * np.arange(10) / 10)
    body = 200.0 * (np.hypot((y - 20) / 18, (x - 24) / 22) < 1)
    disc = np.hypot(y - 14, x - 30)[None] < radius[:, None, None]
    return ((body + 600 * disc) * np.exp(1j * x / 9)).astype(np.complex64)


@pytest.fixture
def pieces(beating_disc: np.ndarray) -> list[ImageSeries]:
    """A preview of two slices that came frame by frame, then the final series of slice 1, out of order."""
    geometry = Geometry(position_mm=(1.0, 2.0, 3.0), field_of_view_mm=(240.0, 400.0, 8.0))
    previews = [
        ImageSeries(
            images=beating_disc[frame : frame + 1] * (1 + number),
            method="gridding",
            series_index=1,
            geometry=geometry,
            counters=Counters(slice=number),
            times_s=np.array([0.05 * frame + number]),
            physiology_s=np.full((1, 3), float(frame)),
            first_frame=frame,
            comment="preview" if frame else "",
            details={"seconds": 0.1},
        )
        for frame in range(10)
        for number in (0, 1)
    ]
    final = ImageSeries(beating_disc, "grasp", 2, geometry, Counters(slice=1), details={"iterations": 7})
    return [final, *reversed(previews)]


@pytest.fixture
def coil_maps() -> ImageSeries:
    """Three coils of slice 1: one at the left, one at the right, and one whose phase goes round."""
    y, x = np.mgrid[:40, :48]
    maps = [np.exp(-x / 10), np.exp((x - 47) / 10), np.exp(1j * np.arctan2(y - 20, x - 24))]
    return ImageSeries(np.array(maps, np.complex64), "nlinv", 3, counters=Counters(slice=1))
