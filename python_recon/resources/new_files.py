"""Files that appear under their names only when they are whole, and never in place of what is no file.

Everything that is written goes through here: a device, a link or a folder is not replaced nor written to,
whoever asks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from python_recon.errors import ConfigError


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError where the output is no regular file, or exists and may not be replaced."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"the output {path} cannot be written: {error}") from error
    if stat.S_ISDIR(mode):
        raise ConfigError(f"the output {path} is a folder; give a file name")
    if stat.S_ISLNK(mode):
        raise ConfigError(f"the output {path} is a link, which is not replaced; name the file itself")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"the output {path} is a device or a pipe, no file; give another name")
    if not overwrite:
        raise ConfigError(f"the output {path} exists; choose another name or say --overwrite")


def part_path(path: Path) -> Path:
    """Where a file is written until it is whole: hidden beside it, for each process another."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def new_part(path: Path) -> Iterator[Path]:
    """An empty part file beside an output; it is gone afterwards unless it was given another name."""
    part = part_path(path)
    part.unlink(missing_ok=True)
    part.touch(exist_ok=False)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Where to write a file; it gets its name when all went well, and nothing is left of it otherwise.

    Raises
    ------
    ConfigError
        When the name is not free; see :func:`require_free`.
    OSError
        When it cannot be written.
    """
    require_free(path, overwrite=overwrite)
    with new_part(path) as part:
        yield part
        require_free(path, overwrite=overwrite)
        part.replace(path)
