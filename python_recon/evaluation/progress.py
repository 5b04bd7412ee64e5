"""Progress of work that is a part of longer work."""

from __future__ import annotations

from python_recon.schedule import ProgressReport


def part_of(report: ProgressReport, index: int, total: int, label: str = "") -> ProgressReport:
    """A report for part ``index`` of ``total`` equal ones, which puts ``label`` before every stage."""

    def inner(stage: str, done: float) -> None:
        # A method may call its only stage by its own name.
        words = dict.fromkeys(word for word in (label, stage) if word)
        report(", ".join(words), (index + min(done, 1.0)) / total)

    return inner
