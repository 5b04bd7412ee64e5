from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.acquisition.noise_level import with_noise
from python_recon.acquisition.spokes import frame_times
from python_recon.coil_maps import estimate
from python_recon.config import CoilConfig
from python_recon.errors import BackendError
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import Correction
from python_recon.fields.view import View
from python_recon.fitting.gathered import gather
from python_recon.methods import field_problem, st_inr
from python_recon.methods.field_problem import low_rank_start
from python_recon.methods.registry import resolve
from python_recon.methods.st_inr import distil
from python_recon.methods.subspace import SubspaceOptions
from python_recon.methods.subspace_inr import new_field
from python_recon.resources.schedule import Budget
from tests.numerics import as_numpy, complex_noise, relative_error, run_method, scaled, scan_heart, told_share

SMALL = {"levels": 4, "width": 24, "distillation_steps": 30, "steps": 20}


@pytest.fixture(scope="module")
def sparse():
    """16 frames of 4 spokes, matrix 48, 4 coils."""
    scan = scan_heart(16, 4, 4, (48, 48))
    return replace(scan, maps=estimate(scan.kspace, CoilConfig()))


@pytest.fixture(scope="module")
def fitted(sparse):
    return run_method("st_inr", sparse.kspace, sparse.maps)


def test_images_are_better_than_those_of_grasp(sparse, fitted):
    """By 0.6 dB when it was measured."""
    grasp = run_method("grasp", sparse.kspace, sparse.maps)
    assert sparse.psnr(fitted.images) > sparse.psnr(grasp.images) + 0.3


def test_images_are_no_worse_than_the_start(sparse, fitted):
    subspace = run_method("subspace", sparse.kspace, sparse.maps)
    assert sparse.psnr(fitted.images) > sparse.psnr(subspace.images) - 0.2


def test_where_the_field_is_clearly_better_it_has_a_share_and_else_the_start_its_name(sparse, fitted):
    """Its shares are what held-out spokes ask for, beyond what noise makes them ask for by chance."""
    shares = fitted.details["shares"]
    assert len(shares) == 8
    assert max(shares) <= 1
    assert fitted.made_by == ("" if any(shares) else "subspace")
    assert fitted.comment == told_share(fitted)
    assert isinstance(fitted.state.net, Correction)
    subspace = run_method("subspace", sparse.kspace, sparse.maps).images
    assert (relative_error(fitted.images, subspace) < 0.02) == (not any(shares))


@pytest.mark.parametrize("set_to", ["auto", 0.7])
def test_the_spatial_weight_is_twice_that_of_the_start_unless_it_is_set(sparse, monkeypatch, set_to):
    """In units of the noise, whatever the undersampling: the risk chose it for the start, which is smoothed
    over time as well."""
    weights, chosen = [], []

    def run(fit, weight, steps, budget):
        weights.append(weight)
        return st_inr_fit(fit, weight, steps, budget)

    def choose(*arguments):
        chosen.append(subspace_choose(*arguments))
        return chosen[-1]

    st_inr_fit, subspace_choose = st_inr.ComponentFit.run, field_problem.choose
    monkeypatch.setattr(st_inr.ComponentFit, "run", run)
    monkeypatch.setattr(field_problem, "choose", choose)
    run_method("st_inr", sparse.kspace, sparse.maps, **SMALL, spatial_regularisation=set_to)
    assert len(chosen) == 1, "the search is made once, for the start and for its second solution"
    assert weights == [2 * chosen[0].spatial_regularisation if set_to == "auto" else set_to]


@pytest.mark.cuda
def test_cuda_gives_the_images_of_the_cpu(small_heart):
    result = run_method("st_inr", small_heart.kspace, small_heart.maps, "cuda", **SMALL)
    assert result.images.is_cuda
    expected = run_method("st_inr", small_heart.kspace, small_heart.maps, **SMALL)
    assert relative_error(result.images, expected.images) < 0.05


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["subspace_inr", "st_inr"])
def test_captured_steps_are_those_taken_one_by_one(small_heart, name):
    options = {key: value for key, value in SMALL.items() if name == "st_inr" or key[:5] != "disti"}
    results = [
        run_method(name, small_heart.kspace, small_heart.maps, "cuda", compiled=compiled, **options)
        for compiled in ("auto", "off")
    ]
    assert results[0].details["losses"] == pytest.approx(results[1].details["losses"], rel=0.02)
    assert relative_error(results[0].images, results[1].images) < 0.02


def test_distillation_teaches_the_images_of_the_start(small_heart):
    options = resolve("st_inr", {})[1]
    kspace, maps = with_noise(small_heart.kspace).to_torch(), small_heart.maps.to_torch()
    problem = gather(kspace, maps, "scan", 0.05)
    with torch.no_grad():
        start = low_rank_start(problem, problem.kspace, SubspaceOptions(), Budget())
        net = new_field(problem, start.temporal, options)
        distil(net, start, 150, Budget())
        assert relative_error(net.components(View.whole(problem.kspace.matrix)), start.pixels) < 0.1


