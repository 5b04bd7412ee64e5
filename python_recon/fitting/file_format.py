"""Safetensors files: how they are read, and what their metadata say: format, version, and a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from python_recon.errors import DataError

_Description = TypeVar("_Description")


@dataclass(frozen=True)
class FileFormat(Generic[_Description]):
    """A format of files, which describe themselves in JSON."""

    name: str
    version: int
    key: str
    """Of the description among the metadata."""
    content: TypeAdapter[_Description]
    """Of the description."""
    noun: str
    """What such a file is called."""
    part: str
    """What the description is called, in front of the file's name."""
    cure: str
    """Gives a new file."""

    def metadata(self, description: _Description) -> dict[str, str]:
        """What to write beside the tensors."""
        told = self.content.dump_json(description).decode()
        return {"format": self.name, "format_version": str(self.version), self.key: told}

    def described(self, metadata: Mapping[str, str], path: Path) -> _Description:
        """The description; raises DataError where the file is of another format, or damaged."""
        if metadata.get("format") != self.name:
            raise DataError(
                f"{path} is no {self.noun}: its metadata do not name the format {self.name!r}; {self.cure}"
            )
        found = metadata.get("format_version")
        if found != str(self.version):
            raise DataError(
                f"{path} has format version {found}, this program reads {self.version}: {self.cure}, or use "
                "the program's version that wrote it"
            )
        try:
            return self.content.validate_json(metadata.get(self.key, ""))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"the {self.part} {path} is damaged: {place} {first['msg']}") from error


def read_tensors(path: Path, noun: str) -> tuple[Mapping[str, str], dict[str, torch.Tensor]]:
    """Metadata and all tensors of a file; raises DataError where it is none of its kind."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(f"{path} is no {noun}: {error}") from error
