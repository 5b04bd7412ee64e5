from __future__ import annotations

import pytest
import torch

from python_recon.errors import ConfigError, DataError, ShapeError
from python_recon.losses import GEOMETRIES, Pisco, kernels_of, predict
from python_recon.losses.pisco import VARIANTS
from tests.losses.scene import MATRIX, N_COILS, coil_kspace, noise_kspace, point_sources
from tests.numerics import relative_error

ON_GRID = [name for name in GEOMETRIES if kernels_of(name)[0].frame == "grid"]


def evaluate(pisco, field, seed=3):
    generator = torch.Generator().manual_seed(seed)
    k = pisco.sample_patches(generator)
    return pisco(*map(field, k), *k, generator)


def loss_of(field, *, n_coils=N_COILS, matrix=MATRIX, **settings):
    return evaluate(Pisco(n_coils, matrix, max_sets=settings.pop("max_sets", 8), **settings), field)[0].item()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("geometry", ON_GRID)
def test_zero_for_coils_and_one_for_noise(kspace, variant, geometry):
    settings = {"variant": variant, "geometry": geometry}
    # The distance is not squared, and it sees what the ridge does to a kernel.
    assert loss_of(kspace, **settings) < (1e-3 if variant == "distance" else 1e-6)
    assert 0.9 < loss_of(noise_kspace(), **settings) < 1.1
    noisy, noisier = (loss_of(kspace.with_noise(level), **settings) for level in (0.1, 0.4))
    assert 1e-3 < noisy < noisier < 0.9


def test_loss_does_not_depend_on_scale(kspace):
    field = kspace.with_noise(0.3)
    for variant in VARIANTS:
        expected = loss_of(field, variant=variant)
        for scale in (1e-6, 1e5):
            scaled = loss_of(lambda k, s=scale: s * field(k), variant=variant)
            assert scaled == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_of_noise_does_not_depend_on_coils_rows_and_sets(variant):
    for n_coils in (3, 9):
        field = noise_kspace((90, 90), n_coils)
        for oversampling in (2.0, 4.0):
            for max_sets in (4, 9):
                loss = loss_of(
                    field,
                    n_coils=n_coils,
                    matrix=(90, 90),
                    variant=variant,
                    oversampling=oversampling,
                    max_sets=max_sets,
                )
                assert 0.8 < loss < 1.2


def test_loss_of_noisy_coils_does_not_depend_on_rows_and_sets():
    field = coil_kspace((90, 90)).with_noise(0.3)
    losses = [
        loss_of(field, matrix=(90, 90), geometry="without_centre", oversampling=rows, max_sets=n_sets)
        for rows in (1.5, 3.0, 6.0)
        for n_sets in (4, 9)
    ]
    assert max(losses) < 1.25 * min(losses)


def test_published_norm_does_depend_on_them():
    """Why there is another one."""
    field = noise_kspace((90, 90), 8)
    few, many = (
        loss_of(field, n_coils=8, matrix=(90, 90), normalisation="published", oversampling=rows, max_sets=4)
        for rows in (1.5, 6.0)
    )
    assert many > 2 * few


def test_kernels_hold_everywhere_in_kspace(kspace, generator):
    pisco = Pisco(N_COILS, MATRIX, geometry="without_centre", max_sets=4)
    first, second = (pisco.sample_patches(generator) for _ in range(2))
    _, kernels = pisco(*map(kspace, first), *first)
    assert kernels.shape == (4, 8 * N_COILS, N_COILS)
    targets, patches = map(kspace, second)
    # Kernels of the centre on the outer k-space, and the other way round, on points not seen before.
    assert relative_error(predict(patches, kernels.flip(0)), targets) < 1e-3
    targets, patches = map(noise_kspace(), second)
    assert relative_error(predict(patches, kernels.flip(0)), targets) > 0.5


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_drawn_points_are_where_they_may_be(geometry, generator):
    pisco = Pisco(2, MATRIX, geometry=geometry, skip_inside=5, spacing=2)
    step = 2 / min(MATRIX)
    for _ in range(2):
        targets_k, patches_k = pisco.sample_patches(generator)
        n_sets, n_rows, n_neighbours, _ = patches_k.shape
        assert n_rows == 3 * n_neighbours * 2
        radius = torch.cat([targets_k[:, :, None], patches_k], 2).norm(dim=-1)
        assert radius.min() > 5 * step
        assert radius.max() <= 1 - step + 1e-6
        assert len(targets_k.reshape(-1, 2).unique(dim=0)) == n_sets * n_rows, "drawn without replacement"


