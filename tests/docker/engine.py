"""Stands in for a container engine, as far as ``docker/openrecon/package`` asks: run, build and save.

The image is the program that this Python has; what is built of it is a Dockerfile, whose label is saved.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("gadgetron-pisco")
BUILT = Path("Dockerfile.built")
"""In the folder that the engine works in."""


def run(*words: str) -> None:
    """The program of the image, with mounted folders."""
    places, left = [], list(words)
    while left[0].startswith("--"):
        option = left.pop(0)
        value = "" if option == "--rm" else left.pop(0)
        if option == "--volume":
            places.append(value.removesuffix(":ro").split(":"))
    arguments = left[1:]
    for here, there in places:
        arguments = [re.sub(rf"^{there}(?=/|$)", here, word) for word in arguments]
    subprocess.run([PROGRAM, *arguments], check=True)


def build(_tag: str, tag: str, context: str) -> None:
    """Keep the Dockerfile."""
    BUILT.write_text(f"# {tag}\n" + (Path(context) / "Dockerfile").read_text())


def save(_output: str, path: str, tag: str) -> None:
    """An image with the labels of what was built, and no layers."""
    built = BUILT.read_text()
    assert built.startswith(f"# {tag}\n")
    labels = dict(re.findall(r'^LABEL "(.+?)"="(.+)"$', built, re.MULTILINE))
    files = {"manifest.json": [{"Config": "abc.json"}], "abc.json": {"config": {"Labels": labels}}}
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    {"run": run, "build": build, "save": save}[sys.argv[1]](*sys.argv[2:])
