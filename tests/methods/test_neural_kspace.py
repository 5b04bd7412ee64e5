"""NIK and PISCO as methods; small fields and few steps, which show what happens but not their quality."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from python_recon.data import CoilMaps
from python_recon.errors import BackendError, ConfigError
from python_recon.methods import neural_kspace
from python_recon.methods.registry import resolve
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.methods.test_all import with_padding
from tests.numerics import as_numpy, relative_error, run_method, scaled, scan_heart, told_share

OURS = ["nik", "pisco", "pisco_dist"]
PAPERS = ["nik_paper", "pisco_paper", "pisco_dist_paper"]
SMALL = {"steps": 20, "batch": 256, "width": 32, "n_features": 64}


def run(name, scan, kspace=None, maps=None, **options):
    return run_method(name, kspace or scan.kspace, maps or scan.maps, **{**SMALL, **options})


@pytest.fixture(scope="module")
def small(small_heart):
    """PSNR of what the fields are compared with."""
    return {
        name: small_heart.psnr(run_method(name, small_heart.kspace, small_heart.maps).images)
        for name in ("gridding", "subspace")
    }


@pytest.mark.parametrize("name", ["pisco", "pisco_dist"])
def test_what_builds_on_a_subspace_is_not_worse_than_it(small_heart, small, name):
    psnr = small_heart.psnr(run(name, small_heart).images)
    assert psnr > small["subspace"] - 0.3
    assert psnr > small["gridding"] + 5


@pytest.mark.parametrize("name", OURS + PAPERS)
def test_images_are_complex64_on_the_device_of_the_data(small_heart, device, name):
    kspace = small_heart.kspace.to_torch(device)
    copy = kspace.data.clone()
    result = run_method(name, kspace, small_heart.maps, device, **{**SMALL, "steps": 2})
    assert result.images.dtype == torch.complex64
    assert result.images.device.type == device
    assert tuple(result.images.shape) == (6, 32, 32)
    assert torch.isfinite(torch.view_as_real(result.images)).all()
    assert result.details["steps"] == 2 + (3 if name in ("pisco", "pisco_dist") else 0)  # and trials
    assert result.state is not None
    assert torch.equal(kspace.data, copy)


LEARNING = {"steps": 200, "batch": 512, "width": 64, "n_features": 128, "sigma": 2.0, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def learned(small_heart):
    """NIK after some seconds."""
    return run("nik", small_heart, **LEARNING)


def test_nik_learns(small_heart, learned):
    untrained = run("nik", small_heart, **{**LEARNING, "steps": 1})
    assert learned.details["losses"][-1] < 0.3 * learned.details["losses"][0]
    assert min(learned.details["held_out"]) < untrained.details["held_out"][0] - 0.05
    assert small_heart.psnr(learned.images) > small_heart.psnr(untrained.images) + 4


@pytest.mark.parametrize("name", OURS)
def test_same_seed_same_images(small_heart, name):
    """Without a start, which has no seed and may be all that is seen."""
    first, again = (run(name, small_heart, start="none") for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, run(name, small_heart, start="none", seed=1).images)


@pytest.mark.parametrize(("name", "scale"), [("nik", 1e-7), ("pisco", 1e5), ("pisco_dist", 1e-7)])
def test_images_scale_with_the_data(small_heart, name, scale):
    # What nik has not learned yet depends on temporal functions of noise: it is given others here.
    options = {"harmonics": 2} if name == "nik" else {}
    kspace = scaled(small_heart.kspace, scale)
    result = run(name, small_heart, kspace, **options).images / scale
    assert relative_error(result, run(name, small_heart, **options).images) < 5e-3


@pytest.mark.parametrize("name", OURS)
def test_padding_does_not_show(small_heart, name):
    """Padding has neither samples nor a time, also where the clock is that of a scanner."""
    kspace = replace(small_heart.kspace, spoke_times_s=small_heart.kspace.spoke_times_s + 36_000)
    result = run(name, small_heart, with_padding(kspace, 3)).images
    assert relative_error(result, run(name, small_heart, kspace).images) < 5e-3


@pytest.mark.parametrize("name", OURS)
def test_a_frame_without_spokes_is_bridged(small_heart, name):
    mask = np.ones((6, 8), bool)
    mask[3] = False
    kspace = small_heart.kspace
    kspace = replace(
        kspace,
        data=kspace.data * mask[:, None, :, None],
        density=kspace.density * mask[..., None],
        spoke_mask=mask,
        spoke_times_s=np.where(mask, kspace.spoke_times_s + 36_000, 0.0),
    )
    images = np.abs(as_numpy(run(name, small_heart, kspace).images))
    assert np.isfinite(images).all()
    if name != "nik":
        assert relative_error(images[3], images[[2, 4]].mean(0)) < 0.05


@pytest.mark.parametrize("name", OURS)
def test_frames_that_are_all_the_same(small_heart, name):
    kspace = small_heart.kspace
    still = [small_heart.phantom.kspace(frame, np.zeros(8)) for frame in kspace.trajectory]
    kspace = replace(kspace, data=(32 * np.stack(still)).astype(np.complex64))
    images = run(name, small_heart, kspace).images
    assert torch.isfinite(torch.view_as_real(images)).all()
    if name != "nik":
        assert relative_error(images[1:], images[:-1]) < 0.05


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("has_stamps", [True, False])
def test_one_frame(small_heart, name, has_stamps):
    frame = small_heart.kspace.frames(slice(2, 3))
    frame = frame if has_stamps else replace(frame, spoke_times_s=None)
    result = run(name, small_heart, frame)
    assert tuple(result.images.shape) == (1, 32, 32)
    assert torch.isfinite(torch.view_as_real(result.images)).all()
    assert result.comment.startswith("one frame: the field is static")


class TestWhatTheDataDoNotAllow:
    @pytest.mark.parametrize("name", ["pisco", "pisco_dist", "pisco_paper"])
    def test_one_coil_has_no_neighbours(self, name):
        scan = scan_heart(6, 21, 1, (32, 32))
        maps = CoilMaps(np.ones((1, 32, 32), np.complex64), "none")
        result = run(name, scan, maps=maps, steps=2)
        told = "one coil has no neighbours to learn from: fitted without PISCO"
        assert result.comment == "; ".join(filter(None, [told, told_share(result)]))
        assert torch.isfinite(torch.view_as_real(result.images)).all()

    def test_one_coil_is_enough_for_nik(self):
        scan = scan_heart(6, 21, 1, (32, 32))
        result = run("nik", scan, maps=CoilMaps(np.ones((1, 32, 32), np.complex64), "none"), steps=2)
        assert result.comment == ""

    def test_spokes_that_are_too_few_to_judge_by_leave_the_subspace(self, small_heart):
        kspace = small_heart.kspace.frames(slice(0, 2))
        result = run("pisco", small_heart, kspace)
        assert result.comment.startswith(
            "16 spokes are too few to hold some out (from 20 on); without a judge"
        )
        expected = run_method("subspace", kspace, small_heart.maps).images
        torch.testing.assert_close(result.images, expected)
        assert result.state.net is None

    def test_nik_then_does_without_a_judge(self, small_heart):
        result = run("nik", small_heart, small_heart.kspace.frames(slice(0, 2)))
        assert result.comment == "16 spokes are too few to hold some out (from 20 on)"
        assert result.details["steps"] == 20
        assert result.details["held_out"] == []

    def test_a_fit_that_diverges_gives_way_to_the_subspace(self, small_heart):
        options = {**SMALL, "learning_rate": 1e37, "anneals": False}
        with pytest.raises(BackendError, match="diverged"):
            run("nik", small_heart, **options)
        kspace, maps = small_heart.kspace.to_torch(), small_heart.maps.to_torch()
        outcome = climb_down(kspace, maps, "nik", options, Budget())
        assert outcome.method == "subspace"
        assert "nik failed: the fit diverged" in outcome.comment
        expected = run_method("subspace", small_heart.kspace, small_heart.maps).images
        torch.testing.assert_close(outcome.reconstruction.images, expected)


class TestTime:
    @pytest.mark.parametrize("name", ["nik", "pisco", "pisco_paper"])
    def test_a_deadline_ends_a_long_fit(self, small_heart, name):
        started = time.monotonic()
        options = {**SMALL, "steps": 10**6, "held_out_share": 0}
        kspace, maps = small_heart.kspace.to_torch(), small_heart.maps.to_torch()
        images = climb_down(kspace, maps, name, options, Budget(0.5)).reconstruction.images
        assert time.monotonic() - started < 3
        assert torch.isfinite(torch.view_as_real(images)).all()

    def test_time_that_is_up_leaves_the_start_as_good_as_it_was(self, small_heart, small):
        seconds = 4.0  # ample for the start
        ends = time.monotonic() + seconds

        def sleep(stage, _done):
            """Through all of the fit's time."""
            time.sleep(max(ends - time.monotonic(), 0.0) * stage.startswith("fit"))

        budget = Budget(seconds, report=sleep)
        result = run_method("pisco", small_heart.kspace, small_heart.maps, budget=budget, **SMALL)
        assert result.details["stopped"] == "deadline"
        assert small_heart.psnr(result.images) > small["subspace"] - 1.5

    @pytest.mark.parametrize("name", ["pisco", "pisco_dist"])
    def test_no_time_at_all_gives_the_start(self, small_heart, name):
        result = run_method(name, small_heart.kspace, small_heart.maps, budget=Budget(0.0), **SMALL)
        assert result.details["steps"] == 1
        assert small_heart.psnr(result.images) > 15


