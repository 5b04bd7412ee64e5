"""The default gadget in a process of its own, as Gadgetron runs it."""

from __future__ import annotations

import subprocess
import sys

import ismrmrd
import numpy as np
import pytest

GRIDDING = {"method": "gridding", "preview": "none", "binning.spokes_per_frame": 34}


def test_a_scan_becomes_images(blob_scan, run_gadget):
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 5), np.uint32))
    blob_scan.items.insert(20, waveform)
    outcome = run_gadget(blob_scan, **GRIDDING)
    assert outcome.errors == []
    assert outcome.after_close == b"", "exactly one CLOSE"
    assert outcome.exit_status == 0
    assert [image.image_index for image in outcome.items] == [1, 2]
    for image in outcome.items:
        assert image.data.dtype == np.uint16
        assert tuple(image.getHead().matrix_size) == (48, 40, 1)
        assert tuple(image.field_of_view) == (240, 200, 8)
        assert tuple(image.position) == (1, 2, 3)
        assert tuple(image.read_dir) == (0, 1, 0)
        assert image.measurement_uid == 1234
        assert np.unravel_index(image.data[0, 0].argmax(), (40, 48)) == blob_scan.peak
    first, second = (image.acquisition_time_stamp for image in outcome.items)
    assert second - first == 4 * 34
    assert "1 waveform" in outcome.log
    assert "69 readouts received, 2 items sent" in outcome.log


def test_previews_come_in_a_series_of_their_own(blob_scan, run_gadget):
    settings = {**GRIDDING, "method": "cg_sense", "preview": "gridding", "preview_deadline_s": 600}
    outcome = run_gadget(blob_scan, **settings)
    assert outcome.errors == []
    numbers = [(image.image_series_index, image.image_index, image.meta["method"]) for image in outcome.items]
    assert numbers == [(1, 1, "gridding"), (1, 2, "gridding"), (2, 1, "cg_sense"), (2, 2, "cg_sense")]
    for image in outcome.items:
        assert np.unravel_index(image.data[0, 0].argmax(), (40, 48)) == blob_scan.peak


def test_a_bad_configuration_reaches_the_client_once(blob_scan, run_gadget):
    outcome = run_gadget(blob_scan, methd="gridding")
    (error,) = outcome.errors
    assert "'method'" in error
    assert outcome.items == []
    assert outcome.after_close == b""


def test_an_incomplete_installation_reaches_the_client(blob_scan, run_gadget, tmp_path):
    """Gadgetron hears nothing of a failed import, so the gadget tells of it with what Python has."""
    (tmp_path / "yaml.py").write_text("raise ImportError('yaml is not installed')")
    outcome = run_gadget(blob_scan, python_path=tmp_path, **GRIDDING)
    (error,) = outcome.errors
    assert "yaml is not installed" in error
    assert outcome.after_close == b""


@pytest.mark.parametrize("module", ["gadgets.radial", "gadgets.accumulate", "gadgets.recon_data"])
def test_the_modules_import_nothing_heavy(module):
    """They are imported outside every guard."""
    code = f"import sys, {module}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "torch", "ismrmrd", "pydantic", "yaml", "finufft", "python_recon"}
    assert not heavy & set(imported.stdout.split())
