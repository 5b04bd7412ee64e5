"""Curves of a fit as line charts, in the units of an SVG's view box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from python_recon.data import ImageSeries

WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 58, 468, 12, 168
"""Edges of the plot within the picture."""
_SPAN_FOR_LOG = 10.0
"""Largest over smallest value from which the axis is logarithmic."""
_NAMES = {"losses": "Loss", "held_out": "Error of the held-out spokes"}
"""Curves among the details of a series, and what a reader should see."""


@dataclass(frozen=True)
class Tick:
    """A line of the grid and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One curve over the steps of a fit."""

    axis: str
    """What runs along it."""

    title: str
    summary: str
    """For those who cannot see it."""
    points: str
    """Of the polyline, as SVG wants them."""
    least: tuple[float, float]
    """Where the smallest value lies."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def charts_of(series: ImageSeries) -> list[Chart]:
    """The curves that the details hold; none for methods that are no fits."""
    curves = {title: _numbers(series.details.get(key)) for key, title in _NAMES.items()}
    steps = _numbers(series.details.get("judged_at"))
    return [_chart(title, values, steps) for title, values in curves.items() if len(values)]


def _numbers(values: Any) -> np.ndarray:
    """(judgement,) numbers; none where fewer than two can be drawn."""
    is_list = isinstance(values, Sequence) and all(isinstance(value, int | float) for value in values)
    numbers = np.array(values if is_list else [], float)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers if np.isfinite(numbers).sum() > 1 else np.zeros(0)


def _chart(title: str, values: np.ndarray, steps: np.ndarray) -> Chart:
    axis = _Axis.of(values)
    has_steps = len(steps) == len(values)
    across = _Across(steps if has_steps else np.arange(1.0, len(values) + 1))
    x = across.place(across.values)
    y = axis.place(values)
    best = int(np.nanargmin(values))
    return Chart(
        axis="step" if has_steps else "judgement",
        title=title + (", logarithmic" if axis.is_log else ""),
        summary=f"{title}: from {values[0]:.3g} to {values[-1]:.3g}, least {values[best]:.3g}",
        points=" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b)),
        least=(float(x[best]), float(y[best])),
        x_ticks=[Tick(float(across.place(tick)), f"{tick:.0f}") for tick in across.ticks],
        y_ticks=[
            Tick(float(axis.place(tick)), label)
            for tick, label in zip(axis.ticks, _labels(axis.ticks), strict=True)
        ],
    )


@dataclass(frozen=True)
class _Axis:
    """The vertical axis."""

    ticks: np.ndarray
    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: np.ndarray) -> _Axis:
        from matplotlib.ticker import LogLocator, MaxNLocator

        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        is_log = low > 0 and high / low >= _SPAN_FOR_LOG
        subdivisions = (1.0, 2.0, 5.0) if is_log and high / low < _SPAN_FOR_LOG**2 else (1.0,)
        locator = LogLocator(subs=subdivisions) if is_log else MaxNLocator(4)
        ticks = np.asarray(locator.tick_values(low, high))
        below, above = ticks[ticks <= low].max(initial=ticks[0]), ticks[ticks >= high].min(initial=ticks[-1])
        ticks = ticks[(ticks >= below) & (ticks <= above)]
        return cls(ticks, min(low, ticks[0]), max(high, ticks[-1]), is_log)

    def place(self, values: Any) -> Any:
        """Height in the picture."""
        scale: Any = np.log10 if self.is_log else np.asarray
        bottom, top = scale(self.low), scale(self.high)
        return BOTTOM - (scale(values) - bottom) / ((top - bottom) or 1.0) * (BOTTOM - TOP)


@dataclass(frozen=True)
class _Across:
    """The horizontal axis: the values (judgement,) at which a fit was judged."""

    values: np.ndarray

    @property
    def ticks(self) -> np.ndarray:
        """Whole numbers that are written below it."""
        from matplotlib.ticker import MaxNLocator

        first, last = self.values[0], self.values[-1]
        ticks = np.asarray(MaxNLocator(6, integer=True).tick_values(first, last))
        return ticks[(ticks >= first) & (ticks <= last)]

    def place(self, values: Any) -> Any:
        """Distance from the left edge of the picture."""
        first, last = self.values[0], self.values[-1]
        return LEFT + (values - first) / ((last - first) or 1.0) * (RIGHT - LEFT)


def _labels(ticks: np.ndarray) -> list[str]:
    """Numbers with as many digits as tell them apart."""
    for digits in range(3, 12):
        labels = [f"{tick:.{digits}g}" for tick in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels
