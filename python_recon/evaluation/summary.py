"""Cases put together: mean and spread over repeats, the table, all numbers as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from python_recon.evaluation.comparison import Comparison, Row
from python_recon.evaluation.notes import notes_on
from python_recon.evaluation.runs import Case
from python_recon.evaluation.table import Summary, Table


@dataclass(frozen=True)
class Evaluation:
    """Everything that an evaluation found out."""

    cases: Sequence[Case]

    @property
    def has_images(self) -> bool:
        """Whether any method gave images."""
        return any(row.usage is not None for case in self.cases for row in case.comparison.rows)

    @property
    def notes(self) -> list[str]:
        """What was compared and how, for the reader of the numbers."""
        return notes_on(self.cases)

    def blocks(self) -> dict[str, list[Comparison]]:
        """What ``outputs.figure.write_figure`` draws of each scan: its first repeat, where images came."""
        drawn: dict[str, list[Comparison]] = {}
        for case in self.cases:
            if case.comparison.images:
                drawn.setdefault(case.scan, []).append(case.comparison)
        return drawn

    def summaries(self) -> list[Summary]:
        """Method by method within spokes within scans, in the order of the cases."""
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for case in self.cases:
            for row in case.comparison.rows:
                key = (case.scan, case.comparison.sampling.kept, row.method)
                groups.setdefault(key, []).append(row)
        scans = {case.scan: None for case in self.cases}
        return [_summary(key, groups[key]) for scan in scans for key in groups if key[0] == scan]

    def as_table(self) -> Table:
        """The scores that papers print; the best mean of each scan and number of spokes is marked."""
        return Table.of(self.summaries())

    def as_json(self) -> dict[str, Any]:
        """All numbers, without the images."""
        rows = [
            {"scan": case.scan, "repeat": case.repeat, "spokes": case.comparison.sampling.kept, **asdict(row)}
            for case in self.cases
            for row in case.comparison.rows
        ]
        cases = [
            {
                "scan": case.scan,
                "repeat": case.repeat,
                **asdict(case.comparison.sampling),
                "point": list(case.comparison.point),
            }
            for case in self.cases
        ]
        return {
            "normalisation": self.cases[0].comparison.normalisation if self.cases else None,
            "rows": rows,
            "summary": [asdict(summary) for summary in self.summaries()],
            "cases": cases,
            "notes": self.notes,
        }


def _summary(key: tuple[str, str, str], rows: Sequence[Row]) -> Summary:
    good = [row for row in rows if row.usage is not None]
    values: dict[str, list[float]] = {}
    for row in good:
        for name, value in {**row.scores, **asdict(row.usage)}.items():  # type: ignore[arg-type]
            values.setdefault(name, []).append(value)
    return Summary(
        *key,
        n_repeats=len(good),
        means={name: float(np.mean(found)) for name, found in values.items()},
        spreads={name: float(np.std(found, ddof=1)) for name, found in values.items() if len(found) > 1},
        comment=_comment(row.comment for row in rows),
    )


def _comment(comments: Iterable[str]) -> str:
    """Every comment once, with how many of the repeats it holds for where that is not all of them."""
    counts = Counter(comments)
    total = counts.total()
    return "; ".join(
        text if count == total else f"{text} ({count} of {total})" for text, count in counts.items() if text
    )
