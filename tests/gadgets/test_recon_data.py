"""The gadgets of two stages, in processes of their own."""

from __future__ import annotations

import ismrmrd
import numpy as np
import pytest

from gadgets.wire.messages import AcquisitionBucket, ReconData

FRAMES = {"binning.spokes_per_frame": 34}
GRIDDING = {**FRAMES, "method": "gridding", "preview": "none", "output.dtype": "complex64"}


@pytest.fixture(scope="module")
def at_once(new_blob_scan, run_gadget):
    """What the gadget that does all makes of the scan."""
    return pixels(run_gadget(new_blob_scan(), **GRIDDING))


def pixels(outcome):
    assert outcome.errors == []
    return np.stack([image.data[0, 0] for image in outcome.items])


def test_two_stages_give_the_images_of_one(blob_scan, run_gadget, at_once):
    accumulated = run_gadget(blob_scan, "gadgets.accumulate", "accumulate", **FRAMES)
    assert accumulated.errors == []
    assert accumulated.after_close == b""
    assert [type(item) for item in accumulated.items] == [ReconData, ReconData]
    blob_scan.items = accumulated.items
    outcome = run_gadget(blob_scan, "gadgets.recon_data", **GRIDDING)
    np.testing.assert_allclose(pixels(outcome), at_once, atol=2e-4 * np.abs(at_once).max())
    assert {image.measurement_uid for image in outcome.items} == {1234}
    assert [image.acquisition_time_stamp for image in outcome.items] == [166, 302]


def test_buckets_give_the_same_images(blob_scan, run_gadget, at_once):
    """Two buckets that end in the middle of a frame, with waveforms, behind the noise scan."""
    noise, *readouts = blob_scan.items
    waveforms = (ismrmrd.Waveform.from_array(np.zeros((2, 9), np.uint32)),)
    blob_scan.items = [
        noise,
        AcquisitionBucket(tuple(readouts[:20]), tuple(readouts[:2]), waveforms),
        AcquisitionBucket(tuple(readouts[20:])),
    ]
    outcome = run_gadget(blob_scan, "gadgets.recon_data", **GRIDDING)
    np.testing.assert_allclose(pixels(outcome), at_once, atol=1e-5 * np.abs(at_once).max())
    assert "1 waveform" in outcome.log
