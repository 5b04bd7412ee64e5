"""Files as they occur in the field: each gives the images of a plain one, or tells why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.translate.readouts import ReadoutStream
from python_recon.config import load_config
from python_recon.data import FINAL_SERIES
from python_recon.stream.chain import reconstruct_stream

CASES = Path(__file__).parents[3] / "shared" / "cases"
FILES = sorted(CASES.glob("*.h5"))
ERRORS = {"static_64_spokes": 0.08, "ute_half_spokes": 0.07, "ute_ramp": 0.07}
"""Largest relative errors of cg_sense."""
FRAMES = {"static_64_spokes": 1}


def error_of(image, truth):
    scale = (image * truth).sum() / np.square(image).sum()
    return np.linalg.norm(scale * image - truth) / np.linalg.norm(truth)


@pytest.mark.skipif(not FILES, reason="the odd files are not in ../shared/cases")
@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_an_odd_file_gives_the_images_of_a_plain_one(name):
    with ScanFile(CASES / f"{name}.h5") as scan:
        stream = ReadoutStream(scan.items(), scan.header)
        config = load_config({"method": "cg_sense", "preview": "none"})
        series = list(reconstruct_stream(stream, stream.scan, config))
    assert {s.series_index for s in series} == {FINAL_SERIES}
    images = np.abs(np.concatenate([s.images for s in series]))
    assert len(images) == FRAMES.get(name, 2)
    truth = np.load(CASES / "truth.npy")
    assert all(error_of(image, truth) <= ERRORS.get(name, 0.09) for image in images)
