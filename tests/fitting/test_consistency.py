from __future__ import annotations

from itertools import count

import pytest
import torch

from python_recon.fields.field import KSpaceField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fitting.consistency import ScatteredConsistency, TileConsistency
from tests.fields.toys import LinearField, Polynomial, StartField, generator, random_start

N_COILS, MATRIX = 3, (32, 38)


def at(loss, field, generator):
    """The loss of a field at places that are drawn."""
    loss.draw(generator)
    return loss(field)


class Noise(KSpaceField):
    """No relation between coils or neighbours."""

    def forward(self, k, t):
        values = torch.randn(len(k), self.n_coils, 2, generator=generator(int(1e6 * k.sum().abs())))
        return torch.view_as_complex(values)


def sources(n_coils=N_COILS, matrix=MATRIX):
    """Three points of the object, each seen by the coils in its own way and changing in its own time.

    The coils' signals are then sums of as many exponentials as there are points, which a kernel of six
    neighbours in all coils predicts exactly.
    """
    pixels = torch.zeros(3, *matrix, dtype=torch.complex64)
    for number, place in enumerate([(9, 21), (19, 12), (23, 30)]):
        pixels[number][place] = 4.0 + 3j * number
    maps = torch.randn(n_coils, *matrix, dtype=torch.complex64, generator=generator(4))
    return LowRankStart(pixels, maps, Polynomial(3))


@pytest.fixture
def start():
    return sources()


@pytest.mark.parametrize("variant", ["residual", "all_pairs", "distance"])
def test_a_consistent_field_has_no_loss(start, variant):
    loss = TileConsistency(N_COILS, MATRIX, variant=variant)
    consistent = [float(at(loss, StartField(start), generator(seed))) for seed in range(4)]
    inconsistent = [float(at(loss, Noise(N_COILS), generator(seed))) for seed in range(4)]
    assert max(consistent) < 0.02 * min(inconsistent)
    assert min(inconsistent) > 0.3


def test_start_and_field_are_judged_as_a_sum(start):
    """Neither the field nor the start alone is consistent here; their sum is."""
    other = random_start(N_COILS, 3, MATRIX)
    other = LowRankStart(0.1 * other.pixels, torch.roll(start.maps, 5, 1), start.temporal)

    class Difference(KSpaceField):
        def forward(self, k, t):
            return start.signal(k, t) - other.signal(k, t)

    field = Difference(N_COILS)
    assert float(at(TileConsistency(N_COILS, MATRIX, start=other), field, generator())) < 0.02
    assert float(at(TileConsistency(N_COILS, MATRIX), field, generator())) > 0.05


def test_a_consistent_start_makes_up_for_a_field_of_nothing(start):
    loss = TileConsistency(N_COILS, MATRIX, start=start)
    assert at(loss, LinearField(N_COILS), generator()).detach() < 1e-2


@pytest.mark.parametrize("matrix", [(32, 38), (33, 41)])
def test_the_grid_of_the_start_is_where_the_tiles_are(matrix):
    """A field that takes away its own start leaves nothing to be inconsistent; a shift would."""
    start = random_start(N_COILS, 2, matrix)

    class Negative(KSpaceField):
        def forward(self, k, t):
            return -start.signal(k, t)

    seen = []
    loss = TileConsistency(N_COILS, matrix, start=start)
    loss._pisco.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    at(loss, Negative(N_COILS), generator())
    assert seen[0].abs().max() < 1e-2 * start.grid().abs().max()


def published(variant="residual"):
    samples_k = 1.6 * torch.rand(20_000, 2, generator=generator(7)) - 0.8
    return ScatteredConsistency(2, 64, variant, samples_k, max_sets=4)


@pytest.mark.parametrize("make", [lambda: TileConsistency(2, MATRIX), published], ids=["tiles", "published"])
def test_the_gradient_reaches_the_field(make):
    field = LinearField(2, seed=3)
    # Curvature, for linear functions are consistent.
    field.forward = lambda k, t: LinearField.forward(field, k.square(), t) ** 2
    loss = at(make(), field, generator())
    loss.backward()
    assert loss > 0
    assert field.coefficients.grad.abs().max() > 0
    assert torch.isfinite(field.coefficients.grad).all()


