"""Dockerfiles, read."""

from __future__ import annotations

import json
import re
from pathlib import Path

CONTINUED = re.compile(r"\\\n")


class Dockerfile:
    """The instructions of a Dockerfile in their order, continued lines joined."""

    def __init__(self, path: Path) -> None:
        text = CONTINUED.sub(" ", path.read_text())
        lines = (line.strip() for line in text.splitlines())
        self.lines = [" ".join(line.split()) for line in lines if line and not line.startswith("#")]

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
