"""Dockerfiles, read."""

from __future__ import annotations

import json
import re
from pathlib import Path

CONTINUED = re.compile(r"\\\n")


class Dockerfile:
    """The instructions of a Dockerfile in their order, continued lines joined; arguments may have values."""

    def __init__(self, path: Path, **arguments: str) -> None:
        text = CONTINUED.sub(" ", path.read_text())
        for name, value in arguments.items():
            assert f"${{{name}}}" in text, f"{path} has no use for {name}"
            text = text.replace(f"${{{name}}}", value)
        lines = (line.strip() for line in text.splitlines())
        self.lines = [" ".join(line.split()) for line in lines if line and not line.startswith("#")]

    def values(self, instruction: str) -> list[str]:
        """What stands behind an instruction, everywhere it occurs."""
        return [line.split(" ", 1)[1] for line in self.lines if line.split(" ", 1)[0] == instruction]

    @property
    def layers(self) -> list[str]:
        """Only the instructions of the stages that the image itself is made of."""
        stages: dict[str, list[str]] = {}
        for line in self.lines:
            if line.startswith("FROM "):
                base, _, name = line.removeprefix("FROM ").partition(" AS ")
                stages[name] = list(stages.get(base, ()))
            if stages:
                stages[name].append(line)
        return stages[""]

    def words(self, instruction: str) -> list[str]:
        """The words of the last such instruction in exec form."""
        return json.loads(self.values(instruction)[-1])

    @property
    def health_check(self) -> list[str]:
        (check,) = self.values("HEALTHCHECK")
        return json.loads(check.partition("CMD ")[2])