@pytest.mark.parametrize("variant", ["residual", "distance"])
def test_published_form_tells_consistent_from_inconsistent(variant):
    loss = published(variant)
    good = float(at(loss, StartField(sources(2, (32, 32))), generator()))
    bad = float(at(loss, Noise(2), generator()))
    assert good < 0.1 * bad


def test_distance_draws_from_the_samples():
    class Recorder(LinearField):
        def at_times(self, k, t):
            seen.append(k)
            return super().at_times(k, t)

    seen, field, samples_k = [], Recorder(2, seed=1), 0.5 * torch.rand(9_000, 2, generator=generator(9)) + 0.2
    at(ScatteredConsistency(2, 64, "distance", samples_k, 3), field, generator())
    targets, neighbours = seen
    assert len(neighbours) == 8 * len(targets)
    assert torch.isin(targets[:, 0], samples_k[:, 0]).all()


@pytest.mark.parametrize("variant", ["residual", "all_pairs", "distance"])
@pytest.mark.parametrize("form", ["tiles", "published"])
def test_all_draws_are_the_generators(form, variant):
    """Five coils, of which the distance draws three as targets."""
    field, samples_k = LinearField(5, seed=3), 1.6 * torch.rand(20_000, 2, generator=generator(7)) - 0.8
    field.forward = lambda k, t: LinearField.forward(field, k.square(), t) ** 2
    number = count()

    def loss(seed):
        torch.manual_seed(next(number))
        if form == "tiles":
            module = TileConsistency(5, (40, 44), variant=variant)
        else:
            module = ScatteredConsistency(5, 64, variant, samples_k, max_sets=3)
        return float(at(module, field, generator(seed)).detach())

    assert loss(0) == loss(0) == loss(0) != loss(1)


def test_the_two_kernels_take_turns():
    seen = []
    loss = TileConsistency(2, MATRIX)
    loss._pisco.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[1]))
    for _ in range(3):
        at(loss, LinearField(2, seed=3), generator())
    torch.testing.assert_close(seen[0], seen[2])
    assert not torch.allclose(seen[0], seen[1])


class Network(KSpaceField):
    """A small network that counts the points for which it builds a graph."""

    def __init__(self, n_coils, seed):
        super().__init__(n_coils)
        torch.manual_seed(seed)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2 * n_coils)
        )
        self.n_learned = self.n_asked = 0
        self.has_whole_graph = False

    def forward(self, k, t):
        with torch.set_grad_enabled(torch.is_grad_enabled() or self.has_whole_graph):
            values = self.layers(torch.cat([4 * k, t[:, None]], -1))
        self.n_asked += len(k)
        self.n_learned += len(k) if torch.is_grad_enabled() else 0
        return torch.view_as_complex(values.reshape(len(k), self.n_coils, 2))


@pytest.mark.parametrize("variant", ["residual", "all_pairs", "distance"])
@pytest.mark.parametrize("form", ["tiles", "published"])
def test_what_carries_no_gradient_gets_no_graph_and_the_gradient_stays(form, variant):
    """Against the field with a graph at every point, which the loss then cuts off."""
    samples_k = 1.6 * torch.rand(20_000, 2, generator=generator(7)) - 0.8

    def gradient(has_whole_graph):
        field = Network(3, seed=2)
        field.has_whole_graph = has_whole_graph
        if form == "tiles":
            loss = TileConsistency(3, (40, 44), variant=variant)
        else:
            loss = ScatteredConsistency(3, 64, variant, samples_k, max_sets=3)
        at(loss, field, generator(5)).backward()
        return torch.cat([p.grad.flatten() for p in field.parameters()]), field

    (found, field), (expected, _) = gradient(False), gradient(True)
    assert found.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    if variant == "distance":
        assert field.n_learned == field.n_asked * (1 if form == "tiles" else 8 / 9)
    else:
        assert field.n_learned < field.n_asked * (0.7 if form == "tiles" else 1 / 6)
