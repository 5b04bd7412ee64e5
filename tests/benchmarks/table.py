"""Results on the terminal."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks.machine import Floor, Machine
from tests.benchmarks.timing import Entry


@dataclass(frozen=True)
class Target:
    """A number that is to be reached."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return (operator.ge if self.at_least else operator.le)(self.value, self.limit)

    def __str__(self) -> str:
        sign, met = "≥" if self.at_least else "≤", "[green]met" if self.is_met else "[red]missed"
        return f"target: {self.what} {sign} {self.limit:.3g}: {self.value:.3g} {met}[/]"


class Reporter:
    """Prints what was measured, and counts the targets."""

    def __init__(self, console: Console, machine: Machine, limit_s: float) -> None:
        self.console, self.machine = console, machine
        self.limit_s = limit_s
        """How long the rounds of one race may take."""
        self.targets: list[Target] = []

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def show(
        self, title: str, entries: Sequence[Entry], floor: Floor | None, targets: Sequence[Target] = ()
    ) -> None:
        """A table of a race; ratios and floor refer to the first entry, which is ours."""
        ours = entries[0]
        table = Table(title=f"{title}; rounds: {len(ours.durations)}", title_justify="left")
        table.add_column("", no_wrap=True)
        for heading in ("median ms", "range ms", "x ours", "CPU ms", "own ms", *ours.errors, "peak MiB"):
            table.add_column(heading, justify="right", no_wrap=True)
        for entry in entries:
            table.add_row(*_cells(entry, ours))
        self.console.print(table)
        if floor:
            self.show_floor(floor, ours.wall_s)
        self.judge(targets)

    def judge(self, targets: Sequence[Target]) -> None:
        """Say which targets are met."""
        for target in targets:
            self.say(str(target))
        self.targets.extend(targets)
        self.say("")

    def show_floor(self, floor: Floor, seconds: float) -> None:
        """The floor, and how far from it these seconds of ours are."""
        floor_s = self.machine.floor_s(floor)
        self.say(
            f"floor: {_ms(floor_s)} ms ({floor.fft_flop / 1e9:.3g} GFLOP in FFTs, "
            f"{floor.other_flop / 1e9:.3g} GFLOP besides, {floor.moved_bytes / 1e6:.3g} MB); "
            f"we take {seconds / floor_s:.1f} times that"
        )


def _cells(entry: Entry, ours: Entry) -> list[str]:
    return [
        entry.name,
        _ms(entry.wall_s),
        f"{_ms(min(entry.walls))}-{_ms(max(entry.walls))}",
        f"{entry.ratio_to(ours):.2f}",
        _ms(entry.cpu_s),
        _ms(median(entry.owns)) if entry.owns else "",
        *(f"{error:.2g}" if error < 0.01 else f"{error:.4f}" for error in entry.errors.values()),
        f"{entry.memory_mb:.0f}",
    ]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.{1 if seconds < 0.1 else 0}f}"