def test_sets_are_rings_and_those_of_turned_kernels_sectors(generator):
    for geometry, turned in (("without_row", False), ("spoke", True), ("polar", True)):
        targets_k, _ = Pisco(2, MATRIX, geometry=geometry).sample_patches(generator)
        x, y = targets_k.flatten(0, 1).unbind(-1)
        place = torch.atan2(y, x) if turned else torch.hypot(x, y)
        assert (place.diff() >= 0).all()


@pytest.mark.parametrize("geometry", ["spoke", "polar"])
def test_turned_kernels_are_the_same_within_a_sector(geometry, generator):
    """Off the grid; across all angles there is no such kernel, whatever the k-space."""
    pisco = Pisco(5, MATRIX, geometry=geometry, oversampling=2.0)
    k = pisco.sample_patches(generator)
    targets, patches = map(point_sources(), k)
    in_sectors, _ = pisco(targets, patches)
    mixed = targets.transpose(0, 1).reshape(targets.shape), patches.transpose(0, 1).reshape(patches.shape)
    across, _ = pisco(*mixed)
    assert in_sectors < 0.03
    assert across > 0.2


def test_autocast_does_not_touch_it(generator):
    pisco = Pisco(5, MATRIX)
    values = [point_sources()(k) for k in pisco.sample_patches(generator)]
    expected, _ = pisco(*values)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pisco(*values)[0], expected)


def test_geometries_alternate(generator):
    pisco = Pisco(N_COILS, MATRIX)
    for missing_axis in (1, 0, 1):
        targets_k, patches_k = pisco.sample_patches(generator)
        assert ((patches_k - targets_k[:, :, None]).abs()[..., missing_axis] > 1e-3).all()


