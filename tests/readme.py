"""What the pages tell their readers to type, word for word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "gadgets/README.md",
    "configs_xml/README.md",
    "python_recon/README.md",
    "docker/README.md",
    "docker/openrecon/README.md",
)
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
ALL = "\n".join(TEXTS.values())
BIN = Path(sys.executable).parent


def blocks(language: str, text: str = ALL) -> list[str]:
    """The contents of the blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str = ALL) -> list[str]:
    """The lines behind a prompt, in their order."""
    lines = [line for block in blocks("console", text) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def command(start: str, words: Mapping[str, object] = MappingProxyType({})) -> str:
    """The one command that begins so; ``words`` stand in for those that only a site can know."""
    (line,) = (line for line in commands() if line.startswith(start))
    for old, new in words.items():
        assert old in line, f"{old!r} is not in {line!r}"
        line = line.replace(old, str(new))
    return line


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Type a command in a folder, with the programs of this environment first on PATH; it must succeed."""
    surroundings = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment}
    done = subprocess.run(
        line,
        shell=True,
        executable=shutil.which("bash"),
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done
