"""The table of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_NOTHING = "–"


class _Column(NamedTuple):
    title: str
    digits: int
    best: int = 0
    """1: the largest value is the best, -1: the smallest, 0: none is marked."""


_COSTS = {
    "seconds": _Column("Time (s)", 2),
    "peak_memory_mb": _Column("Memory (MB)", 0),
    "peak_device_mb": _Column("Device (MB)", 0),
}
_SCORES = {
    "psnr": _Column("PSNR (dB)", 2, 1),
    "ssim": _Column("SSIM", 3, 1),
    "nrmse": _Column("NRMSE", 3, -1),
    "fsim": _Column("FSIM", 3, 1),
    "psnr_profiles": _Column("PSNR x-t, y-t", 2, 1),
    "edge_widening": _Column("Edges (frames)", 2),
    "fsim_xt": _Column("FSIM x-t", 3, 1),
    "fsim_yt": _Column("FSIM y-t", 3, 1),
    "lpips": _Column("LPIPS", 3, -1),
    "held_out_error": _Column("Held-out error", 4, -1),
    "expected_error": _Column("Expected error", 4),
}


@dataclass(frozen=True)
class Summary:
    """One method on all repeats of a scan at one number of spokes."""

    scan: str
    spokes: str
    method: str
    n_repeats: int
    """Those that gave images."""
    means: Mapping[str, float]
    """By the name of the score, and ``seconds``, ``peak_memory_mb`` and ``peak_device_mb``."""
    spreads: Mapping[str, float]
    """Standard deviations over the repeats (of the sample); empty for fewer than two."""
    comment: str = ""


@dataclass(frozen=True)
class Table:
    """Text in columns."""

    header: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]]
    """(row, column) of the cells that are the best of their group."""
    ends: frozenset[int]
    """Rows that end a group: one scan at one number of spokes."""

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> Table:
        """A row for every summary. Columns that would say the same or nothing everywhere are left out."""
        labels = {
            title: [getattr(summary, name) for summary in summaries]
            for title, name in (("Scan", "scan"), ("Spokes", "spokes"))
            if len({getattr(summary, name) for summary in summaries}) > 1
        }
        labels["Method"] = [summary.method for summary in summaries]
        columns = _shown(summaries)
        rows = [
            [
                *(texts[number] for texts in labels.values()),
                *(_value(summary, name, column) for name, column in columns.items()),
                summary.comment,
            ]
            for number, summary in enumerate(summaries)
        ]
        groups = [(summary.scan, summary.spokes) for summary in summaries]
        return cls(
            header=[*labels, *(column.title for column in columns.values()), "Remarks"],
            rows=rows,
            best=_best(summaries, columns, offset=len(labels)),
            ends=frozenset(
                row for row, group in enumerate(groups) if row + 1 == len(groups) or groups[row + 1] != group
            ),
        )

    def as_markdown(self) -> str:
        """The table for a notebook or a page, the best values in bold."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        body = [
            [f"**{cell}**" if (row, column) in self.best else cell for column, cell in enumerate(cells)]
            for row, cells in enumerate(self.rows)
        ]
        return "\n".join(line(cells) for cells in (self.header, ["---"] * len(self.header), *body)) + "\n"


def _shown(summaries: Sequence[Summary]) -> dict[str, _Column]:
    has_device = any(summary.means.get("peak_device_mb") for summary in summaries)
    costs = {name: column for name, column in _COSTS.items() if name != "peak_device_mb" or has_device}
    scores = {
        name: column
        for name, column in _SCORES.items()
        if any(name in summary.means for summary in summaries)
    }
    return costs | scores


def _value(summary: Summary, name: str, column: _Column) -> str:
    if name not in summary.means:
        return _NOTHING
    mean = f"{summary.means[name]:.{column.digits}f}"
    # Time and memory of repeats differ by what else the machine does, which is of no interest.
    if name in _COSTS or name not in summary.spreads:
        return mean
    return f"{mean} ± {summary.spreads[name]:.{column.digits}f}"


def _best(
    summaries: Sequence[Summary], columns: dict[str, _Column], offset: int
) -> frozenset[tuple[int, int]]:
    """The best mean of every group that has more than one method, ties included."""
    best = set()
    for position, (name, column) in enumerate(columns.items(), start=offset):
        groups: dict[tuple[str, str], dict[int, float]] = {}
        for row, summary in enumerate(summaries):
            if column.best and name in summary.means:
                values = groups.setdefault((summary.scan, summary.spokes), {})
                values[row] = column.best * round(summary.means[name], column.digits)
        for values in groups.values():
            if len(values) > 1:
                best |= {(row, position) for row, value in values.items() if value == max(values.values())}
    return frozenset(best)
