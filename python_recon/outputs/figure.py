"""The figure of a comparison: a column a method, and a block of rows for every number of spokes a frame."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from python_recon.evaluation.liveliest import quietest
from python_recon.evaluation.metrics import time_profiles
from python_recon.outputs.grey import window_of
from python_recon.outputs.notice import NOTICE
from python_recon.resources.new_files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from python_recon.evaluation.comparison import Comparison, Row

ERROR_FACTOR = 5
"""Error maps are shown so many times brighter than the images."""

_TRUTH = "truth"
_COLUMN_INCHES, _NARROW_COLUMN_INCHES = 2.1, 1.3
"""Width of a column, and where there are several blocks."""
_PROFILE_HEIGHT = 0.42
"""Height of a time profile, in widths of a column."""
_LEFT, _TOP, _GAP, _HEADING, _BLOCK_GAP = 0.42, 0.22, 0.03, 0.19, 0.08
"""Inches: margins, between panels, for the numbers above a block, between blocks."""
_LINE, _LETTERS_PER_INCH = 0.12, 19
"""Height and width of the notes."""
_DPI = 200


def write_figure(blocks: Sequence[Comparison], path: Path, notes: Sequence[str] = ()) -> Path:
    """Write the figure; the ending of ``path`` (png, pdf, svg) says the format.

    A column for the truth, where there is one, and for every method that gave images. A block of rows for
    every comparison: the frame that differs most from the mean of the series (none of the outermost), its
    error (with a truth), and a horizontal and a vertical line over time. Half of the field of view is shown,
    around the place that moves most. Place, frame and lines are those of the first block; all images of a
    block share the window of its first column.

    Parameters
    ----------
    blocks
        Comparisons of one scan, from its full number of spokes down.
    notes
        Sentences for the reader, below the images.

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    from matplotlib.figure import Figure

    blocks = [block for block in blocks if block.images]
    if not blocks:
        raise ValueError("no method gave images: there is nothing to draw")
    columns = list(dict.fromkeys(name for block in blocks for name in _pictures(block)))
    view = _View.of(blocks[0])
    page = _Page(len(columns), [_row_heights(block, view) for block in blocks], len(blocks) > 1)
    text = textwrap.wrap(
        " ".join([NOTICE, _legend(view, blocks[0]), *notes]), int((page.width - _LEFT) * _LETTERS_PER_INCH)
    )
    height = page.height + _LINE * (len(text) + 1)
    figure = Figure(figsize=(page.width, height), dpi=_DPI)
    for number, block in enumerate(blocks):
        panels = page.panels(figure, number, height)
        _draw_block(panels, block, columns, view)
        _label_block(figure, panels, block, is_only=len(blocks) == 1)
        if number == 0:
            _name_columns(figure, panels[0], columns)
            _mark(panels[0][0], view)
    figure.text(_LEFT / page.width, _LINE / 2 / height, "\n".join(text), fontsize=6.5, va="bottom")
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        figure.savefig(part, format=path.suffix.removeprefix(".") or "png")
    return path


@dataclass(frozen=True)
class _View:
    """What is shown of every series."""

    frame: int
    point: tuple[int, int]
    """Pixel (y, x) where the lines of the profiles cross."""
    rows: slice
    columns: slice

    @classmethod
    def of(cls, comparison: Comparison) -> _View:
        pictures = list(_pictures(comparison).values())
        images = pictures[0] if comparison.truth is not None else pictures[quietest(pictures)]
        around = zip(comparison.point, images.shape[1:], strict=True)
        rows, columns = (_half(centre, size) for centre, size in around)
        shown = images[:, rows, columns]
        deviation = np.linalg.norm((shown - shown.mean(axis=0)).reshape(len(shown), -1), axis=1)
        # The ends of a series have neighbours on one side only: they stand for no other frame.
        end = len(images) // 8
        frame = end + int(np.argmax(deviation[end : len(images) - end]))
        return cls(frame, comparison.point, rows, columns)

    def image(self, series: np.ndarray) -> np.ndarray:
        return series[self.frame, self.rows, self.columns]

    def over_x(self, series: np.ndarray) -> np.ndarray:
        return time_profiles(series, y=self.point[0])[:, self.columns]

    def over_y(self, series: np.ndarray) -> np.ndarray:
        return time_profiles(series, x=self.point[1])[:, self.rows].T


