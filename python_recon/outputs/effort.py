"""What a reconstruction took: time by stage, and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from python_recon.data import ImageSeries
from python_recon.outputs.series import title

_STAGES = {"seconds_preparation": "preparation", "seconds_coil_maps": "coil maps", "seconds_method": "method"}
_PEAKS = {"peak_memory_mib": "process", "peak_device_mib": "GPU"}
"""Details of a series, and what a reader should see."""


@dataclass(frozen=True)
class Row:
    """A line of a table, with a bar as long as its share of the largest."""

    name: str
    value: str
    percent: float


def milestone_rows(milestones: Mapping[str, float]) -> list[Row]:
    """What was reached when, in seconds from the start, in the order in which it was."""
    return _rows(dict(sorted(milestones.items(), key=lambda item: item[1])), "{:.2f}")


def stage_rows(joined: Sequence[ImageSeries]) -> list[Row]:
    """Seconds of each stage of each series, where they are known; a preview's are those of all its frames."""
    return _rows(_told(joined, _STAGES), "{:.2f}")


def memory_rows(joined: Sequence[ImageSeries]) -> list[Row]:
    """Peak of the process that reconstructed, and of its GPU, up to the end of each series (MiB)."""
    return _rows(_told(joined, _PEAKS), "{:.0f}")


def _told(joined: Sequence[ImageSeries], names: Mapping[str, str]) -> dict[str, float]:
    """Those details of the series that are named, where they are known."""
    return {
        f"{title(each)}: {name}": float(each.details[key])
        for each in joined
        for key, name in names.items()
        if key in each.details
    }


def _rows(values: Mapping[str, float], form: str) -> list[Row]:
    largest = max(values.values(), default=0.0) or 1.0
    return [Row(name, form.format(value), round(100 * value / largest, 1)) for name, value in values.items()]
