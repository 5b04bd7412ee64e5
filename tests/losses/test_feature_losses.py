from __future__ import annotations

import math

import pytest
import torch

from python_recon.errors import ShapeError
from python_recon.losses import contrastive, recall, vicreg

THINGS, FEATURES = 16, 8


def vectors(seed=0, n=THINGS):
    return torch.randn(n, FEATURES, generator=torch.Generator().manual_seed(seed))


def test_views_of_one_thing_that_agree_cost_less():
    one = vectors()
    near, far = one + 0.1 * vectors(1), vectors(2)
    assert contrastive(one, near) < 0.5 * contrastive(one, far)
    assert vicreg(one, near) < 0.5 * vicreg(one, far)


def test_contrastive_of_two_things_is_the_formula():
    one, other = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    # Of every vector the products with the three others are 1 (its own) and 0, 0.
    expected = -math.log(math.exp(1 / 0.5) / (math.exp(1 / 0.5) + 2))
    assert float(contrastive(one, other, 0.5)) == pytest.approx(expected, rel=1e-5)


def test_lengths_do_not_matter_to_the_contrastive_loss():
    one, other = vectors(), vectors(1)
    assert float(contrastive(10 * one, 0.1 * other)) == pytest.approx(
        float(contrastive(one, other)), rel=1e-5
    )


def test_vicreg_wants_things_that_differ():
    """All alike agree perfectly, and say nothing: the variance over the things forbids it."""
    same = vectors(n=1).expand(THINGS, -1)
    assert vicreg(same, same) > 20
    different = 1.5 * vectors(n=200)
    assert vicreg(different, different) < 0.2 * vicreg(same, same)


def test_vicreg_wants_features_that_do_not_repeat_each_other():
    one = 2 * vectors(n=200)
    repeated = one[:, :1].expand(-1, FEATURES)
    assert vicreg(one, one, variance=0) < 0.2 * vicreg(repeated, repeated, variance=0)


def test_the_balance_does_not_depend_on_the_number_of_things():
    few, many = (vicreg(vectors(3, n), vectors(4, n)) for n in (200, 2000))
    assert float(few) == pytest.approx(float(many), rel=0.1)


def test_recall_counts_the_nearest():
    one = vectors()
    assert recall(one, one + 0.01 * vectors(1)) == 1.0
    assert recall(one, vectors(2)) < 0.5


@pytest.mark.parametrize("loss", [contrastive, vicreg])
def test_gradients_lead_down(loss):
    one, other = vectors().requires_grad_(), vectors(1)
    before = loss(one, other)
    before.backward()
    assert loss(one - 1e-3 * one.grad, other) < before


@pytest.mark.parametrize("loss", [contrastive, recall, vicreg])
@pytest.mark.parametrize(("one", "other"), [((4, 3), (4, 2)), ((1, 3), (1, 3)), ((4,), (4,))])
def test_what_is_no_pair_of_views_is_refused(loss, one, other):
    with pytest.raises(ShapeError, match="expected \\(thing, feature\\)"):
        loss(torch.zeros(one), torch.zeros(other))
