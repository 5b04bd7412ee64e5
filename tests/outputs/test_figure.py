from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from python_recon.comparison import Comparison, Row
from python_recon.outputs.figure import write_figure
from python_recon.usage import Usage

INFERNO_WHITE = (252, 255, 164)


@pytest.fixture
def comparison(beating_disc):
    truth = np.abs(beating_disc).astype(np.float64)
    rows = (
        Row("gridding", Usage(1.25, 20.0, 0.0), {"nrmse": 0.25, "ssim": 0.5}),
        Row("grasp", None, {}, "ran out of time"),
    )
    return Comparison(rows, {"gridding": truth}, truth, (14, 30), ("Scaled to the truth.",))


def labels(comparison, tmp_path):
    """Texts of the figure, which matplotlib's SVG keeps as comments."""
    return write_figure(comparison, tmp_path / "new" / "figure.svg").read_text(encoding="utf-8")


def test_columns_rows_and_notes_are_labelled(comparison, tmp_path):
    text = labels(comparison, tmp_path)
    for label in (
        "truth",
        "gridding",
        "NRMSE 0.250, SSIM 0.500",
        "1.2 s",
        "error × 5",
        "Scaled to the truth.",
    ):
        assert f"<!-- {label} -->" in text or label in text
    assert "grasp" not in text


def test_without_a_truth_there_is_no_error_map(comparison, tmp_path):
    row = Row("gridding", Usage(1.25, 20.0, 0.0), {"held_out_error": 0.375})
    text = labels(replace(comparison, truth=None, rows=(row,)), tmp_path)
    assert "held-out error 0.375" in text
    assert "error × 5" not in text
    assert "truth -->" not in text


@pytest.mark.parametrize(("share", "is_saturated"), [(0.22, True), (0.15, False)])
def test_error_map_is_white_from_a_fifth_of_the_image_white(comparison, tmp_path, share, is_saturated):
    white = np.percentile(comparison.truth, 99.5)
    spoilt = comparison.truth.copy()
    spoilt[:, 30:36, 5:12] += share * white
    path = write_figure(replace(comparison, images={"gridding": spoilt}), tmp_path / "figure.png")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (np.abs(pixels.astype(int) - INFERNO_WHITE).max(axis=-1) <= 2).any() == is_saturated


def test_nothing_to_draw_is_an_error(comparison, tmp_path):
    with pytest.raises(ValueError, match="nothing to draw"):
        write_figure(replace(comparison, images={}, truth=None), tmp_path / "figure.png")
