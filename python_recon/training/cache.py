"""Examples in files: prepared once, keyed by the scan and all settings, read when their turn comes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from python_recon.config import Config
from python_recon.data import KSpace
from python_recon.errors import ConfigError, DataError, ReconError
from python_recon.fitting.trained_model import Facts
from python_recon.resources.new_files import new_file
from python_recon.resources.schedule import ProgressReport, part_of, silent
from python_recon.training.examples import Example, ExampleOptions, example_of

_log = logging.getLogger(__name__)
_VERSION = 1
"""Raised where examples are made in another way."""
_COMPLEX = ("maps", "own", "starts", "residuals", "targets", "views")


@dataclass(frozen=True)
class ScanSource:
    """A scan that may be read."""

    name: str
    """For the reader."""
    key: str
    """Changes where the scan does."""
    read: Callable[[], Iterable[KSpace]]
    """Its slices, whitened and located, in NumPy arrays."""


@dataclass(frozen=True)
class _Head:
    """What the metadata of an example hold."""

    scan: str
    facts: Facts
    noise: float
    noise_energy: float


_HEAD = TypeAdapter(_Head)


@dataclass(frozen=True)
class Cached:
    """An example on the disk."""

    path: Path
    scan: str
    facts: Facts

    def load(self) -> Example:
        """Into memory; raises DataError where the file is damaged."""
        head, tensors = _read(self.path)
        return Example(head.scan, head.facts, head.noise, head.noise_energy, tensors)


class Cache:
    """A folder of examples.

    Parameters
    ----------
    folder
        Made where it is missing.
    config, options
        How slices are prepared.
    """

    def __init__(self, folder: Path, config: Config, options: ExampleOptions) -> None:
        self._folder, self._config, self._options = folder, config, options

    def examples(self, sources: Sequence[ScanSource], report: ProgressReport = silent) -> list[Cached]:
        """Those of all scans; scans from which nothing can be learned are left out, and told.

        Raises
        ------
        ConfigError
            If the folder cannot be written, or the disk is full.
        DataError
            If no scan is left.
        """
        found: list[Cached] = []
        for index, source in enumerate(sources):
            told = part_of(report, index, len(sources), f"preparing {source.name}")
            told("", 0.0)
            try:
                found += self._of_scan(source)
            except ConfigError:
                raise
            except ReconError as error:
                _log.warning("%s is left out: %s", source.name, error)
        if not found:
            raise DataError(
                "there is no scan to learn from: give folders with ISMRMRD files (*.h5) of undersampled "
                "series, as `gadgetron-pisco serve --capture` keeps them"
            )
        return found

    def _of_scan(self, source: ScanSource) -> Iterable[Cached]:
        """From the disk; prepared before where they are not there, or not whole."""
        folder = self._folder / self._key(source)
        done = folder / "complete"
        paths = sorted(folder.glob("*.safetensors")) if done.exists() else []
        try:
            return [_cached(path) for path in paths] if paths else list(self._prepare(source, folder, done))
        except DataError as error:
            if not paths:
                raise
            _log.warning("%s is prepared anew: %s", source.name, error)
            return list(self._prepare(source, folder, done))

    def _prepare(self, source: ScanSource, folder: Path, done: Path) -> Iterator[Cached]:
        problems: list[str] = []
        slices = source.read()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, kspace in enumerate(slices):
                try:
                    example = example_of(kspace, self._config, self._options)
                except DataError as error:
                    problems.append(str(error))
                    continue
                example = replace(example, scan=example.scan or source.name)
                path = folder / f"{number:04d}.safetensors"
                _write(example, path)
                yield Cached(path, example.scan, example.facts)
            if not list(folder.glob("*.safetensors")):
                raise DataError("; ".join(dict.fromkeys(problems)) or "it holds no slice")
            done.touch()
        except (OSError, SafetensorError) as error:
            raise ConfigError(
                f"the cache {self._folder} cannot be written: {error}; make room, or name another folder "
                "with --cache"
            ) from error

    def _key(self, source: ScanSource) -> str:
        settings = [source.key, self._config.model_dump(mode="json"), self._options.model_dump(), _VERSION]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def _write(example: Example, path: Path) -> None:
    head = _Head(example.scan, example.facts, example.noise, example.noise_energy)
    tensors = {
        name: (torch.view_as_real(tensor) if tensor.is_complex() else tensor).cpu().contiguous().clone()
        for name, tensor in example.tensors.items()
    }
    with new_file(path) as part:
        save_file(tensors, part, {"head": _HEAD.dump_json(head).decode()})


def _cached(path: Path) -> Cached:
    head = _head(path)
    return Cached(path, head.scan, head.facts)


def _head(path: Path) -> _Head:
    return _opened(path, lambda file: _HEAD.validate_json((file.metadata() or {}).get("head", "")))


def _read(path: Path) -> tuple[_Head, dict[str, torch.Tensor]]:
    tensors = _opened(path, lambda file: {name: file.get_tensor(name) for name in Example.NAMES})
    for name in _COMPLEX:
        tensors[name] = torch.view_as_complex(tensors[name])
    return _head(path), tensors


def _opened(path: Path, take: Callable[[Any], Any]) -> Any:
    try:
        with safe_open(path, framework="pt") as file:
            return take(file)
    except (OSError, SafetensorError, ValidationError, RuntimeError) as error:
        raise DataError(f"the example {path} is damaged: {error}; remove it, and it is made anew") from error
