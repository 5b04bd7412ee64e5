from __future__ import annotations

import pytest
import torch

from python_recon.acquisition.noise_level import with_noise
from python_recon.config import load_preset
from python_recon.fields.view import View
from python_recon.fitting.gathered import gather
from python_recon.methods import st_inr_paper
from python_recon.methods.registry import resolve
from python_recon.methods.st_inr_paper import Objective, StInrPaperOptions, new_field
from python_recon.operators.sense import Sense
from tests.numerics import complex_noise, relative_error, run_method

SMALL = {"levels": 4, "base_resolution": 6, "log2_table_size": 12, "width": 24, "layers": 2}
VIEW = View.whole((32, 32))


def problem_of(scan):
    kspace, maps = with_noise(scan.kspace).to_torch(), scan.maps.to_torch()
    return gather(kspace, maps, "scan", 0.0)


def objective_of(problem, **options):
    kspace = problem.kspace
    weights = torch.ones(kspace.n_frames, 1, kspace.n_spokes, 1)
    return Objective(Sense(kspace, problem.maps), kspace.data, weights, StInrPaperOptions(**options))


def test_defaults_are_as_published():
    """Feng et al., doi:10.1109/TMI.2025.3526452."""
    options = resolve("st_inr_paper", {})[1]
    assert (options.levels, options.features, options.base_resolution, options.scale) == (16, 2, 16, 2.0)
    assert (options.layers, options.width) == (5, 128)
    assert (options.steps, options.learning_rate, options.weight_decay) == (1600, 1e-3, 1e-6)
    assert (options.temporal_variation, options.nuclear_norm, options.epsilon) == (0.02, 2e-4, 1e-4)
    assert "hours on a CPU" in load_preset("st_inr_paper").description


def test_the_fit_goes_towards_the_scan(small_heart):
    few, many = (
        run_method("st_inr_paper", small_heart.kspace, small_heart.maps, steps=n, learning_rate=1e-2, **SMALL)
        for n in (2, 60)
    )
    assert many.details["losses"][-1] < 0.8 * few.details["losses"][-1]
    assert small_heart.psnr(many.images) > small_heart.psnr(few.images) + 5
    assert many.details["held_out"] == []


def test_slope_of_the_objective_is_that_of_its_parts(small_heart):
    """Against explicit formulae: denominators held fixed, parts apart, singular vectors for the norm."""
    problem = problem_of(small_heart)
    images = torch.as_tensor(complex_noise((6, 32, 32), 3))
    parts = {"temporal_variation": 0.0, "nuclear_norm": 0.0}
    data_slope, misfit = objective_of(problem, **parts).slope(images)
    sense, data = Sense(problem.kspace, problem.maps), problem.kspace.data
    predicted = torch.view_as_real(sense.forward(images))
    error = predicted - torch.view_as_real(data)
    denominator = predicted.square() + 1e-4
    n_samples = error.numel() / 2
    assert float(misfit) == pytest.approx(float((error.square() / denominator).sum() / n_samples), rel=1e-3)
    expected = sense.adjoint(torch.view_as_complex(2 * error / denominator / n_samples))
    assert relative_error(data_slope, expected) < 1e-3

    low_rank = objective_of(problem, temporal_variation=0.0, nuclear_norm=0.3).slope(images)[0] - data_slope
    left, _, right = torch.linalg.svd(images.flatten(1), full_matrices=False)
    assert relative_error(low_rank, (0.3 / 6) * (left @ right).reshape(6, 32, 32)) < 2e-2

    varying = objective_of(problem, temporal_variation=7.0, nuclear_norm=0.0).slope(images)[0] - data_slope
    signs = torch.view_as_complex(torch.view_as_real(torch.diff(images, dim=0)).sign())
    signs = 7.0 * signs / signs.numel() / images.abs().amax()
    zero = torch.zeros(1, 32, 32)
    assert relative_error(varying, torch.cat([zero, signs]) - torch.cat([signs, zero])) < 2e-2


def test_a_series_of_low_rank_has_a_finite_slope(small_heart):
    images = torch.as_tensor(complex_noise((1, 32, 32), 3)).expand(6, -1, -1)
    for series in (images, torch.zeros_like(images)):
        slope, _ = objective_of(problem_of(small_heart), nuclear_norm=1.0).slope(series)
        assert torch.isfinite(torch.view_as_real(slope)).all()


def test_frames_in_parts_give_the_gradient_of_the_whole(small_heart):
    problem, gradients = problem_of(small_heart), []
    for points in (6 * 1024, 2 * 1024):
        objective = objective_of(problem, batch=points)
        net = new_field(problem, StInrPaperOptions(**SMALL))
        st_inr_paper._accumulate(
            net,
            objective,
            problem.frame_coordinates,
            VIEW,
            net.grid.level_weights(2.5),
        )
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert float(gradients[0].abs().amax()) > 0
    assert relative_error(*gradients) < 1e-4


def test_levels_are_unlocked_one_after_the_other():
    options = StInrPaperOptions(levels=5, unlocking=0.5)
    shares = [st_inr_paper._n_unlocked(done, options) for done in (0, 0.09, 0.11, 0.31, 0.41, 0.5, 1)]
    assert shares == [1, 1, 2, 4, 5, 5, 5]
    assert st_inr_paper._n_unlocked(0, StInrPaperOptions(levels=5, unlocking=0)) == 5


def test_locked_levels_get_no_gradient(small_heart):
    problem = problem_of(small_heart)
    net = new_field(problem, StInrPaperOptions(**SMALL))
    st_inr_paper._accumulate(
        net,
        objective_of(problem),
        problem.frame_coordinates,
        VIEW,
        net.grid.level_weights(2.0),
    )
    third = int(net.grid.offsets[2])
    assert not net.grid.table.grad[third:].any()
    assert net.grid.table.grad[:third].any()


def test_padding_does_not_count(small_heart):
    """Spokes that were not measured are zeros at the centre of k-space, where nothing is zero."""
    problem = problem_of(small_heart)
    objective = objective_of(problem)
    images = torch.as_tensor(complex_noise((6, 32, 32), 3))
    weights = objective.weights.clone()
    weights[:, :, 6:] = 0
    spoilt = problem.kspace.data.clone()
    spoilt[:, :, 6:] = 99
    results = [
        Objective(objective.sense, data, weights, objective.options).slope(images)
        for data in (spoilt, problem.kspace.data)
    ]
    assert torch.equal(results[0][0], results[1][0])
    assert float(results[0][1]) == float(results[1][1])


def test_one_frame_is_static(small_heart):
    frame = small_heart.kspace.frames(slice(2, 3))
    result = run_method("st_inr_paper", frame, small_heart.maps, steps=3, **SMALL)
    assert result.images.shape == (1, 32, 32)
    assert torch.isfinite(torch.view_as_real(result.images)).all()


def test_it_renders_at_any_time_and_matrix(small_heart):
    result = run_method("st_inr_paper", small_heart.kspace, small_heart.maps, steps=3, **SMALL)
    times = small_heart.kspace.times_s
    fine = torch.cat(list(result.state.render(times, (64, 64))))
    assert relative_error(fine[:, ::2, ::2], result.images) < 1e-3
