"""The daemon on the device: two clients at once, each with its own images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ismrmrd
import numpy as np

from gadgets.simulation.scan import SimulateOptions, simulate
from tests.cuda_check.running import Check
from tests.cuda_check.setting import Setting
from tests.serving import daemon_process

PART = "daemon"
_CONFIG = """<configuration>
<property name="method" value="{method}"/><property name="device" value="{device}"/>
<property name="binning.spokes_per_frame" value="8"/><property name="preview_deadline_s" value="600"/>
<property name="max_recon_seconds" value="60"/></configuration>"""
_METHODS = ("grasp", "subspace_inr")
_FRAMES, _SPOKES, _MATRIX = 4, 8, 32


def checks(setting: Setting) -> Iterator[Check]:
    yield Check(PART, "two scans at once", partial(two_scans, setting), 90.0)


def two_scans(setting: Setting) -> dict[str, Any]:
    """A classical method and a fit; each gets a preview and a final image of every frame, and no error."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        scan = _scan(folder)
        with daemon_process(folder) as daemon, ThreadPoolExecutor(2) as pool:
            configs = [
                _CONFIG.format(method=each, device=setting.device) for each in ("grasp", "subspace_inr")
            ]
            outcomes = list(pool.map(lambda config: daemon.serve(scan, config), configs))
    for outcome in outcomes:
        if outcome.errors or not outcome.is_closed or len(outcome.images) != 2 * _FRAMES:
            raise AssertionError(
                f"{len(outcome.images)} images of {2 * _FRAMES}, errors {list(map(str, outcome.errors))}, "
                f"{outcome.break_off}"
            )
        if not all(np.isfinite(image.data).all() for image in outcome.images):
            raise AssertionError("an image is not finite")
    return {"images each": 2 * _FRAMES}


def _scan(folder: Path) -> SimpleNamespace:
    """A simulated scan as a client sends it."""
    path = folder / "scan.h5"
    options = SimulateOptions(
        matrix=_MATRIX, coils=4, frames=_FRAMES, spokes_per_frame=_SPOKES, noise_scan=True
    )
    simulate(path, options)
    with ismrmrd.File(str(path), "r") as file:
        dataset = file["dataset"]
        items = [_alone(each) for each in dataset.acquisitions]
        return SimpleNamespace(header_xml=dataset.header.toXML(), items=items)


def _alone(acquisition: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
    """A copy that outlives its file."""
    return ismrmrd.Acquisition(acquisition.getHead(), acquisition.data.copy(), acquisition.traj.copy())
