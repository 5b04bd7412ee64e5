from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from python_recon.evaluation.comparison import Comparison, Row, Sampling
from python_recon.outputs.figure import write_figure
from python_recon.resources.usage import Usage

INFERNO_WHITE = (252, 255, 164)


@pytest.fixture
def comparison(beating_disc):
    truth = np.abs(beating_disc).astype(np.float64)
    rows = (
        Row("gridding", Usage(1.25, 20.0, 0.0), {"psnr": 21.54, "ssim": 0.5}),
        Row("grasp", None, {}, "ran out of time"),
    )
    return Comparison(rows, {"gridding": truth}, truth, (14, 30), Sampling(10, "14", "14", None))


@pytest.fixture
def halved(comparison):
    """The same at 7 spokes a frame, where grasp gave images, too."""
    images = {"gridding": 0.9 * comparison.truth, "grasp": 0.8 * comparison.truth}
    rows = tuple(Row(name, Usage(1.0, 2.0, 0.0), {"psnr": 18.25, "ssim": 0.25}) for name in images)
    return replace(comparison, rows=rows, images=images, sampling=Sampling(10, "14", "7", None))


def labels(blocks, tmp_path, notes=()):
    """Texts of the figure, which matplotlib's SVG keeps as comments."""
    text = write_figure(blocks, tmp_path / "new" / "figure.svg", notes).read_text(encoding="utf-8")
    return " ".join(text.split())


def pixels(blocks, tmp_path):
    path = write_figure(blocks, tmp_path / "figure.png")
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_columns_rows_and_notes_are_labelled(comparison, tmp_path):
    text = labels([comparison], tmp_path, ["A factor for the series."])
    for label in ("truth", "gridding", "21.5 dB, SSIM 0.500", "error × 5", "x–t", "y–t"):
        assert f"<!-- {label} -->" in text
    assert "24 × 20 pixels" in text, "half of the field of view"
    assert "factor" in text
    assert "grasp" not in text
    assert "spokes a frame" not in text


def test_a_block_for_every_number_of_spokes(comparison, halved, tmp_path):
    text = labels([comparison, halved], tmp_path)
    for label in ("14 spokes a frame", "7 spokes a frame", "21.5 dB, SSIM 0.500", "18.2 dB, SSIM 0.250"):
        assert f"<!-- {label} -->" in text
    assert text.count("<!-- gridding -->") == 1, "columns are named once"
    assert text.count("<!-- no images -->") == 4, "in every row of the block where grasp failed"


def test_blocks_are_stacked_and_methods_side_by_side(comparison, halved, tmp_path):
    one, two = pixels([halved], tmp_path), pixels([halved, halved], tmp_path)
    three = pixels([halved, halved, halved], tmp_path)
    narrower = pixels([comparison, comparison], tmp_path)
    assert three.shape[0] - two.shape[0] == pytest.approx((two.shape[0]) / 2, rel=0.2)
    assert narrower.shape[1] < two.shape[1] < one.shape[1]


def test_without_a_truth_there_is_no_error_map(comparison, tmp_path):
    row = Row("gridding", Usage(1.25, 20.0, 0.0), {"held_out_error": 0.375})
    text = labels([replace(comparison, truth=None, rows=(row,))], tmp_path)
    assert "held-out error 0.375" in text
    assert "error × 5" not in text
    assert "truth -->" not in text


def count_of_white(picture):
    return int((np.abs(picture - INFERNO_WHITE).max(axis=-1) <= 2).sum())


@pytest.mark.parametrize(("share", "is_saturated"), [(0.22, True), (0.15, False)])
def test_error_map_is_white_from_a_fifth_of_the_image_white(comparison, tmp_path, share, is_saturated):
    white = np.percentile(comparison.truth, 99.5)
    spoilt = comparison.truth.copy()
    spoilt[:, 10:16, 26:32] += share * white
    scale_alone = count_of_white(pixels([comparison], tmp_path))
    found = count_of_white(pixels([replace(comparison, images={"gridding": spoilt})], tmp_path))
    assert (found > scale_alone + 1000) == is_saturated


def test_the_place_that_moves_is_shown_also_at_the_edge(comparison, tmp_path):
    for point in ((0, 47), (39, 0)):
        text = labels([replace(comparison, point=point)], tmp_path)
        assert "24 × 20 pixels" in text


def test_nothing_to_draw_is_an_error(comparison, tmp_path):
    with pytest.raises(ValueError, match="nothing to draw"):
        write_figure([replace(comparison, images={})], tmp_path / "figure.png")
    with pytest.raises(ValueError, match="nothing to draw"):
        write_figure([], tmp_path / "figure.png")
