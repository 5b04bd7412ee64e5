"""The time of a field, and what it is where the scan does not tell the one that was asked for."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.gating.cardiac_frames import gate
from python_recon.acquisition.radial.density import ramp_density
from python_recon.config import BinningConfig
from python_recon.fields.time_axis import SplineBasis
from python_recon.fitting.checkpoint import load
from python_recon.fitting.field_time import time_axis
from python_recon.fitting.gathered import gather
from python_recon.methods.st_inr_paper import StInrPaperOptions, objective_of
from python_recon.physiology import Physiology
from tests.numerics import complex_noise, relative_error, run_method, scan_heart

FEW = {"steps": 4, "width": 16}
SMALL_FIELD = {**FEW, "batch": 64, "n_features": 16}
R_WAVES = np.arange(-0.5, 6.0, 0.8)


@pytest.fixture(scope="module")
def beating():
    """Four seconds in 100 frames, with R waves from an ECG."""
    scan = scan_heart(100, 5, 4, (32, 32), spacing_s=0.008, truth_every=100, r_waves_s=tuple(R_WAVES))
    kspace = replace(scan.kspace, physiology_s=None, physiology=Physiology(R_WAVES, "ECG"))
    return replace(scan, kspace=kspace)


@pytest.fixture(scope="module")
def gated(beating):
    """The same in phases of one beat."""
    kspace = gate(beating.kspace, beating.kspace.physiology, BinningConfig(by="cardiac", cardiac_phases=10))
    return replace(beating, kspace=replace(kspace, density=ramp_density(kspace)))


@pytest.mark.parametrize(
    ("kind", "lack"),
    [("cardiac", "fewer than two heartbeats were found"), ("breathing", "no breathing was found")],
)
@pytest.mark.parametrize("name", ["nik", "iconik"])
def test_where_the_signal_is_missing_it_is_that_of_the_scan(small_heart, name, kind, lack, caplog):
    kspace = replace(small_heart.kspace, physiology_s=None)
    few = {**SMALL_FIELD, "calibration_steps": 1, "refinement_steps": 1} if name == "iconik" else SMALL_FIELD
    with caplog.at_level(logging.WARNING):
        result = run_method(name, kspace, small_heart.maps, **few, time=kind)
    told = f"{lack}: the field's time is that of the scan"
    assert told in result.comment
    assert [record.message for record in caplog.records] == [f"slice 0: {told}"]
    expected = run_method(name, kspace, small_heart.maps, **few)
    assert torch.equal(result.images, expected.images)


def test_r_waves_of_the_whole_scan_do_without_stamps(beating):
    axis, lack = time_axis(beating.kspace, "cardiac")
    assert lack == ""
    assert axis.kind == "periodic"
    np.testing.assert_allclose(axis.of([0.3, 0.7, 1.1]), [0.0, 0.5, 0.0], atol=1e-6)


@pytest.mark.parametrize("kind", ["scan", "cardiac", "breathing"])
def test_frames_that_are_phases_have_the_time_of_their_beat(gated, kind):
    axis, lack = time_axis(gated.kspace, kind)
    assert ("that of the beat" in lack) == (kind == "breathing")
    assert axis.duration_s == pytest.approx(0.8)
    np.testing.assert_allclose(axis.of(gated.kspace.times_s), (np.arange(10) + 0.5) / 10, atol=1e-5)


def test_a_scan_without_a_clock_has_phases_all_the_same(gated):
    axis, _ = time_axis(replace(gated.kspace, spoke_times_s=None), "scan")
    np.testing.assert_allclose(axis.of(np.arange(10)), np.arange(10) / 10, atol=1e-6)


def test_the_ends_of_a_breath_are_apart_where_time_wraps():
    """Functions of period 1 would take expiration for inspiration, if they lay at 0 and 1."""
    scan = scan_heart(100, 5, 4, (32, 32), spacing_s=0.03, truth_every=100, breathing_amplitude_mm=12.0)
    spans = {}
    for wraps in (False, True):
        axis, lack = time_axis(scan.kspace, "breathing", wraps=wraps)
        assert (axis.kind, lack) == ("navigator", "")
        spans[wraps] = np.ptp(axis.of(scan.kspace.spoke_times_s)), axis.span
    assert spans[False] == pytest.approx((1.0, 1.0))
    assert spans[True] == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("name", ["nik", "pisco", "subspace_inr", "st_inr"])
def test_a_basis_of_phases_wraps(gated, name, tmp_path):
    """It is learned from the phases, and the images at the end of the beat are those at its begin."""
    path = tmp_path / "field.safetensors"
    few = SMALL_FIELD if name in ("nik", "pisco") else FEW
    result = run_method(name, gated.kspace, gated.maps, **few, checkpoint=str(path))
    parts = [part for part in (result.state.net, result.state.start) if part is not None]
    bases = [module for part in parts for module in part.modules() if isinstance(module, SplineBasis)]
    assert bases
    assert all(basis.is_periodic for basis in bases)
    begin_s = result.state.axis.start_s
    first, last = torch.cat(list(result.state.render(begin_s + 0.8 * np.array([1e-5, 1 - 1e-5]))))
    assert relative_error(last, first) < 1e-2
    again = torch.cat(list(load(path).fitted.render(gated.kspace.times_s)))
    torch.testing.assert_close(again, torch.cat(list(result.state.render(gated.kspace.times_s))))


def test_the_published_variation_joins_last_and_first_phase(gated):
    problem = gather(gated.kspace.to_torch(), gated.maps.to_torch(), "scan", 0.0)
    options = StInrPaperOptions(temporal_variation=3.0, nuclear_norm=0.0)
    images = torch.as_tensor(complex_noise((10, 32, 32))).requires_grad_()
    largest = images.detach().abs().amax()

    def varying(differences):
        return torch.view_as_real(differences).abs().sum(-1).mean()

    joined = objective_of(problem, problem.scale, options)
    cut = replace(joined, is_periodic=False)
    (expected,) = torch.autograd.grad(3.0 * varying(images.roll(-1, 0) - images) / largest, images)
    (apart,) = torch.autograd.grad(3.0 * varying(images.diff(dim=0)) / largest, images)
    data_slope = cut.slope(images)[0] - apart
    torch.testing.assert_close(joined.slope(images)[0], data_slope + expected)