def test_draws_repeat_with_the_seed():
    draws = [Pisco(N_COILS, MATRIX).sample_patches(torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_published_settings():
    pisco = Pisco.published(4, 128, max_sets=15)
    targets_k, patches_k = pisco.sample_patches()
    assert targets_k.shape == (15, 106, 2), "1.1 * neighbours * coils^2 rows"
    torch.testing.assert_close(
        (patches_k - targets_k[:, :, None]).abs().amax((0, 1, 2)), torch.tensor([4 / 128] * 2)
    )
    by_distance = Pisco.published(8, 128, "distance")
    targets_k, patches_k = by_distance.sample_patches()
    assert patches_k.shape == (12, 212, 8, 2), "1.1 * neighbours * coils * target coils rows"
    noise = noise_kspace((128, 128), 8)
    _, kernels = by_distance(noise(targets_k), noise(patches_k), targets_k, patches_k)
    assert kernels.shape == (12, 64, 3), "three target coils"


def test_flat_rows_are_cut_into_the_same_sets(kspace, generator):
    pisco = Pisco(N_COILS, MATRIX, max_sets=6)
    targets_k, patches_k = pisco.sample_patches(generator)
    expected, kernels = pisco(kspace(targets_k), kspace(patches_k), targets_k, patches_k)
    shuffled = torch.randperm(targets_k.shape[0] * targets_k.shape[1], generator=generator)
    k = targets_k.flatten(0, 1)[shuffled], patches_k.flatten(0, 1)[shuffled]
    loss, flat_kernels = pisco(*map(kspace, k), *k)
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=1e-9)
    assert flat_kernels.shape == kernels.shape


def test_rows_that_may_not_count_do_not(kspace, generator):
    """Acquired samples as targets: whatever is at the centre and beyond the edge must not matter."""
    grid = torch.stack(torch.meshgrid(torch.arange(-22, 22), torch.arange(-26, 26), indexing="ij"), -1)
    samples = grid.reshape(-1, 2) * torch.tensor([1 / 22, 1 / 26])
    pisco = Pisco(N_COILS, MATRIX, geometry="without_centre", max_sets=50, skip_inside=5)
    targets_k, patches_k = pisco.sample_patches(generator, samples)
    # Neighbours beyond the grid wrap around to what is wrong there, and the centre is spoilt.
    inside = targets_k.norm(dim=-1) < 4 * 2 / 44
    targets = torch.where(inside[..., None], 100.0, kspace(targets_k.clamp(-1, 0.95)))
    patches = kspace(patches_k.clamp(-1, 0.95))
    assert inside.any()
    assert (patches_k.abs() > 1).any()
    assert pisco(targets, patches, targets_k, patches_k)[0] < 1e-5
    assert pisco(targets, patches)[0] > 0.1


def test_gradient_flows_where_it_should(kspace, generator):
    for variant in VARIANTS:
        for through in (None, "targets", "patches", "both"):
            pisco = Pisco(N_COILS, MATRIX, variant=variant, gradient_through=through, max_sets=3)
            values = [kspace(k).requires_grad_() for k in pisco.sample_patches(generator)]
            pisco(*values)[0].backward()
            expected = through or ("patches" if variant == "distance" else "targets")
            for name, value in zip(("targets", "patches"), values, strict=True):
                has_gradient = value.grad is not None and bool(value.grad.any())
                assert has_gradient == (expected in (name, "both")), (variant, through, name)


def test_all_zero_coils(generator):
    for variant in VARIANTS:
        pisco = Pisco(N_COILS, MATRIX, variant=variant)
        k = pisco.sample_patches(generator)
        values = [torch.zeros(*a.shape[:-1], N_COILS, dtype=torch.complex64, requires_grad=True) for a in k]
        loss, kernels = pisco(*values, *k)
        loss.backward()
        assert loss == 0
        assert not kernels.any()
        gradients = [value.grad for value in values if value.grad is not None]
        assert gradients
        assert all(torch.isfinite(torch.view_as_real(g)).all() for g in gradients)


def test_everything_stays_on_its_device(kspace, device):
    pisco = Pisco(N_COILS, MATRIX, variant="distance").to(device)
    generator = torch.Generator(device).manual_seed(1)
    k = pisco.sample_patches(generator)
    field = type(kspace)(kspace.values.to(device))
    loss, kernels = pisco(*map(field, k), *k, generator)
    assert {a.device.type for a in (*k, loss, kernels)} == {device}


def test_one_coil_is_refused():
    with pytest.raises(DataError, match=r"1 coil.*at least 2.*nik"):
        Pisco(1, MATRIX)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "residuals"}, "variant 'residuals'.*all_pairs"),
        ({"geometry": "4x4"}, "geometry '4x4'"),
        ({"normalisation": "none"}, "normalisation 'none'.*relative"),
        ({"gradient_through": "neither"}, "gradient_through 'neither'.*both"),
        ({"oversampling": 1.0}, "oversampling=1.0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Pisco(N_COILS, MATRIX, **settings)


def test_what_does_not_fit_is_refused(kspace, generator):
    with pytest.raises(ShapeError, match="rows or more: take fewer coils"):
        Pisco(120, MATRIX).sample_patches()
    pisco = Pisco(N_COILS, MATRIX)
    k = pisco.sample_patches(generator)
    targets, patches = map(kspace, k)
    with pytest.raises(ShapeError, match="do not fit"):
        pisco(targets[..., :3], patches, *k)
    with pytest.raises(ShapeError, match="do not fit"):
        pisco(targets.real, patches.real, *k)
    with pytest.raises(ShapeError, match="need coordinates"):
        pisco(targets[0], patches[0])
    with pytest.raises(ShapeError, match=r"13 sets of 36 rows.*at least 1 with more than 36"):
        pisco(targets[:, :36], patches[:, :36])