class TestWarmStart:
    @staticmethod
    def first_loss(scan, start=None, **options):
        given = {**SMALL, **LEARNING, "steps": 20, **options}
        result = run_method("nik", scan.kspace, scan.maps, budget=Budget(start=start), **given)
        return result.details["losses"][0]

    def test_a_former_fit_is_begun_with(self, small_heart, learned):
        assert self.first_loss(small_heart, learned.state) < 0.3 * self.first_loss(small_heart)

    @pytest.mark.parametrize("options", [{"width": 16}, {"field": "stiff"}, {"n_features": 32}])
    def test_one_of_another_kind_or_size_is_not(self, small_heart, learned, options):
        expected = self.first_loss(small_heart, **options)
        assert self.first_loss(small_heart, learned.state, **options) == expected

    def test_the_state_of_another_method_is_not(self, small_heart):
        assert self.first_loss(small_heart, "something else") == self.first_loss(small_heart)

    def test_a_former_fit_is_not_changed(self, small_heart, learned):
        before = {name: tensor.clone() for name, tensor in learned.state.net.state_dict().items()}
        self.first_loss(small_heart, learned.state)
        now = learned.state.net.state_dict()
        assert all(torch.equal(now[name], tensor) for name, tensor in before.items())


class TestPresets:
    @pytest.mark.parametrize("name", PAPERS)
    def test_published_forms_run(self, small_heart, name):
        result = run_method(
            name, small_heart.kspace, small_heart.maps, steps=2, batch=64, width=32, n_features=64
        )
        assert result.details["steps"] == 2
        assert np.isfinite(result.details["losses"]).all()
        assert torch.isfinite(torch.view_as_real(result.images)).all()

    def test_published_settings(self):
        nik, pisco, dist = (resolve(name, {})[1] for name in PAPERS)
        assert (nik.field, nik.layers, nik.width, nik.omega) == ("coilwise", 8, 512, 30)
        assert nik.sigma == pytest.approx(1 / (2 * np.pi), rel=1e-3), "published without the factor 2 pi"
        assert (pisco.field, pisco.layers, pisco.omega, pisco.sigma) == ("stiff", 4, 20, 6)
        assert (pisco.steps, pisco.batch, pisco.learning_rate) == (5000, 10_000, 1e-5)
        assert (pisco.pisco_weight, pisco.pisco_sets, pisco.pisco_from) == (0.15, 30, 0.2)
        assert (dist.pisco_variant, dist.pisco_weight, dist.pisco_sets) == ("distance", 0.1, 12)
        for options in (nik, pisco, dist):
            assert not options.anneals
            assert options.held_out_share == 0
            assert options.output_std is None

    def test_published_pisco_takes_steps_of_its_own(self, small_heart, monkeypatch):
        plans = []
        fit = neural_kspace.fit
        monkeypatch.setattr(
            neural_kspace, "fit", lambda *args, **kwargs: plans.append(args[2]) or fit(*args, **kwargs)
        )
        for name in ("pisco", "pisco_paper"):
            run(name, small_heart, steps=1)
        assert [(plan.has_own_steps, plan.uses_amsgrad) for plan in plans] == [(False, False), (True, True)]

    @pytest.mark.parametrize("name", OURS + PAPERS)
    @pytest.mark.parametrize(
        "options", [{"steps": 0}, {"pisco_weight": -1}, {"held_out_share": 0.9}, {"time": "lunar"}]
    )
    def test_options_out_of_range_are_refused(self, name, options):
        with pytest.raises(ConfigError, match=f"options of method '{name}'.*{next(iter(options))}"):
            resolve(name, options)


def test_a_beating_heart_may_be_fitted_by_its_phase():
    scan = scan_heart(30, 8, 4, (32, 32), spacing_s=0.01)
    result = run("nik", scan, time="cardiac", harmonics=2)
    assert result.state.axis.kind == "periodic"
    assert torch.isfinite(torch.view_as_real(result.images)).all()
    with pytest.raises(ConfigError, match=r"needs options\.time scan, or options\.start none"):
        run("pisco", scan, time="cardiac")
