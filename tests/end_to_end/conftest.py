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
from gadgets.simulate import SimulateOptions, simulate

SMALL = {"matrix": 48, "coils": 4, "frames": 3, "spokes_per_frame": 21, "noise": 0.02, "seed": 5}
N_NOISE_READOUTS = 32


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """For the gadgets' processes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def new_scan(tmp_path_factory) -> Callable[..., Path]:
    """Simulates a scan, each kind once: 3 frames of 21 spokes of 48 x 48 where nothing else is asked for."""
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
    """Copies a scan with its readouts, its header or both changed."""

    def alter(readouts=None, header=None, source=scan) -> Path:
        path = tmp_path / "altered.h5"
        shutil.copy(source, path)
        with h5py.File(path, "r+") as file:
            group = file["dataset"]
            if readouts is not None:
                rows = readouts(group["data"][:])
                kind = group["data"].dtype
                del group["data"]
                group.create_dataset("data", data=rows, dtype=kind, maxshape=(None,))
            if header is not None:
                group["xml"][0] = header(group["xml"][0].decode())
        return path

    return alter


@dataclass
class Replayed:
    """What a replay left behind."""

    exit_code: int
    stderr: str
    output: Path
    heads: dict[int, list[ismrmrd.ImageHeader]] = field(default_factory=dict)
    """By image series."""
    images: dict[int, np.ndarray] = field(default_factory=dict)
    """(image, y, x) by image series."""
    metas: dict[int, list[dict]] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The one error that the user is told."""
        assert self.exit_code == 1, self.stderr
        (message,) = (line for line in self.stderr.splitlines() if line.startswith("error: "))
        return message


@pytest.fixture
def replay(tmp_path):
    """Runs ``gadgetron-pisco replay``; a scan that is no path is left to the arguments."""

    def run(scan: Path | None, config="radial_preview", *arguments: object, **settings) -> Replayed:
        output = tmp_path / f"images_{len(list(tmp_path.iterdir()))}.h5"
        command = ["replay", "-c", config, "-o", output, *([] if scan is None else ["-f", scan]), *arguments]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        result = CliRunner().invoke(app, [str(item) for item in command])
        assert "Traceback" not in result.stderr
        assert not list(tmp_path.glob(".*.part"))
        done = Replayed(result.exit_code, result.stderr, output)
        if output.exists():
            _read(done)
        return done

    return run


def _read(done: Replayed) -> None:
    with ismrmrd.Dataset(str(done.output), create_if_needed=False) as dataset:
        for name in (name for name in dataset.list() if name.startswith("image_")):
            images = [dataset.read_image(name, n) for n in range(dataset.number_of_images(name))]
            index = images[0].image_series_index
            done.heads[index] = [image.getHead() for image in images]
            done.metas[index] = [dict(image.meta) for image in images]
            done.images[index] = np.array([image.data[0, 0] for image in images])
