"""Every installed configuration turns a scan into images, and what should not matter does not."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "configs_xml"
NAMES = sorted(path.stem for path in FOLDER.glob("radial_*.xml") if not path.stem.endswith("_connect"))
HERE = [name for name in NAMES if "<gadget>" not in (FOLDER / f"{name}.xml").read_text()]
N_NOISE, N_SPOKES, N_FRAMES = 32, 21, 3

SMALL = {"n_features": 256, "width": 128, "layers": 2, "sigma": 3.0, "batch": 1024, "steps": 200}
SETTINGS = {
    "radial_nik": SMALL,
    "radial_pisco": {**SMALL, "steps": 20},
    "radial_iconik": {**SMALL, "calibration_steps": 80, "refinement_steps": 10},
    "radial_st_inr": {"distillation_steps": 40, "steps": 20},
    "radial_subspace_inr": {"steps": 100},
    "radial_zs_ssl": {"steps": 20, "channels": 8, "draws": 2, "judges": 1},
}
"""Neural fits of a size that suits the scan, and of few steps."""


WARNINGS = {
    "radial_cardiac": "WARNING gadgets.replay.host: gadgets.radial.reconstruct: slice 0: fewer than two "
    "heartbeats were found: the frames are those of time"
}
"""What a scan of a fifth of a second lacks."""


@pytest.fixture(scope="session")
def truth(scan):
    """(frame, y, x) magnitude."""
    with h5py.File(scan.with_name(f"{scan.stem}_truth.h5")) as file:
        return np.abs(file["images"][0])


WITHOUT_MODEL = ("radial_ssdu", "radial_ssfl")
"""Name a file that a site makes; without it the images are those of subspace."""


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_without_a_trained_model_the_images_are_those_of_subspace_and_say_so(
    scan, replay, truth, likeness, name
):
    done = replay(scan, name)
    assert "options.model names no file: train a network" in done.warnings
    assert likeness(done.images[2], truth) > 0.95


@pytest.mark.parametrize("name", [name for name in HERE if name not in WITHOUT_MODEL])
def test_images_show_the_object(scan, replay, truth, likeness, name):
    settings = {f"options.{key}": value for key, value in SETTINGS.get(name, {}).items()}
    done = replay(scan, name, **settings)
    assert done.warnings == WARNINGS.get(name, "")
    assert set(done.images) == ({1} if name == "radial_preview" else {1, 2})
    for index, images in done.images.items():
        assert likeness(images, truth) > (0.85 if index == 1 else 0.95)
        assert [head.image_index for head in done.heads[index]] == [1, 2, 3]
        assert [head.repetition for head in done.heads[index]] == [0, 1, 2]
    final = done.images[max(done.images)]
    if name.endswith("_float"):
        assert final.dtype == np.float32
        return
    assert final.dtype == np.uint16
    assert 2000 <= final.max() <= 4095


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HERE])
def test_those_with_cpp_gadgets_say_what_they_need(scan, replay, name):
    message = replay(scan, name).error
    assert "needs a Gadgetron server" in message
    assert "NoiseAdjustGadget, AcquisitionAccumulateTriggerGadget" in message
    assert "-a ADDRESS -p PORT" in message


def test_two_stages_give_what_one_gives(scan, replay):
    one, two = replay(scan, "radial_grasp"), replay(scan, "radial_two_stage_grasp")
    assert two.exit_code == 0, two.stderr
    for index in (1, 2):
        # The trajectory between the stages is in single precision, the pixels are whole numbers.
        np.testing.assert_allclose(two.images[index].astype(int), one.images[index].astype(int), atol=2)
        assert list(map(_identity, two.heads[index])) == list(map(_identity, one.heads[index]))


def test_slices_that_take_turns(new_scan, altered, replay):
    """The images of each slice are those of a scan of that slice alone."""
    scan = new_scan(slices=2, slice_order="interleaved")
    both = replay(scan, "radial_cg_sense", **{"output.dtype": "float32"})
    assert both.warnings == ""
    assert [head.slice for head in both.heads[2]] == [0, 0, 0, 1, 1, 1]
    for number in (0, 1):

        def only(rows, number=number):
            is_noise = np.arange(len(rows)) < N_NOISE
            return rows[is_noise | (rows["head"]["idx"]["slice"] == number)]

        alone = replay(altered(only, source=scan), "radial_cg_sense", **{"output.dtype": "float32"})
        mine = [index for index, head in enumerate(both.heads[2]) if head.slice == number]
        peak = alone.images[2].max()
        np.testing.assert_allclose(both.images[2][mine], alone.images[2], atol=1e-4 * peak)
        positions = {tuple(both.heads[2][index].position) for index in mine}
        assert positions == {tuple(alone.heads[2][0].position)}


def test_dropped_readouts(altered, replay, truth, good, likeness):
    """The spokes that are left keep their angles: the images of the other frames stay as they are."""
    lost = N_NOISE + N_SPOKES + np.array([2, 3, 11])
    done = replay(altered(lambda rows: np.delete(rows, lost)))
    assert "3 spokes are missing in 1 frames" in done.warnings
    np.testing.assert_array_equal(done.images[1][0], good[0])
    assert likeness(done.images[1][1:2], truth[1:2]) > 0.85
    assert likeness(done.images[1][2:], truth[2:]) > 0.85


def test_dropped_frame(altered, replay, truth, likeness):
    """It leaves a gap in the count of the frames."""
    second = np.arange(N_SPOKES) + N_NOISE + N_SPOKES
    done = replay(altered(lambda rows: np.delete(rows, second)))
    assert [head.repetition for head in done.heads[1]] == [0, 2]
    assert [head.image_index for head in done.heads[1]] == [1, 2]
    assert likeness(done.images[1], truth[[0, 2]]) > 0.85


def test_trajectory_embedded_or_not(scan, new_scan, replay, likeness):
    options = {"output.dtype": "float32"}
    embedded = replay(scan, "radial_cg_sense", **options)
    derived = replay(new_scan(embed_trajectory=False), "radial_cg_sense", **options)
    peak = embedded.images[1].max()
    np.testing.assert_allclose(derived.images[1], embedded.images[1], atol=1e-4 * peak)
    # Where there is no object, joint coil maps are not determined and rounding decides.
    assert likeness(derived.images[2], embedded.images[2]) > 0.999


def test_the_same_scan_gives_the_same_images(scan, replay):
    """To the last bit on one CPU thread; on several, sums are taken in the order in which threads finish."""
    options = {"output.dtype": "complex64", "device": "cpu", "threads": 1}
    one, other = replay(scan, "radial_subspace", **options), replay(scan, "radial_subspace", **options)
    for index in (1, 2):
        np.testing.assert_array_equal(one.images[index], other.images[index])
        assert list(map(_identity, one.heads[index])) == list(map(_identity, other.heads[index]))


def _identity(head) -> tuple:
    names = ("measurement_uid", "slice", "repetition", "image_index", "acquisition_time_stamp", "image_type")
    vectors = ("matrix_size", "field_of_view", "position", "read_dir", "phase_dir", "slice_dir")
    return (*(getattr(head, name) for name in names), *(tuple(getattr(head, name)) for name in vectors))


def test_a_stack_of_stars_ends_in_one_stack_of_slices(new_scan, replay):
    scan = new_scan(encoding="stack_of_stars", partitions=4, frames=1)
    done = replay(scan, "stack_of_stars_cg_sense")
    assert done.exit_code == 0, done.stderr
    for heads in done.heads.values():
        assert [head.slice for head in heads] == [0, 1, 2, 3]
        assert [head.image_index for head in heads] == [1, 2, 3, 4]
        steps = np.diff([list(head.position) for head in heads], axis=0)
        np.testing.assert_allclose(steps, [15.0 * np.array(list(heads[0].slice_dir))] * 3, atol=1e-3)
    with h5py.File(scan.with_name(f"{scan.stem}_truth.h5")) as file:
        truth = np.abs(file["images"][:, 0])
    # The outermost partition lies in the edge of the slab, which is hardly excited.
    for image, expected in list(zip(done.images[2], truth, strict=True))[1:]:
        assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.95