def _half(centre: int, size: int) -> slice:
    """Half of an axis, around ``centre`` where it fits."""
    start = min(max(0, centre - size // 4), size - size // 2)
    return slice(start, start + size // 2)


@dataclass(frozen=True)
class _Page:
    """Where the panels lie, in inches from the upper left corner."""

    n_columns: int
    heights: list[list[float]]
    """Of the rows of every block, in widths of a column."""
    is_narrow: bool

    @property
    def column(self) -> float:
        return _NARROW_COLUMN_INCHES if self.is_narrow else _COLUMN_INCHES

    @property
    def width(self) -> float:
        return _LEFT + self.n_columns * (self.column + _GAP)

    @property
    def height(self) -> float:
        return self._top(len(self.heights))

    def _top(self, block: int) -> float:
        return _TOP + sum(
            _HEADING + _BLOCK_GAP + sum(self.column * row + _GAP for row in rows)
            for rows in self.heights[:block]
        )

    def panels(self, figure: Figure, block: int, height: float) -> list[list[Axes]]:
        """Axes of a block, row by row, on a figure of that height."""
        top, panels = self._top(block) + _HEADING, []
        for row in self.heights[block]:
            inches = self.column * row
            bottom = 1 - (top + inches) / height
            lefts = [(_LEFT + n * (self.column + _GAP)) / self.width for n in range(self.n_columns)]
            size = self.column / self.width, inches / height
            panels.append([figure.add_axes((left, bottom, *size)) for left in lefts])
            top += inches + _GAP
        return panels


@dataclass(frozen=True)
class _Row:
    """Panels of one kind, one for every column; None where there is nothing to show."""

    label: str
    pictures: list[np.ndarray | None]
    brightest: float
    colours: str = "gray"


def _pictures(comparison: Comparison) -> dict[str, np.ndarray]:
    truth = {} if comparison.truth is None else {_TRUTH: comparison.truth}
    return truth | dict(comparison.images)


def _row_heights(comparison: Comparison, view: _View) -> list[float]:
    square = (view.rows.stop - view.rows.start) / (view.columns.stop - view.columns.start)
    n_images = 1 if comparison.truth is None else 2
    return [square] * n_images + [_PROFILE_HEIGHT] * 2


def _rows(comparison: Comparison, columns: Sequence[str], view: _View) -> Iterator[_Row]:
    series = [_pictures(comparison).get(name) for name in columns]
    brightest = window_of(next(each for each in series if each is not None)).high
    frames = [None if each is None else view.image(each) for each in series]
    yield _Row(f"frame {view.frame}", frames, brightest)
    if comparison.truth is not None:
        truth = view.image(comparison.truth)
        errors = [None if frame is None else np.abs(frame - truth) for frame in frames]
        errors[columns.index(_TRUTH)] = None
        yield _Row(f"error × {ERROR_FACTOR}", errors, brightest / ERROR_FACTOR, "inferno")
    yield _Row("x–t", [None if each is None else view.over_x(each) for each in series], brightest)
    yield _Row("y–t", [None if each is None else view.over_y(each) for each in series], brightest)


def _draw_block(
    panels: list[list[Axes]], comparison: Comparison, columns: Sequence[str], view: _View
) -> None:
    for row, line in zip(_rows(comparison, columns, view), panels, strict=True):
        line[0].set_ylabel(row.label, fontsize=7, labelpad=2)
        for name, panel, picture in zip(columns, line, row.pictures, strict=True):
            panel.set(xticks=[], yticks=[])
            if picture is not None:
                panel.imshow(
                    picture, row.colours, aspect="auto", interpolation="nearest", vmin=0, vmax=row.brightest
                )
            elif name == _TRUTH:
                _draw_scale(panel, row)
            else:
                panel.text(0.5, 0.5, "no images", ha="center", va="center", fontsize=7, color="0.5")
    by_method = {row.method: row for row in comparison.rows}
    for name, panel in zip(columns, panels[0], strict=True):
        panel.set_title(_numbers(by_method.get(name)), fontsize=6.5, pad=3)


def _draw_scale(panel: Axes, row: _Row) -> None:
    """The colours of the error maps, where the truth has no error."""
    panel.set_frame_on(False)
    scale = panel.inset_axes((0.1, 0.45, 0.8, 0.08))
    scale.imshow(
        np.linspace(0, 1, 256)[None], row.colours, aspect="auto", extent=(0, 100 / ERROR_FACTOR, 0, 1)
    )
    scale.set(yticks=[], xticks=np.linspace(0, 100 / ERROR_FACTOR, 3))
    scale.tick_params(labelsize=6, length=2, pad=1)
    scale.set_xlabel("% of the images' white", fontsize=6, labelpad=1)


def _name_columns(figure: Figure, panels: Sequence[Axes], columns: Sequence[str]) -> None:
    for panel, name in zip(panels, columns, strict=True):
        place = panel.get_position()
        above = place.y1 + _HEADING / figure.get_figheight()
        figure.text((place.x0 + place.x1) / 2, above, name, fontsize=9, fontweight="bold", ha="center")


def _label_block(figure: Figure, panels: list[list[Axes]], comparison: Comparison, *, is_only: bool) -> None:
    if is_only:
        return
    first, last = panels[0][0].get_position(), panels[-1][0].get_position()
    text = f"{comparison.sampling.kept} spokes a frame"
    middle = (first.y1 + last.y0) / 2
    figure.text(0.012, middle, text, rotation=90, fontsize=9, fontweight="bold", va="center", ha="left")


def _numbers(row: Row | None) -> str:
    if row is None:
        return ""
    named: Mapping[str, str] = {
        "psnr": "{:.1f} dB",
        "ssim": "SSIM {:.3f}",
        "held_out_error": "held-out error {:.3f}",
    }
    return ", ".join(text.format(row.scores[name]) for name, text in named.items() if name in row.scores)


def _legend(view: _View, comparison: Comparison) -> str:
    height, width = (part.stop - part.start for part in (view.rows, view.columns))
    return (
        f"Shown: {width} × {height} pixels around the place that moves most, in frame {view.frame}, and "
        f"the dashed lines over all {comparison.sampling.n_frames} frames (x–t: time runs down; y–t: to the "
        "right)."
    )


def _mark(panel: Axes, view: _View) -> None:
    y, x = view.point
    for draw, position in ((panel.axhline, y - view.rows.start), (panel.axvline, x - view.columns.start)):
        draw(position, color="#ffb000", linewidth=0.7, linestyle=(0, (4, 4)))
