"""Scans in files, good and spoilt, and the command line that replays them with gadgets in real processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.simulation.scan import SimulateOptions, simulate

SMALL = {"matrix": 48, "coils": 4, "frames": 3, "spokes_per_frame": 21, "noise": 0.02, "seed": 5}


@pytest.fixture(scope="session")
def new_scan(tmp_path_factory) -> Callable[..., Path]:
    """Simulates a scan, each kind once: a noise scan, then 3 frames of 21 spokes for 48 x 48 pixels."""
    folder, made = tmp_path_factory.mktemp("scans"), {}

    def new(**options) -> Path:
        key = tuple(sorted(options.items()))
        if key not in made:
            made[key] = folder / f"scan_{len(made)}.h5"
            simulate(made[key], SimulateOptions(**{**SMALL, **options}))
        return made[key]

    return new


@pytest.fixture(scope="session")
def scan(new_scan) -> Path:
    """The scan without peculiarities; not to be changed."""
    return new_scan()


@pytest.fixture
def altered(scan, tmp_path):
    """Copies a scan with its readouts (rows of the table), its header (text) or both changed."""

    def alter(readouts=None, header=None, source=scan) -> Path:
        path = tmp_path / f"altered_{len(list(tmp_path.iterdir()))}.h5"
        shutil.copy(source, path)
        with h5py.File(path, "r+") as file:
            group = file["dataset"]
            if readouts is not None:
                rows, kind = readouts(group["data"][:]), group["data"].dtype
                del group["data"]
                group.create_dataset("data", data=rows, dtype=kind, maxshape=(None,))
            if header is not None:
                group["xml"][0] = header(group["xml"][0].decode())
        return path

    return alter


@dataclass
class Replayed:
    """What a replay left behind; images and their headers by image series."""

    exit_code: int
    stderr: str
    output: Path
    images: dict[int, np.ndarray] = field(default_factory=dict)
    """(image, y, x)."""
    heads: dict[int, list[ismrmrd.ImageHeader]] = field(default_factory=dict)
    metas: dict[int, list[dict]] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The one error that the user is told."""
        assert self.exit_code == 1, self.stderr
        (message,) = (line for line in self.stderr.splitlines() if line.startswith("error: "))
        return message

    @property
    def warnings(self) -> str:
        """The warnings of a replay that gave images."""
        assert self.exit_code == 0, self.stderr
        return "\n".join(line for line in self.stderr.splitlines() if line.startswith("WARNING "))


@pytest.fixture(scope="session")
def replay_into() -> Callable[..., Replayed]:
    """Runs ``gadgetron-pisco replay``; a scan that is None comes with the arguments."""

    def run(output: Path, scan: Path | None, config, *arguments: object, **settings) -> Replayed:
        command = ["replay", "-c", config, "-o", output, *([] if scan is None else ["-f", scan]), *arguments]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        result = CliRunner().invoke(app, [str(item) for item in command])
        assert "Traceback" not in result.stderr
        assert not list(output.parent.glob(".*.part"))
        return read_images(Replayed(result.exit_code, result.stderr, output))

    return run


@pytest.fixture
def replay(replay_into, tmp_path):
    """The same into a new file."""

    def run(scan: Path | None, config="radial_preview", *arguments: object, **settings) -> Replayed:
        output = tmp_path / f"images_{len(list(tmp_path.iterdir()))}.h5"
        return replay_into(output, scan, config, *arguments, **settings)

    return run


def read_images(done: Replayed) -> Replayed:
    """Fill in what is in the output file, if there is one."""
    if not done.output.exists():
        return done
    with ismrmrd.Dataset(str(done.output), create_if_needed=False) as dataset:
        for name in (name for name in dataset.list() if name.startswith("image_")):
            images = [dataset.read_image(name, n) for n in range(dataset.number_of_images(name))]
            index = images[0].image_series_index
            done.heads[index] = [image.getHead() for image in images]
            done.metas[index] = [dict(image.meta) for image in images]
            done.images[index] = np.array([image.data[0, 0] for image in images])
    return done


@pytest.fixture(scope="session")
def good_replay(replay_into, scan, tmp_path_factory) -> Replayed:
    """The scan without peculiarities through ``radial_preview``."""
    done = replay_into(tmp_path_factory.mktemp("good") / "images.h5", scan, "radial_preview")
    assert done.warnings == ""
    return done


@pytest.fixture
def good(good_replay) -> np.ndarray:
    """(frame, y, x) gridding images of the scan without peculiarities."""
    return good_replay.images[1]


@pytest.fixture(scope="session")
def likeness():
    """Smallest correlation of the magnitudes of two series, image by image; 1 where they are the same."""

    def compare(ones: np.ndarray, others: np.ndarray) -> float:
        assert ones.shape == others.shape
        pairs = zip(np.abs(ones).astype(float), np.abs(others).astype(float), strict=True)
        return min(float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())) for a, b in pairs)

    return compare
