"""Files that are to appear under their names only when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

from python_recon.errors import ConfigError


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError where the output is a folder, or exists and may not be replaced."""
    if path.is_dir():
        raise ConfigError(f"the output {path} is a folder; give a file name")
    if path.exists() and not overwrite:
        raise ConfigError(f"the output {path} exists; choose another name or say --overwrite")


def part_path(path: Path) -> Path:
    """Where a file is written until it is whole: hidden beside it, for each process another."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")