def test_moments_between_the_frames_and_finer_pixels_are_rendered(sparse, fitted):
    times = frame_times(sparse.kspace)
    between = (times[1:] + times[:-1]) / 2
    images = torch.cat(list(fitted.state.render(between)))
    truth = sparse.phantom.reference(between, (48, 48))
    assert replace(sparse, truth=truth).psnr(images) > sparse.psnr(fitted.images) - 1
    fine = torch.cat(list(fitted.state.render(times[:2], (96, 96))))
    assert relative_error(fine[:, ::2, ::2], fitted.images[:2]) < 0.02


def test_a_fit_starts_from_that_of_a_neighbour(sparse, fitted):
    few = {"distillation_steps": 1, "steps": 1, "learning_rate": 1e-6, "held_out_share": 0.05}
    warm = run_method("st_inr", sparse.kspace, sparse.maps, budget=Budget(start=fitted.state), **few)
    cold = run_method("st_inr", sparse.kspace, sparse.maps, **few)
    assert warm.details["losses"][-1] < 0.8 * cold.details["losses"][-1]


@pytest.mark.parametrize("frames", [slice(2, 3), slice(0, 6)])
@pytest.mark.parametrize("share", [0.05, 0.0])
def test_without_held_out_spokes_the_start_is_all(sparse, frames, share):
    """One frame is static; six of these still have enough spokes unless none are to be held out."""
    kspace = sparse.kspace.frames(frames)
    result = run_method("st_inr", kspace, sparse.maps, **{**SMALL, "held_out_share": share})
    assert result.images.shape == (kspace.n_frames, 48, 48)
    is_few = kspace.n_frames == 1
    if is_few or share == 0:
        expected = run_method("subspace", kspace, sparse.maps).images
        assert relative_error(result.images, expected) < 1e-4
        assert "without a judge, the images are those of the subspace start" in result.comment
        assert result.made_by == "subspace"
        assert ("too few to hold some out" in result.comment) == (share > 0)
        assert isinstance(result.state, FittedField)
    else:
        assert result.comment == told_share(result)


def test_one_frame_of_many_spokes_is_static():
    scan = scan_heart(1, 40, 4, (32, 32))
    result = run_method("st_inr", scan.kspace, scan.maps, **SMALL)
    assert result.images.shape == (1, 32, 32)
    assert result.details["held_out"]
    assert scan.psnr(result.images) > 20


def test_no_time_at_all_gives_images_all_the_same(small_heart):
    result = run_method("st_inr", small_heart.kspace, small_heart.maps, budget=Budget(0.0))
    assert result.details["stopped"] == "deadline"
    assert result.details["steps"] == 1
    assert small_heart.psnr(result.images) > 15


@pytest.mark.parametrize(("seconds", "n_starts"), [(1000.0, 2), (0.0, 1)])
def test_time_for_the_last_start_is_kept(small_heart, monkeypatch, seconds, n_starts):
    """The fit leaves what solving the start anew takes; where there is no time, the first start remains."""
    budgets, starts = [], []

    def run(fit, weight, steps, budget):
        budgets.append(budget)
        return st_inr_fit(fit, weight, steps, budget)

    def low_rank_start(*arguments):
        starts.append(arguments)
        time.sleep(0.1)
        return st_inr_start(*arguments)

    st_inr_fit, st_inr_start = st_inr.ComponentFit.run, field_problem.low_rank_start
    monkeypatch.setattr(st_inr.ComponentFit, "run", run)
    monkeypatch.setattr(field_problem, "low_rank_start", low_rank_start)
    run_method("st_inr", small_heart.kspace, small_heart.maps, budget=Budget(seconds), **SMALL)
    assert seconds - budgets[0].seconds > 0.15
    assert len(starts) == n_starts


@pytest.mark.sensitive
@pytest.mark.parametrize("scale", [1e-7, 1e5])
def test_images_scale_with_the_data(small_heart, scale):
    kspace = scaled(small_heart.kspace, scale)
    result = run_method("st_inr", kspace, small_heart.maps, **SMALL).images / scale
    expected = run_method("st_inr", small_heart.kspace, small_heart.maps, **SMALL).images
    assert relative_error(result, expected) < 1e-3


def test_noise_alone_gives_finite_images(small_heart):
    kspace = replace(small_heart.kspace, data=complex_noise(small_heart.kspace.data.shape))
    assert np.isfinite(as_numpy(run_method("st_inr", kspace, small_heart.maps, **SMALL).images)).all()


def test_divergence_is_an_error(small_heart):
    with pytest.raises(BackendError, match=r"diverged.*options\.learning_rate"):
        run_method("st_inr", small_heart.kspace, small_heart.maps, **{**SMALL, "learning_rate": 1e30})
