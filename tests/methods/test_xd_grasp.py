"""XD-GRASP sorts by heart beat and breath; where it cannot, it is GRASP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.gating.spoke_phases import cardiac_phase, respiratory_position
from python_recon.methods import xd_grasp
from python_recon.physiology import Physiology
from tests.numerics import as_numpy, relative_error, run_method, scan_heart

BREATH_HOLD = {"breathing_amplitude_mm": 0.0, "contrast": 0.0}


@pytest.fixture(scope="module")
def beating():
    """Six seconds of a beating heart in a breath-hold, four spokes a frame."""
    return scan_heart(120, 4, 4, (48, 48), spacing_s=0.012, truth_every=7, **BREATH_HOLD)


@pytest.fixture(scope="module")
def breathing():
    """Fifteen seconds of a heart that beats and breathes, five spokes a frame."""
    return scan_heart(150, 5, 6, (32, 32), spacing_s=0.02, truth_every=7, contrast=0.0)


def test_on_a_periodic_heart_it_beats_grasp(beating):
    """Every spoke of all beats counts for its phase: 38.5 dB against 36.4 dB when this was written."""
    sorted_by_phase = run_method("xd_grasp", beating.kspace, beating.maps)
    assert sorted_by_phase.details["cardiac_phases"] == 25
    assert sorted_by_phase.details["respiratory_states"] == 1
    grasp = run_method("grasp", beating.kspace, beating.maps)
    assert beating.psnr(sorted_by_phase.images) > 37.8
    assert beating.psnr(sorted_by_phase.images) > beating.psnr(grasp.images) + 1.5


def test_phases_follow_the_beat(beating):
    """Frames of the same phase show the same image, whichever beat they belong to."""
    images = as_numpy(run_method("xd_grasp", beating.kspace, beating.maps).images)
    since_r_wave = beating.kspace.physiology_s[:, 0]
    phase = since_r_wave / since_r_wave.max()
    early, late = (np.flatnonzero(np.abs(phase - p) < 0.01) for p in (0.1, 0.4))
    assert len(early) > 1
    assert relative_error(images[early[0]], images[early[-1]]) < 0.05
    assert relative_error(images[late[0]], images[early[0]]) > 0.08


def test_the_cycle_has_no_beginning(beating, monkeypatch):
    """Wherever the R wave is said to be, neighbouring phases are neighbours."""
    phase = cardiac_phase(beating.kspace)
    expected = run_method("xd_grasp", beating.kspace, beating.maps).images
    shifted = (np.floor(phase * 25) + 0.5 + 11) / 25 % 1
    monkeypatch.setattr(xd_grasp, "cardiac_phase", lambda _kspace: shifted)
    assert relative_error(run_method("xd_grasp", beating.kspace, beating.maps).images, expected) < 1e-3


def test_breathing_gets_a_dimension_of_its_own(breathing):
    """With states for the breath the images are better than with all breaths in one."""
    sorted_by_both = run_method("xd_grasp", breathing.kspace, breathing.maps)
    assert sorted_by_both.details["respiratory_states"] == 4
    one_state = run_method("xd_grasp", breathing.kspace, breathing.maps, respiratory_states=1)
    assert breathing.psnr(sorted_by_both.images) > breathing.psnr(one_state.images) + 0.5


def test_without_stamps_and_breaths_it_is_grasp(heart):
    """A scan of half a second: frames stay frames."""
    result = run_method("xd_grasp", replace(heart.kspace, physiology_s=None), heart.maps)
    assert result.details["cardiac_phases"] == 0
    assert result.details["respiratory_states"] == 1
    assert result.comment == "no R waves: not sorted by the heart; no breathing was found: not sorted by it"
    assert relative_error(result.images, run_method("grasp", heart.kspace, heart.maps).images) < 1e-5


def test_r_waves_of_the_whole_scan_do_without_stamps(beating):
    """They may come from an ECG, and frames may be longer than the beats."""
    r_waves = beating.phantom.r_waves_until(6.0)
    kspace = replace(beating.kspace, physiology_s=None, physiology=Physiology(r_waves, "ECG"))
    result = run_method("xd_grasp", kspace, beating.maps)
    assert result.details["cardiac_phases"] == 25
    assert "R waves" not in result.comment
    assert beating.psnr(result.images) > 37.8


def test_without_stamps_frames_are_ordered_by_breath(breathing):
    kspace = replace(breathing.kspace, physiology_s=None)
    assert respiratory_position(kspace) is not None
    result = run_method("xd_grasp", kspace, breathing.maps)
    assert result.details["cardiac_phases"] == 0
    assert result.details["respiratory_states"] > 1
    grasp = run_method("grasp", kspace, breathing.maps)
    assert breathing.psnr(result.images) > breathing.psnr(grasp.images) - 0.7


@pytest.mark.parametrize(
    "weights",
    [
        {"regularisation": 0.0},
        {"respiratory_regularisation": 0.0},
        {"regularisation": 0.0, "respiratory_regularisation": 0.0},
        {"regularisation": 1.0, "respiratory_regularisation": 8.0},
    ],
)
def test_any_pair_of_weights_gives_images(breathing, weights):
    images = as_numpy(run_method("xd_grasp", breathing.kspace, breathing.maps, **weights).images)
    assert np.isfinite(images).all()
    assert breathing.psnr(images) > 25


def test_respiratory_weight_joins_the_states(breathing):
    """A weight that rises makes the images of the states alike."""

    def spread(weight):
        images = run_method(
            "xd_grasp",
            breathing.kspace,
            breathing.maps,
            respiratory_regularisation=weight,
            cardiac_phases=2,
        ).images
        return float((images - images.mean(0)).abs().sum())

    assert spread(50.0) < 0.7 * spread(0.0)


def test_bins_without_a_spoke_are_filled_in(beating):
    """More bins than spokes can fill: images stay finite and near the truth."""
    few = beating.kspace.frames(slice(0, 40))  # two beats and a bit, 160 spokes
    few = replace(few, first_frame=0)
    result = run_method("xd_grasp", few, beating.maps, cardiac_phases=100)
    images = as_numpy(result.images)
    assert result.details["cardiac_phases"] == 100
    assert np.isfinite(images).all()
    part = replace(beating, truth=beating.truth[: len(images[::7])])
    assert part.psnr(images) > 30


def test_padded_spokes_are_in_no_bin(beating):
    kspace = beating.kspace
    mask = np.ones((kspace.n_frames, 4), bool)
    mask[::2, 2:] = False
    missing = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        trajectory=kspace.trajectory * mask[..., None, None],
        density=kspace.density * mask[..., None],
        spoke_times_s=kspace.spoke_times_s * mask,
        spoke_mask=mask,
    )
    images = run_method("xd_grasp", missing, beating.maps).images
    assert beating.psnr(images) > beating.psnr(run_method("xd_grasp", kspace, beating.maps).images) - 2.5


@pytest.mark.parametrize("options", [{"cardiac_phases": 2}, {"cardiac_phases": 40, "iterations": 3}])
def test_every_frame_of_the_scan_has_an_image(beating, device, options):
    result = run_method("xd_grasp", beating.kspace, beating.maps, device, **options)
    assert tuple(result.images.shape) == (120, 48, 48)
    assert result.images.device.type == device
