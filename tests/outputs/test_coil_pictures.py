from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from python_recon.data import Counters, Geometry
from python_recon.outputs.coil_pictures import LONG_SIDE_PX, coil_pictures


def pixels(text):
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_magnitudes_share_one_scale(coil_maps):
    halved = coil_maps.images * np.array([1, 0.5, 1])[:, None, None]
    (slice_1,) = coil_pictures([replace(coil_maps, images=halved)])
    left, right, ring = (pixels(coil.magnitude)[..., 0] for coil in slice_1.coils)
    assert slice_1.title == "nlinv, slice 1: 3 coils"
    assert left.shape == (40, 48)
    assert left[:, 0].min() == 255
    assert left[:, -1].max() < 10
    assert set(right[:, -1]) <= {127, 128}, "half of the largest"
    assert ring.min() == 255


def test_the_phase_goes_round_the_colours_once(coil_maps):
    left, _, ring = coil_pictures([coil_maps])[0].coils
    colours = pixels(ring.phase)
    # Both sides of the cut at minus x have the colour of half a turn; a quarter and three differ.
    assert np.abs(colours[19, 4] - colours[21, 4]).max() < 40
    assert np.abs(colours[4, 24] - colours[36, 24]).max() > 60
    faint = pixels(left.phase)
    assert faint[:, -1].max() == 0, "no phase where the coil hardly receives"
    assert faint[:, 0].max() > 0


def test_large_maps_become_small_and_stand_as_the_images_do(coil_maps):
    large = replace(
        coil_maps,
        images=np.repeat(np.repeat(coil_maps.images, 8, axis=1), 8, axis=2),
        geometry=Geometry(read_dir=(-1.0, 0.0, 0.0), field_of_view_mm=(480.0, 400.0, 8.0)),
    )
    left = pixels(coil_pictures([large])[0].coils[0].magnitude)[..., 0]
    assert left.shape == (80, LONG_SIDE_PX)
    assert left[:, -1].min() > 200, "what the scan has at its left is at the right of the screen"


def test_few_of_many_slices_are_shown(coil_maps):
    maps = [replace(coil_maps, counters=Counters(slice=number)) for number in range(20)]
    titles = [each.title for each in coil_pictures(maps)]
    assert titles[0] == "nlinv, slice 0: 3 coils"
    assert titles[-1] == "nlinv, slice 19: 3 coils"
    assert len(titles) == 6
    assert coil_pictures([]) == []
