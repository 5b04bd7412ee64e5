"""``python_recon.reconstruct``: arrays of one's own to images, and what is told where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon import CoilMaps, Config, reconstruct
from python_recon.acquisition.radial.density import ramp_density
from python_recon.errors import ConfigError, DataError, ShapeError
from python_recon.evaluation.metrics import match_scale, psnr
from python_recon.stream.chain import reconstruct_slice
from tests.numerics import relative_error, scan_heart

MATRIX, FRAMES, SPOKES = 48, 4, 13


@pytest.fixture(scope="module")
def heart():
    return scan_heart(FRAMES, SPOKES, n_coils=4, matrix=(MATRIX, MATRIX))


@pytest.fixture
def arrays(heart):
    """K-space (frame, coil, spoke, readout) and trajectory (frame, spoke, readout, 2)."""
    return heart.kspace.data, heart.kspace.trajectory


@pytest.fixture(scope="module")
def gridded(heart):
    return reconstruct(heart.kspace.data, heart.kspace.trajectory, matrix=MATRIX, method="gridding").images


def quality(series, heart):
    return psnr(match_scale(series.images, heart.truth), heart.truth)


def test_images_are_those_of_the_heart(arrays, heart, gridded):
    series = reconstruct(*arrays, matrix=MATRIX, iterations=8)
    assert series.method == "grasp"
    assert series.images.shape == (FRAMES, MATRIX, MATRIX)
    assert series.images.dtype == np.complex64
    assert series.comment == ""
    assert quality(series, heart) > psnr(match_scale(gridded, heart.truth), heart.truth) + 3


def test_the_chain_of_the_scanner_gives_the_same(arrays, heart, gridded):
    expected = reconstruct_slice(heart.kspace, Config(), "gridding").images
    assert relative_error(gridded, expected) < 1e-4


def test_torch_gives_the_same(arrays, gridded):
    data, trajectory = (torch.as_tensor(array) for array in arrays)
    turned = torch.conj_physical(data).conj()  # a lazy conjugate, as operators of Torch make them
    series = reconstruct(turned, trajectory.double(), matrix=MATRIX, method="gridding")
    assert relative_error(series.images, gridded) < 1e-4


@pytest.mark.cuda
def test_cupy_gives_the_same(arrays, gridded):
    cupy = pytest.importorskip("cupy")
    data, trajectory = (cupy.asarray(array) for array in arrays)
    series = reconstruct(data, trajectory, matrix=MATRIX, method="gridding")
    assert relative_error(series.images, gridded) < 1e-3


def test_double_precision_is_taken(arrays, gridded):
    data, trajectory = arrays
    series = reconstruct(data.astype(complex), trajectory.astype(float), matrix=MATRIX, method="gridding")
    assert relative_error(series.images, gridded) < 1e-4


def test_spokes_without_frames_are_cut(arrays, heart):
    data, trajectory = arrays
    density, times = ramp_density(heart.kspace), heart.kspace.spoke_times_s
    expected = reconstruct(
        data, trajectory, matrix=MATRIX, method="gridding", density=density, spoke_times_s=times
    )
    series = reconstruct(
        data.swapaxes(0, 1).reshape(4, FRAMES * SPOKES, -1)[:, :-1],
        trajectory.reshape(FRAMES * SPOKES, -1, 2)[:-1],
        matrix=MATRIX,
        method="gridding",
        spokes_per_frame=SPOKES,
        density=density.reshape(FRAMES * SPOKES, -1)[:-1],
        spoke_times_s=times.ravel()[:-1],
        config={"coils.maps": "walsh"},
    )
    assert series.images.shape == (FRAMES - 1, MATRIX, MATRIX)
    np.testing.assert_array_equal(series.times_s, expected.times_s[:-1])


def test_frames_have_the_times_of_their_spokes(arrays, heart):
    times = heart.kspace.spoke_times_s
    series = reconstruct(*arrays, matrix=MATRIX, method="gridding", spoke_times_s=times)
    np.testing.assert_allclose(series.times_s, times.mean(1))


class TestGiven:
    """What the caller knows better takes the place of what would be found."""

    def test_maps_of_any_scale(self, arrays, heart, gridded):
        options = {"matrix": MATRIX, "method": "gridding", "config": {"coils.virtual": 3}}
        series = reconstruct(*arrays, coil_maps=heart.maps, **options)
        scaled = reconstruct(*arrays, coil_maps=7 * heart.maps.maps, **options)
        assert relative_error(scaled.images, series.images) < 1e-5
        assert series.details["coil_maps"] == "phantom"
        assert series.details["virtual_coils"] == 3
        assert quality(series, heart) > psnr(match_scale(gridded, heart.truth), heart.truth) - 1

    def test_density(self, arrays, heart, gridded):
        """Half the weight everywhere is half the image; a widened field of view counts areas anew."""
        density = ramp_density(heart.kspace)
        for scale in (1.0, 1.5):
            whole, half = (
                reconstruct(
                    *arrays,
                    matrix=MATRIX,
                    method="gridding",
                    density=share * density,
                    config={"field_of_view_scale": scale},
                ).images
                for share in (1.0, 0.5)
            )
            assert relative_error(2 * half, whole) < 1e-4
            assert np.linalg.norm(whole) == pytest.approx(np.linalg.norm(gridded), rel=0.1)

    def test_settings(self, arrays):
        for config in ({"coils.maps": "walsh"}, Config(coils={"maps": "walsh"})):
            series = reconstruct(*arrays, matrix=MATRIX, method="gridding", config=config)
            assert series.details["coil_maps"] == "walsh"

    def test_a_kspace(self, arrays, heart, gridded):
        series = reconstruct(heart.kspace, method="gridding")
        assert relative_error(series.images, gridded) < 1e-4
        np.testing.assert_array_equal(series.times_s, heart.kspace.times_s)
        with pytest.raises(ConfigError, match="a KSpace holds its trajectory"):
            reconstruct(heart.kspace, matrix=MATRIX)


class TestUnits:
    """Near-zero or folded images are not made in silence."""

    @pytest.mark.parametrize(
        ("factor", "cure"),
        [
            (1 / MATRIX, f"it looks like -0.5..0.5; multiply it by {MATRIX}"),
            (2 / MATRIX, f"it looks like -1..1; multiply it by {MATRIX // 2}"),
            (2 * np.pi / MATRIX, "it looks like -pi..pi; multiply it by 7.63944"),
            (0.1, "if it is in 1/mm or 1/m"),
            (2, "take a larger matrix, or leave out the samples"),
        ],
    )
    def test_of_the_trajectory(self, arrays, factor, cure):
        data, trajectory = arrays
        with pytest.raises(DataError, match=f"wants 24 cycles per field of view: .*{cure}"):
            reconstruct(data, factor * trajectory, matrix=MATRIX, method="gridding")

    def test_of_a_kspace(self, heart):
        with pytest.raises(DataError, match="the trajectory reaches 24, but a matrix of 128 x 128"):
            reconstruct(type(heart.kspace)(heart.kspace.data, heart.kspace.trajectory, (128, 128)))

    def test_sides_of_their_own(self, arrays):
        data, trajectory = arrays
        with pytest.raises(DataError, match=r"multiply it by \(48, 64\)"):
            reconstruct(data, trajectory / MATRIX, matrix=(64, 48))

    def test_the_cure_helps(self, arrays, heart):
        data, trajectory = arrays
        options = {"matrix": MATRIX, "method": "gridding", "coil_maps": heart.maps}
        with pytest.raises(DataError) as told:
            reconstruct(data, trajectory / MATRIX, **options)
        factor = float(str(told.value).rsplit(maxsplit=1)[-1])
        cured = reconstruct(data, trajectory / MATRIX * factor, **options)
        assert relative_error(cured.images, reconstruct(data, trajectory, **options).images) < 1e-3

    def test_a_coarse_scan_may_have_a_finer_matrix(self, arrays):
        series = reconstruct(*arrays, matrix=2 * MATRIX, method="gridding")
        assert series.images.shape == (FRAMES, 2 * MATRIX, 2 * MATRIX)

    def test_of_the_density(self, arrays, heart):
        density = ramp_density(heart.kspace)
        with pytest.raises(DataError, match=r"adds up to .* multiply the density by their ratio, "):
            reconstruct(*arrays, matrix=MATRIX, density=density / density.max())


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"kspace": lambda k: k[0]}, ShapeError, r"kspace\[None\] and trajectory\[None\]"),
        ({"kspace": lambda k: k.real}, DataError, "float32: expected complex"),
        ({"kspace": lambda k: 0 * k}, DataError, "zero everywhere"),
        (
            {"kspace": lambda k: np.where(k == k[0, 0, 0, 0], np.nan, k)},
            DataError,
            "has 1 values that are NaN",
        ),
        ({"trajectory": lambda t: t[0]}, ShapeError, "np.broadcast_to"),
        ({"trajectory": lambda t: t[..., :1]}, ShapeError, "frame, spoke, readout, 2"),
        ({"trajectory": lambda t: t + 0j}, DataError, "the trajectory is complex"),
        ({"trajectory": lambda _t: None}, ConfigError, "trajectory is missing"),
        ({"matrix": lambda _m: None}, ConfigError, "matrix is missing"),
        ({"matrix": lambda _m: 8}, ConfigError, "at least 16"),
        ({"spokes_per_frame": lambda _n: 13}, ShapeError, "with spokes_per_frame"),
        ({"coil_maps": lambda _m: np.ones((3, 48, 48))}, ShapeError, "expected .4, 48, 48."),
        ({"density": lambda _d: np.ones((4, 13))}, ShapeError, "density has shape"),
        ({"density": lambda _d: -np.ones((4, 13, 96))}, DataError, "negative"),
        ({"spoke_times_s": lambda _s: np.ones(4)}, ShapeError, "spoke_times_s has shape"),
        ({"iterationen": lambda _i: 3}, ConfigError, "did you mean 'iterations'"),
        ({"method": lambda _m: "grsp"}, ConfigError, "did you mean 'grasp'"),
        ({"config": lambda _c: {"method": "nik"}}, ConfigError, "name the method by method="),
        ({"config": lambda _c: Config(options={"a": 1})}, ConfigError, "options by their own names"),
        ({"config": lambda _c: {"coils.map": "walsh"}}, ConfigError, "coils.maps"),
    ],
)
def test_what_does_not_fit_is_told_with_its_cure(arrays, change, error, told):
    call = {"kspace": arrays[0], "trajectory": arrays[1], "matrix": MATRIX}
    ((name, changed),) = change.items()
    call[name] = changed(call.get(name))
    with pytest.raises(error, match=told):
        reconstruct(**call)


def test_maps_that_are_not_finite_are_refused(arrays, heart):
    broken = np.full_like(heart.maps.maps, np.nan)
    with pytest.raises(DataError, match="coil_maps has"):
        reconstruct(*arrays, matrix=MATRIX, coil_maps=CoilMaps(broken, "mine"))
