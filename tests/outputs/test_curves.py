from __future__ import annotations

import numpy as np
import pytest

from python_recon.data import ImageSeries
from python_recon.outputs.curves import BOTTOM, LEFT, RIGHT, TOP, charts_of


def charts(**details):
    return charts_of(ImageSeries(np.zeros((1, 2, 2), np.complex64), "nik", 2, details=details))


def points(chart):
    return np.array([[float(number) for number in pair.split(",")] for pair in chart.points.split()])


def test_a_curve_stands_where_its_axis_says():
    (chart,) = charts(losses=[4.0, 3.0, 2.0, 2.5])
    places = points(chart)
    np.testing.assert_allclose(places[:, 0], np.linspace(LEFT, RIGHT, 4), atol=0.1)
    ticks = {tick.label: tick.at for tick in chart.y_ticks}
    assert (ticks["2"], ticks["4"]) == pytest.approx((BOTTOM, TOP))
    np.testing.assert_allclose(places[:, 1], np.interp([4, 3, 2, 2.5], [2, 4], [BOTTOM, TOP]), atol=0.1)
    assert chart.least == pytest.approx(tuple(places[2]), abs=0.1)
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3", "4"]


def test_a_wide_range_is_logarithmic():
    (chart,) = charts(losses=[100.0, 10.0, 1.0])
    assert chart.title == "Loss, logarithmic"
    heights = points(chart)[:, 1]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert [tick.label for tick in chart.y_ticks] == ["1", "10", "100"]


def test_both_curves_are_drawn_and_fits_without_a_judge_have_one():
    titles = [chart.title for chart in charts(losses=[2.0, 1.0], held_out=[0.5, 0.4])]
    assert titles == ["Loss", "Error of the held-out spokes"]
    assert len(charts(losses=[2.0, 1.0], held_out=[])) == 1


def test_labels_differ_where_values_do():
    (chart,) = charts(losses=[0.41312, 0.41309, 0.41303])
    labels = [tick.label for tick in chart.y_ticks]
    assert len(set(labels)) == len(labels) > 2


def test_the_axis_counts_steps_where_they_are_known():
    (chart,) = charts(losses=[4.0, 3.0, 2.0], judged_at=[100, 200, 250])
    assert chart.axis == "step"
    np.testing.assert_allclose(
        points(chart)[:, 0], np.interp([100, 200, 250], [100, 250], [LEFT, RIGHT]), atol=0.1
    )
    assert {"100", "250"} >= {tick.label for tick in chart.x_ticks} & {"100", "250"} != set()
    assert charts(losses=[4.0, 3.0])[0].axis == "judgement"


@pytest.mark.parametrize("losses", [[3.0, 3.0, 3.0], [0.0, 5.0], [-1.0, 1.0], [2.0, np.nan, 1.0, np.inf]])
def test_any_numbers_stay_within_the_picture(losses):
    (chart,) = charts(losses=losses)
    places = points(chart)
    assert len(places) == np.isfinite(losses).sum()
    assert (places[:, 0] >= LEFT).all()
    assert (places[:, 0] <= RIGHT).all()
    assert (places[:, 1] >= TOP - 0.1).all()
    assert (places[:, 1] <= BOTTOM + 0.1).all()


@pytest.mark.parametrize("losses", [[], [1.0], 0.5, "converged", [np.nan, np.nan, 1.0], ["a", "b"], None])
def test_what_is_no_curve_is_not_drawn(losses):
    assert charts(losses=losses) == []
