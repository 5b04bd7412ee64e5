"""Dockerfiles, read."""

from __future__ import annotations

import json
import re
from pathlib import Path

CONTINUED = re.compile(r"\\\n")


class Dockerfile:
    """The instructions of a Dockerfile in their order, continued lines joined; those that a target needs."""

    def __init__(self, path: Path, target: str = "") -> None:
        text = CONTINUED.sub(" ", path.read_text())
        lines = (line.strip() for line in text.splitlines())
        lines = [" ".join(line.split()) for line in lines if line and not line.startswith("#")]
        self.lines = _needed(lines, target) if target else lines

    def values(self, instruction: str) -> list[str]:
        """What stands behind an instruction, everywhere it occurs."""
        return [line.split(" ", 1)[1] for line in self.lines if line.split(" ", 1)[0] == instruction]

    def words(self, instruction: str) -> list[str]:
        """The words of the last such instruction in exec form."""
        return json.loads(self.values(instruction)[-1])

    @property
    def health_check(self) -> list[str]:
        (check,) = self.values("HEALTHCHECK")
        return json.loads(check.partition("CMD ")[2])


def _needed(lines: list[str], target: str) -> list[str]:
    """The lines before the first stage, and those of the stages that a target is made from."""
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    stages = {
        lines[start].partition(" AS ")[2]: lines[start:end]
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    }
    needed, asked = set(), [target]
    while asked:
        name = asked.pop()
        needed.add(name)
        words = " ".join(stages[name]).replace("--from=", " ").split()
        asked += [word for word in words if word in stages and word not in needed]
    return [*lines[: starts[0]], *(line for name in stages if name in needed for line in stages[name])]
