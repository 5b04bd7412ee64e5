"""Which scans are meant, and where the images of each go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gadgets.files.mrd_file import TRUTH
from python_recon.errors import ConfigError

SUFFIX = ".h5"
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Entry:
    """A scan and its images."""

    scan: Path
    output: Path
    folder: Path = Path()
    """Of the output, below that of all outputs."""

    @property
    def name(self) -> str:
        """What the scan is called in a table."""
        return str(self.scan)


def is_several(patterns: Sequence[Path]) -> bool:
    """Whether the arguments of ``-f`` may stand for more than one scan."""
    return len(patterns) > 1 or any(_is_open(pattern) for pattern in patterns)


def find_scans(patterns: Sequence[Path], output: Path) -> list[Entry]:
    """The scans that files, folders and globs name, in their order, each with a file for its images.

    A folder stands for the ``.h5`` files in it. Below the output folder, images lie as the scans do below
    the folder or the fixed part of the glob. Hidden files, what lies in the output folder and the truth of
    a simulated scan beside it are no scans. The images of a single file go to ``output`` itself, where that
    is no folder.

    Raises
    ------
    ConfigError
        Where a folder or a glob holds no scan, or two scans would have their images in the same place.
    """
    if not is_several(patterns) and not output.is_dir():
        return [Entry(patterns[0], output)]
    if output.exists() and not output.is_dir():
        raise ConfigError(f"the images of several scans need a folder, {output} is a file: give -o FOLDER")
    entries: dict[Path, Entry] = {}
    for scan, name in _scans(patterns, output):
        entry = Entry(scan, output / name.with_suffix(SUFFIX), name.parent)
        other = entries.setdefault(entry.output, entry)
        if other.scan.resolve() != scan.resolve():
            raise ConfigError(
                f"the images of {other.scan} and of {scan} would both be {entry.output}: give the folder "
                "above them as a glob, such as 'scans/**/*.h5', which keeps the subfolders"
            )
    return list(entries.values())


def _is_open(pattern: Path) -> bool:
    return not pattern.is_file() and (pattern.is_dir() or bool(_WILD & set(str(pattern))))


def _scans(patterns: Sequence[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Path of each scan, and its name below the output folder."""
    for pattern in patterns:
        if not _is_open(pattern):
            yield pattern, Path(pattern.name)
            continue
        root, glob = _split(pattern)
        found = [path for path in sorted(root.glob(glob)) if _is_scan(path, root, output)]
        if not found:
            raise ConfigError(f"-f {pattern} names no scan: there is no file {root / glob}")
        for path in found:
            yield path, path.relative_to(root)


def _split(pattern: Path) -> tuple[Path, str]:
    """The folder to search, and what to search there."""
    if pattern.is_dir():
        return pattern, f"*{SUFFIX}"
    parts = pattern.parts
    first = next(index for index, part in enumerate(parts) if _WILD & set(part))
    return Path(*parts[:first]), str(Path(*parts[first:]))


def _is_scan(path: Path, root: Path, output: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    is_output = output.resolve() in path.resolve().parents
    return path.is_file() and not (is_hidden or is_output or _is_truth(path))


def _is_truth(path: Path) -> bool:
    scan = path.stem.removesuffix(TRUTH)
    return scan != path.stem and path.with_name(f"{scan}{path.suffix}").is_file()
