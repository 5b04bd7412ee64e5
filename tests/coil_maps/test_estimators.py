"""All estimators against the coil images of a phantom."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from python_recon.data import KSpace
from python_recon.errors import DataError

NAMES = ["low_resolution", "walsh", "espirit", "nlinv"]
HEART = Path(__file__).parents[3] / "shared/data/radial_cardiac_25_projections.mat"

# Largest fraction of the coil-image energy outside the map: about 1.5 times what was measured.
LIMITS = {
    "low_resolution": {400: 1.1e-3, 34: 1.7e-3},
    "walsh": {400: 1.8e-3, 34: 3.8e-3},
    "espirit": {400: 3.0e-4, 34: 4.8e-4},
    "nlinv": {400: 7.0e-5, 34: 2.1e-4},
}


def estimate_maps(kspace, name, width=None):
    return estimate(kspace, CoilConfig(maps=name, calibration_width=width)).maps


@pytest.mark.parametrize("n_spokes", [400, 34])
@pytest.mark.parametrize("name", NAMES)
def test_maps_explain_the_coil_images(simulate_scan, name, n_spokes):
    scan = simulate_scan(n_spokes)
    result = estimate(scan.kspace, CoilConfig(maps=name))
    assert result.source == name
    assert result.maps.shape == scan.coil_images.shape
    assert result.maps.dtype == np.complex64
    assert scan.outside(result.maps) < LIMITS[name][n_spokes]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "case",
    [{"shift": (0.1, -0.07)}, {"phase_wraps": 4.0}, {"n_coils": 5, "matrix": (96, 131)}, {"n_coils": 2}],
    ids=["shifted", "strong phase", "other matrix", "two coils"],
)
def test_hard_cases_stay_near_the_easy_one(simulate_scan, name, case):
    scan = simulate_scan(55, **case)
    assert scan.outside(estimate_maps(scan.kspace, name)) < 2 * LIMITS[name][34]


@pytest.mark.parametrize("name", NAMES)
def test_noise_degrades_gracefully(simulate_scan, name):
    scan = simulate_scan(34, noise=0.5)
    assert scan.outside(estimate_maps(scan.kspace, name)) < 0.03


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_unit_norm_everywhere_and_are_smooth(simulate_scan, name):
    scan = simulate_scan(34)
    maps = estimate_maps(scan.kspace, name)
    np.testing.assert_allclose(np.sum(np.abs(maps) ** 2, axis=0), 1, atol=1e-5)
    seen = np.abs(scan.coil_images).sum(0) > 0
    for axis in (1, 2):
        change = np.linalg.norm(np.diff(maps, axis=axis), axis=0)
        assert change[np.take(seen, range(seen.shape[axis - 1] - 1), axis - 1)].max() < 0.15


@pytest.mark.sensitive
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_of_the_data_does_not_matter(simulate_scan, name, scale):
    scan = simulate_scan(34)
    scaled = estimate_maps(replace(scan.kspace, data=scan.kspace.data * np.float32(scale)), name)
    assert scan.difference(scaled, estimate_maps(scan.kspace, name)) < 1e-5


@pytest.mark.sensitive
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", [{}, {"n_coils": 2}, {"noise": 0.5}, {"n_spokes": 21, "phase_wraps": 4.0}])
def test_rounding_of_data_and_places_does_not_matter(simulate_scan, name, case):
    """Disturbed by 1e-7, which is the last bit: another machine, or a header with nine digits."""
    scan = simulate_scan(**{"n_spokes": 34, **case})
    noise = np.random.default_rng(5).normal(size=scan.kspace.data.shape)
    data = (scan.kspace.data * (1 + 1e-7 * noise)).astype(np.complex64)
    places = scan.kspace.trajectory * (1 + 1e-7 * noise[:, 0, ..., None])
    expected = estimate_maps(scan.kspace, name)
    assert scan.difference(estimate_maps(replace(scan.kspace, data=data), name), expected) < 1e-5
    moved = replace(scan.kspace, trajectory=places.astype(np.float32))
    assert scan.difference(estimate_maps(moved, name), expected) < 3e-5


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_pooled_and_padding_is_ignored(simulate_scan, name):
    kspace = simulate_scan(34).kspace
    expected = estimate_maps(kspace, name)
    frames = [slice(0, 20), slice(20, 34)]
    data = np.zeros((2, kspace.n_coils, 20, kspace.n_samples), np.complex64)
    trajectory = np.zeros((2, 20, kspace.n_samples, 2), np.float32)
    mask = np.zeros((2, 20), bool)
    for frame, spokes in enumerate(frames):
        n = spokes.stop - spokes.start
        data[frame, :, :n], trajectory[frame, :n] = kspace.data[0][:, spokes], kspace.trajectory[0][spokes]
        mask[frame, :n] = True
    pooled = KSpace(data=data, trajectory=trajectory, matrix=kspace.matrix, spoke_mask=mask)
    np.testing.assert_allclose(estimate_maps(pooled, name), expected, atol=2e-2)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_in_tensors_out(simulate_scan, name):
    kspace = simulate_scan(34).kspace
    maps = estimate_maps(kspace.to_torch(), name)
    assert isinstance(maps, torch.Tensor)
    np.testing.assert_array_equal(maps.numpy(), estimate_maps(kspace, name))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_cuda_agrees_with_cpu(simulate_scan, name):
    scan = simulate_scan(34)
    maps = estimate_maps(scan.kspace.to_torch("cuda"), name)
    assert maps.is_cuda
    assert scan.outside(maps.cpu().numpy()) < LIMITS[name][34]


@pytest.mark.parametrize("name", NAMES)
def test_read_only_arrays_are_left_alone(simulate_scan, name):
    kspace = simulate_scan(34).kspace
    data = kspace.data.copy()
    data.setflags(write=False)
    maps = estimate_maps(replace(kspace, data=data), name)
    np.testing.assert_array_equal(maps, estimate_maps(kspace, name))


@pytest.mark.parametrize("name", NAMES)
def test_one_coil_sees_everything_with_phase_zero(simulate_scan, name):
    kspace = simulate_scan(34).kspace
    maps = estimate_maps(replace(kspace, data=kspace.data[:, :1]), name)
    np.testing.assert_array_equal(maps, np.ones((1, *kspace.matrix), np.complex64))


@pytest.mark.parametrize("name", NAMES)
def test_silent_coil_gets_a_zero_map_and_spoils_nothing(simulate_scan, name, caplog):
    scan = simulate_scan(34)
    data = scan.kspace.data.copy()
    data[:, 2] = 0
    maps = estimate_maps(replace(scan.kspace, data=data), name)
    assert "[2] hold no signal" in caplog.text
    assert not maps[2].any()
    rest = np.delete(np.arange(len(maps)), 2)
    heard = replace(scan, coil_images=scan.coil_images[rest])
    assert heard.outside(maps[rest]) < 2 * LIMITS[name][34]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_spokes", [1, 2, 5])
def test_far_too_few_spokes_warn_and_give_finite_maps(simulate_scan, name, n_spokes, caplog):
    kspace = simulate_scan(n_spokes, n_coils=3).kspace
    with caplog.at_level(logging.WARNING):
        maps = estimate_maps(kspace, name)
    is_told = f"sample {2 * n_spokes / math.pi:.0f} cycles per field of view" in caplog.text
    assert is_told == (name != "low_resolution")  # a first look comes from few spokes
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [8, 16, 1000])
def test_any_calibration_width_works(simulate_scan, name, width):
    scan = simulate_scan(200, n_coils=4, matrix=(40, 48))
    assert scan.outside(estimate_maps(scan.kspace, name, width)) < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_spokes_that_are_not_finite_are_left_out(simulate_scan, name, caplog):
    scan = simulate_scan(55)
    data = scan.kspace.data.copy()
    data[0, 1, 4, data.shape[-1] // 2 + 3] = np.nan
    data[0, 0, 9, data.shape[-1] // 2] = np.inf
    maps = estimate_maps(replace(scan.kspace, data=data), name)
    assert "2 spokes hold values that are not finite" in caplog.text
    assert scan.outside(maps) < 2 * LIMITS[name][34]


@pytest.mark.parametrize("value", [0, np.nan])
def test_data_without_signal_are_an_error(simulate_scan, value):
    kspace = simulate_scan(5).kspace
    with pytest.raises(DataError, match="no signal near the centre"):
        estimate(replace(kspace, data=np.full_like(kspace.data, value)), CoilConfig())


@pytest.mark.skipif(not HEART.exists(), reason=f"the measured heart is not at {HEART}")
def test_estimators_agree_on_a_measured_heart():
    file = scipy.io.loadmat(HEART)
    trajectory = 128 * np.stack([file["k"].real.T, file["k"].imag.T], -1)
    kspace = KSpace(
        data=file["rawdata"].transpose(2, 1, 0)[None].astype(np.complex64),
        trajectory=trajectory[None].astype(np.float32),
        matrix=(128, 128),
    )
    maps = {name: estimate_maps(kspace, name)[:, 44:84, 44:84] for name in NAMES}
    for name in NAMES:
        overlap = np.abs(np.sum(maps[name].conj() * maps["nlinv"], axis=0))
        assert np.median(overlap) > 0.9, name


@pytest.fixture
def spoil(monkeypatch):
    """Make an estimator fail as it might."""

    def spoil(name, failure=None):
        def maps(calibration, matrix):
            if failure is not None:
                raise failure
            return torch.full((calibration.samples.shape[0], *matrix), torch.nan, dtype=torch.complex64)

        monkeypatch.setattr(f"python_recon.coil_maps.{name}.maps", maps)

    return spoil


@pytest.mark.parametrize("failure", [torch.linalg.LinAlgError("no convergence"), None])
def test_a_failed_estimator_gives_way_to_the_simplest(simulate_scan, spoil, failure):
    spoil("espirit", failure)
    kspace = simulate_scan(34).kspace
    found, expected = (estimate(kspace, CoilConfig(maps=name)) for name in ("espirit", "low_resolution"))
    assert found.source == "low_resolution"
    assert found.comment.startswith("coil maps by 'espirit' failed")
    np.testing.assert_array_equal(found.maps, expected.maps)


def test_without_any_maps_there_is_an_error(simulate_scan, spoil):
    spoil("espirit")
    spoil("low_resolution")
    with pytest.raises(DataError, match=r"'low_resolution' failed \(they are not finite"):
        estimate(simulate_scan(34).kspace, CoilConfig(maps="espirit"))
