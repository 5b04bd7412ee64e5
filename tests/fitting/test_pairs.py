from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from python_recon.data import NoiseLevel
from python_recon.errors import DataError
from python_recon.fitting.pairs import SampledLoss, SolvedSlice, quadratic
from python_recon.fitting.split_pairs import SplitMaker
from python_recon.operators.sense import data_weights
from tests.numerics import complex_noise, relative_error, scan_heart

NOISE, FRAMES = 0.03, 14


@pytest.fixture(scope="module")
def solved():
    scan = scan_heart(FRAMES, 9, 3, (24, 24), noise=NOISE)
    kspace = replace(scan.kspace, noise=NoiseLevel(NOISE, is_measured=True)).to_torch()
    basis = torch.linalg.qr(torch.randn(FRAMES, 2, generator=torch.Generator().manual_seed(1))).Q
    return SolvedSlice(kspace, scan.maps.to_torch(), basis, torch.as_tensor(complex_noise((2, 24, 24), 5)))


def test_value_and_slope_of_the_quadratic():
    root = complex_noise((30, 24), 1)
    normal = torch.as_tensor(root.conj().T @ root)
    gram = lambda images: (normal @ images.flatten()).reshape(images.shape)  # noqa: E731
    target = torch.as_tensor(complex_noise((2, 3, 4), 2))
    change = torch.as_tensor(complex_noise((2, 3, 4), 3)).requires_grad_()
    value = quadratic(gram, change, target)
    value.backward()
    plain = change.detach().clone().requires_grad_()
    expected = (plain.conj() * (gram(plain) - 2 * target)).real.sum()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert relative_error(change.grad, plain.grad) < 1e-4


def test_steps_see_frames_all_over_the_series_and_all_of_them_in_turn(solved):
    """What is wrong in one frame is seen by one part of the steps."""
    weights = data_weights(solved.kspace)
    data = solved.sense.forward(solved.series(solved.components))
    data[5] *= 2
    loss = SampledLoss(solved, "usual", solved.components, data, weights)
    unchanged = torch.zeros_like(solved.components)
    errors = [loss(unchanged, number).item() for number in range(6)]
    assert errors[:3] == errors[3:]
    assert [error > 0.01 for error in errors[:3]].count(True) == 1


def test_pairs_of_held_out_spokes_share_no_sample(solved):
    """The loss does not see what the start is made of, nor the start what it is judged by."""
    maker = SplitMaker(solved, 3, 2, "usual", seed=1)
    seen = []

    def solve(gram, right_side, share):
        seen.append((right_side, share))
        return torch.zeros_like(right_side)

    unchanged = torch.zeros_like(solved.components)
    pairs = [maker.pair(0, solve), maker.pair(1, solve), maker.judge(solve)]
    other = replace(solved.kspace, data=solved.kspace.data.clone())
    held = (maker._groups == 0)[:, None].expand(other.data.shape)
    other.data[held] = 9.0
    changed = SplitMaker(replace(solved, kspace=other), 3, 2, "usual", seed=1)
    again = [changed.pair(0, solve), changed.pair(1, solve), changed.judge(solve)]
    sides = [right_side for right_side, _ in seen]
    assert torch.equal(sides[0], sides[3])
    assert relative_error(sides[4], sides[1]) > 0.01
    of_losses = [[pair.loss(unchanged, 0).item() for pair in each] for each in (pairs, again)]
    assert of_losses[0][1:] == of_losses[1][1:]
    assert [round(share, 1) for _, share in seen[:3]] == [0.4, 0.4, 0.6]


def test_a_quadratic_loss_of_held_out_spokes_is_that_of_their_samples(solved):
    """1 for nothing; the true change makes it smaller, the opposite larger."""
    clean = solved.sense.forward(solved.series(solved.components))
    known = replace(solved, kspace=replace(solved.kspace, data=clean))
    pair = SplitMaker(known, 3, 2, "density", seed=1).pair(
        0, lambda _gram, right_side, _share: 0 * right_side
    )
    nothing, whole = torch.zeros_like(solved.components), solved.components
    assert pair.loss(nothing, 0).item() == pytest.approx(1, abs=1e-6)
    assert pair.loss(whole, 0) < pair.loss(0.5 * whole, 0) < 1 < pair.loss(-whole, 0)


def test_more_groups_than_spokes_are_refused(solved):
    few = replace(solved, kspace=solved.kspace.frames(slice(0, 1)), basis=solved.basis[:1])
    with pytest.raises(DataError, match="ask for fewer"):
        SplitMaker(few, 8, 4, "density", seed=0)
