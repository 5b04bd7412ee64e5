"""The package that an OpenRecon scanner installs: a saved image and a document, in one zip."""

from __future__ import annotations

import base64
import binascii
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from gadgets.openrecon.label import LABEL_NAME
from python_recon.errors import ConfigError
from python_recon.resources.new_files import new_file

_A4_INCHES = (8.27, 11.69)
_LINE_CHARACTERS, _PAGE_LINES = 92, 62


def pack(image: Path, folder: Path) -> Path:
    """Zip a saved image with a document made from its label.

    Parameters
    ----------
    image
        A tar as ``docker save`` of Docker 24 or older writes it, or ``podman save``.
    folder
        Where the package goes; its name is that which OpenRecon asks for.

    Raises
    ------
    ConfigError
        When the file is no such image, has no label, or the package cannot be written.
    """
    content = read_label(image)
    general = content["general"]
    name = f"OpenRecon_{general['vendor']}_{general['name']['en']}_V{general['version']}"
    package = folder / f"{name}.zip"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document = folder / f"{name}.pdf"
        with new_file(document) as part:
            _write_document(part, content)
        with new_file(package) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(image, f"{name}.tar")
            archive.write(document, document.name)
    except OSError as error:
        raise ConfigError(f"the package {package} cannot be written: {error}") from error
    return package


def read_label(image: Path) -> dict[str, Any]:
    """The OpenRecon label of a saved image; raises ConfigError where there is none."""
    try:
        with tarfile.open(image) as archive:
            names = archive.getnames()
            manifest = _json_in(archive, "manifest.json")
            config = _json_in(archive, manifest[0]["Config"])
        content: dict[str, Any] = json.loads(base64.b64decode(config["config"]["Labels"][LABEL_NAME]))
    except (OSError, tarfile.TarError, ValueError, binascii.Error, LookupError, TypeError) as error:
        raise ConfigError(
            f"{image} is no saved image with an OpenRecon label ({type(error).__name__}: {error}): build the "
            "Dockerfile that `gadgetron-pisco openrecon dockerfile` writes, and save that image"
        ) from error
    if "oci-layout" in names:
        raise ConfigError(
            f"{image} was saved by Docker 25 or later, whose layout OpenRecon refuses: save it with an older "
            "one, or with podman save --format docker-archive"
        )
    return content


def _json_in(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return json.load(file)


def _write_document(path: Path, content: Mapping[str, Any]) -> None:
    """A PDF of plain pages: what the image is, and its parameters."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    lines = _document_lines(content)
    with PdfPages(path) as pages:
        for start in range(0, len(lines), _PAGE_LINES):
            figure = Figure(figsize=_A4_INCHES)
            text = "\n".join(lines[start : start + _PAGE_LINES])
            figure.text(0.08, 0.95, text, va="top", family="monospace", size=8, parse_math=False)
            pages.savefig(figure)


def _document_lines(content: Mapping[str, Any]) -> list[str]:
    general = content["general"]
    paragraphs = [
        f"{general['name']['en']} {general['version']}, {general['vendor']}",
        general["information"]["en"],
        "Parameters",
    ]
    for parameter in content["parameters"]:
        values = [value["id"] for value in parameter.get("values", ())]
        limits = [str(parameter[key]) for key in ("minimum", "maximum") if key in parameter]
        allowed = ", ".join(values) or " to ".join(limits) or parameter["type"]
        heading = (
            f"{parameter['label']['en']} ({parameter['id']}): {allowed}; default {parameter['default']!r}."
        )
        paragraphs.append(f"{heading} {parameter['information']['en']}")
    return [line for paragraph in paragraphs for line in [*wrap(paragraph, _LINE_CHARACTERS), ""]]
