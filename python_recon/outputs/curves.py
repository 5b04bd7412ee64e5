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
    """One curve over the judgements of a fit."""

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
    return [_chart(title, values) for title, values in curves.items() if len(values)]


def _numbers(values: Any) -> np.ndarray:
    """(judgement,) numbers; none where fewer than two can be drawn."""
    is_list = isinstance(values, Sequence) and all(isinstance(value, int | float) for value in values)
    numbers = np.array(values if is_list else [], float)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers if np.isfinite(numbers).sum() > 1 else np.zeros(0)


def _chart(title: str, values: np.ndarray) -> Chart:
    axis = _Axis.of(values)
    x = np.linspace(LEFT, RIGHT, len(values))
    y = axis.place(values)
    best = int(np.nanargmin(values))
    return Chart(
        title=title + (", logarithmic" if axis.is_log else ""),
        summary=f"{title}: from {values[0]:.3g} to {values[-1]:.3g}, least {values[best]:.3g}",
        points=" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b)),
        least=(float(x[best]), float(y[best])),
        x_ticks=[Tick(float(x[number - 1]), str(number)) for number in _judgements(len(values))],
        y_ticks=[Tick(float(axis.place(tick)), f"{tick:.3g}") for tick in axis.ticks],
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


def _judgements(count: int) -> list[int]:
    """Numbers, from 1, that are written below the axis."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(6, integer=True).tick_values(1, count)
    return [int(tick) for tick in ticks if 1 <= tick <= count]
