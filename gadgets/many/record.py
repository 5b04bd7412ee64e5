"""What an output was made from: written into it, so that a later run knows whether it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

from gadgets.many.settings import choice_of
from gadgets.replay.config_xml import StreamConfig
from gadgets.replay.job import Job
from gadgets.replay.route import embedded_config, server_at
from gadgets.version import plugin_version
from python_recon.errors import ConfigError
from python_recon.resources.new_files import require_free

_ATTRIBUTE = "gadgetron_pisco_record"


@dataclass(frozen=True)
class Record:
    """Where the images of a file come from."""

    scan: str
    """Name of the scan's file."""
    n_bytes: int
    modified_ns: int
    """Of the scan's file."""
    configuration: str
    """Digest of all that decides how the images come out; see :func:`digest`."""
    version: str
    """Of this package."""
    slice_number: int | None = None
    """The slice, where the file holds the images of one only."""
    n_images: int = 0
    error: str = ""
    """Why images are missing."""

    @property
    def _file(self) -> tuple[str, int, int]:
        return self.scan, self.n_bytes, self.modified_ns

    @classmethod
    def planned(cls, job: Job, configuration: str) -> Record:
        """What the record of a job's output has to say; raises OSError where there is no scan."""
        if job.scan is None:
            raise ConfigError("there is no scan: give -f FILE")
        status = job.scan.stat()
        return cls(
            scan=job.scan.name,
            n_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            configuration=configuration,
            version=plugin_version(),
            slice_number=job.slice_number,
        )

    def reason_to_redo(self, planned: Record) -> str:
        """Why an output of this record is not what is planned; empty where it is."""
        if self.error:
            return f"images were missing ({self.error})"
        if self._file != planned._file:
            return "the scan has changed"
        if self.configuration != planned.configuration:
            return "the configuration has changed"
        if self.version != planned.version:
            return f"made by version {self.version}"
        return "" if self.slice_number == planned.slice_number else "it holds another slice"


def digest(job: Job) -> str:
    """A digest of the configuration, as it runs, and of the groups and loops of a job.

    Raises
    ------
    ReconError
        Where the configuration is none or cannot run.
    """
    choice = choice_of(job)
    target = embedded_config(choice) if job.server is None else server_at(*job.server, choice)
    runs = target.nodes if isinstance(target, StreamConfig) else (target,)
    decides = [*map(dataclasses.astuple, runs), job.group, job.out_group, job.loops]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def read_record(path: Path) -> Record | None:
    """The record of an output; None where it has none or is no whole HDF5 file."""
    try:
        with h5py.File(path, "r") as file:
            return Record(**json.loads(file.attrs[_ATTRIBUTE]))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def publish(part: Path, output: Path, record: Record) -> None:
    """Write the record into a finished file and give it its name."""
    with h5py.File(part, "r+") as file:
        file.attrs[_ATTRIBUTE] = json.dumps(dataclasses.asdict(record))
    require_free(output, overwrite=True)
    part.replace(output)


@contextmanager
def part_folder(output: Path) -> Iterator[Path]:
    """A hidden folder beside the output for what is not finished; nothing of it stays.

    Raises
    ------
    ConfigError
        Where the output's folder cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise ConfigError(f"the output {output} cannot be written: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_parts(output: Path) -> None:
    """Remove what a run that was killed has left beside an output."""
    for folder in output.parent.glob(f".{output.name}.*.part"):
        shutil.rmtree(folder, ignore_errors=True)
