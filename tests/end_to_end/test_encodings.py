"""Every configuration for lines and for volumes turns a scan of its encoding into images of the object."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "configs_xml"
SCANS = {
    "cartesian": {"acceleration": 2, "mask": "vista", "acs": 8, "matrix": 32, "frames": 4},
    "stack_of_stars": {"partitions": 4, "matrix": 32, "frames": 2, "spokes_per_frame": 24},
}
"""By encoding, options of the simulated scan."""
NAMES = sorted(path.stem for kind in SCANS for path in FOLDER.glob(f"{kind}_*.xml"))
HERE = [name for name in NAMES if "<gadget>" not in (FOLDER / f"{name}.xml").read_text()]
SETTINGS = {
    "cartesian_st_inr": {"distillation_steps": 40, "steps": 20},
    "cartesian_zs_ssl": {"steps": 20, "channels": 8, "draws": 2, "judges": 1},
    "stack_of_stars_pisco": {
        "n_features": 256, "width": 64, "layers": 2, "sigma": 3.0, "batch": 512, "steps": 20
    },
}  # fmt: skip
"""Neural fits of a size that suits the scan, and of few steps."""


def kind_of(name):
    return next(kind for kind in SCANS if name.startswith(kind))


def test_every_configuration_is_of_an_encoding_that_is_run():
    kinds = ("radial", *SCANS)
    assert all(path.stem.startswith(kinds) for path in FOLDER.glob("*.xml"))


@pytest.mark.parametrize("name", HERE)
def test_images_show_the_object(new_scan, replay, likeness, name):
    scan = new_scan(encoding=kind_of(name), **SCANS[kind_of(name)])
    with h5py.File(scan.with_name(f"{scan.stem}_truth.h5")) as file:
        truth = np.abs(file["images"][:])
    settings = {f"options.{key}": value for key, value in SETTINGS.get(name, {}).items()}
    done = replay(scan, name, **settings)
    assert done.exit_code == 0, done.stderr
    final = max(done.images)
    order = np.argsort([1000 * head.slice + head.repetition for head in done.heads[final]])
    images = done.images[final][order].reshape(truth.shape)
    floor = 0.85 if name.endswith("preview") else 0.95
    for ones, others in zip(images, truth, strict=True):
        assert likeness(ones, others) > floor


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(HERE)))
def test_those_with_cpp_gadgets_say_what_they_need(new_scan, replay, name):
    scan = new_scan(encoding=kind_of(name), **SCANS[kind_of(name)])
    assert "needs a Gadgetron server" in replay(scan, name).error
