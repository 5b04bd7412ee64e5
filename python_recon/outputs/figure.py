"""The figure of a comparison: frames, error maps and time profiles, a column a method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from python_recon.metrics import time_profiles
from python_recon.outputs.grey import window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from python_recon.comparison import Comparison, Row

ERROR_FACTOR = 5
"""Error maps are shown so many times brighter than the images."""

_COLUMN_INCHES = 2.3
_PROFILE_HEIGHT = 0.6
"""Height of a time profile, in widths of a column."""


def write_figure(comparison: Comparison, path: Path) -> Path:
    """Write the figure; the ending of ``path`` (png, pdf, svg) says the format.

    A column for the truth, where there is one, and for every method that gave images. Rows are the frame that
    differs most from the mean of the series, its error (with a truth), and the comparison's horizontal and
    vertical line over time. All images share the window of the first column.

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    from matplotlib.figure import Figure

    columns = _columns(comparison)
    if not columns:
        raise ValueError("no method gave images: there is nothing to draw")
    first = next(iter(columns.values()))
    frame = _most_unusual_frame(first)
    rows = _rows(comparison, columns, frame)
    heights = [first.shape[1] / first.shape[2] if row.is_image else _PROFILE_HEIGHT for row in rows]
    size = (_COLUMN_INCHES * len(columns) + 0.4, _COLUMN_INCHES * sum(heights) + 1.6)
    figure = Figure(figsize=size, dpi=200, layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for row, panels in zip(rows, axes, strict=True):
        panels[0].set_ylabel(row.label, fontsize=9)
        for panel, picture in zip(panels, row.pictures, strict=True):
            aspect = "equal" if row.is_image else "auto"
            panel.imshow(
                picture, row.colours, aspect=aspect, interpolation="nearest", vmin=0, vmax=row.brightest
            )
            panel.set(xticks=[], yticks=[])
    by_method = {row.method: row for row in comparison.rows}
    for name, panel in zip(columns, axes[0], strict=True):
        panel.set_title(_heading(name, by_method), fontsize=9)
    _mark(axes[0][0], comparison.point)
    notes = textwrap.fill(" ".join(comparison.notes), int(size[0] * 17))
    figure.supxlabel(notes, fontsize=7, x=0.02, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _columns(comparison: Comparison) -> dict[str, np.ndarray]:
    truth = {} if comparison.truth is None else {"truth": comparison.truth}
    return truth | dict(comparison.images)


@dataclass(frozen=True)
class _PictureRow:
    """Pictures of one kind, one for every column."""

    label: str
    pictures: list[np.ndarray]
    brightest: float
    colours: str = "gray"
    is_image: bool = False
    """Both axes are space: pixels are square."""


def _rows(comparison: Comparison, columns: Mapping[str, np.ndarray], frame: int) -> list[_PictureRow]:
    brightest = window_of(next(iter(columns.values()))).high
    y, x = comparison.point
    frames = [series[frame] for series in columns.values()]
    rows = [_PictureRow(f"frame {frame}", frames, brightest, is_image=True)]
    if comparison.truth is not None:
        errors = [np.abs(image - comparison.truth[frame]) for image in frames]
        label, white = f"error × {ERROR_FACTOR}", brightest / ERROR_FACTOR
        rows.append(_PictureRow(label, errors, white, "inferno", is_image=True))
    # Row labels are read upwards: an arrow to the left points down.
    along_x = [time_profiles(series, y=y) for series in columns.values()]
    along_y = [time_profiles(series, x=x).T for series in columns.values()]
    rows.append(_PictureRow("← time   (x →)", along_x, brightest))
    rows.append(_PictureRow("← y   (time →)", along_y, brightest))
    return rows


def _most_unusual_frame(images: np.ndarray) -> int:
    return int(np.argmax(np.linalg.norm((images - images.mean(axis=0)).reshape(len(images), -1), axis=1)))


def _heading(name: str, rows: Mapping[str, Row]) -> str:
    if name not in rows:
        return f"{name}\n\n"
    scores, usage = rows[name].scores, rows[name].usage
    quality = {
        "NRMSE": scores.get("nrmse"),
        "SSIM": scores.get("ssim"),
        "held-out error": scores.get("held_out_error"),
    }
    numbers = ", ".join(f"{title} {value:.3f}" for title, value in quality.items() if value is not None)
    return f"{name}\n{numbers}\n{usage.seconds:.1f} s" if usage else f"{name}\n{numbers}\n"


def _mark(panel: Axes, point: tuple[int, int]) -> None:
    y, x = point
    for draw, position in ((panel.axhline, y), (panel.axvline, x)):
        draw(position, color="#ffb000", linewidth=0.7, linestyle=(0, (4, 4)))
