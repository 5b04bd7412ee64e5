"""The measured heart, end to end, and its anatomy in the images. See tests/real_data.py."""

from __future__ import annotations

import numpy as np
import pytest

from gadgets.files.slices import read_slice
from python_recon.config import load_config, preset_names
from python_recon.evaluation.comparison import compare
from tests.real_data import write_real_heart

N_SPOKES = 25
METHODS = [name for name in preset_names() if not (name.endswith("_paper") or name in ("ssdu", "ssfl"))]
"""The published schedules take hours; networks that were trained need scans like this one to train on."""
TOO_FEW_SPOKES_FOR = ("nik", "iconik")
"""Without a start, and without other frames, their images of 25 spokes show no anatomy."""


@pytest.fixture(scope="module")
def heart(tmp_path_factory):
    return write_real_heart(tmp_path_factory.mktemp("heart") / "heart.h5")


def as_radiologists_see_it(image, head):
    """The image with the patient's right on the left and the front at the top."""
    assert abs(head.read_dir[0]) > 0.9, "x of the image runs along left and right"
    assert abs(head.phase_dir[1]) > 0.9, "y of the image runs along front and back"
    return image[:: int(np.sign(head.phase_dir[1])), :: int(np.sign(head.read_dir[0]))]


def mean_of(image, rows, columns):
    """Mean over a rectangle, given in shares of the field of view."""
    height, width = image.shape
    return image[
        int(rows[0] * height) : int(rows[1] * height), int(columns[0] * width) : int(columns[1] * width)
    ].mean()


def _is_start(meta, method):
    """Whether the images are those that a fit started from, by the choice of held-out spokes."""
    started = method in ("pisco", "pisco_dist", "st_inr", "zs_ssl", "motion")
    return started and meta["method"] == "subspace" and "failed" not in meta["ImageComments"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_shows_the_anatomy(heart, replay, tmp_path, method):
    report = tmp_path / "report.html"
    settings = {"method": method, "output.dtype": "float32"}
    done = replay(heart, "radial_preview", "--report", report, "--preview", tmp_path / "views", **settings)
    assert done.exit_code == 0, done.stderr
    (image,), (head,) = done.images[max(done.images)], done.heads[max(done.heads)]
    meta = done.metas[max(done.metas)][0]
    assert meta["method"] == method or _is_start(meta, method), "no rung of the ladder stood in"
    assert tuple(head.matrix_size) == (128, 128, 1)
    assert tuple(head.field_of_view) == (256, 256, 8)
    assert np.isfinite(image).all()
    seen = as_radiologists_see_it(image, head)
    liver, heart_muscle = mean_of(seen, (0.5, 0.75), (0.02, 0.25)), mean_of(seen, (0.38, 0.55), (0.4, 0.65))
    lung, air = mean_of(seen, (0.45, 0.7), (0.75, 0.85)), mean_of(seen, (0, 0.12), (0.1, 0.9))
    if method not in TOO_FEW_SPOKES_FOR:
        assert liver > 3 * lung, "the liver is on the right, the lung beside the heart on the left"
        assert heart_muscle > 2 * air, "the air is in front of the chest"
    assert "radial_short_axis" in report.read_text()
    assert list((tmp_path / "views").glob("*.png"))


def test_cg_sense_is_cleaner_than_gridding(heart, replay):
    """Streaks and noise where no tissue is, relative to the heart."""
    done = replay(heart, "radial_cg_sense", **{"output.dtype": "float32"})

    def background(index):
        seen = as_radiologists_see_it(done.images[index][0], done.heads[index][0])
        empty = (((0.0, 0.12), (0.1, 0.9)), ((0.45, 0.7), (0.75, 0.85)))
        return sum(mean_of(seen, *where) for where in empty) / mean_of(seen, (0.38, 0.55), (0.4, 0.65))

    assert background(2) < 0.7 * background(1)


def held_out_errors(path, **settings):
    config = load_config({"binning.spokes_per_frame": N_SPOKES, **settings})
    kspace = read_slice(path, "dataset", 0, config)
    rows = compare(kspace, ["gridding", "cg_sense"], config).rows
    return {row.method: row.scores["held_out_error"] for row in rows}


def test_cg_sense_predicts_held_out_spokes_better_than_gridding(heart):
    errors = held_out_errors(heart)
    assert errors["cg_sense"] < 0.9 * errors["gridding"]


def test_that_takes_a_field_of_view_as_wide_as_the_body(heart):
    fixed = held_out_errors(heart, field_of_view_scale=1.0)
    assert held_out_errors(heart)["cg_sense"] < 0.8 * fixed["cg_sense"]
