"""All implementations of the NUFFT against the explicit Fourier transform."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from python_recon.errors import BackendError, DataError, ShapeError
from python_recon.operators.nufft import Nufft
from python_recon.operators.plans import load_cufinufft
from tests.numerics import (
    adjoint_dft,
    as_numpy,
    assert_adjoint,
    cartesian_grid,
    complex_noise,
    dft,
    dft_matrix,
    golden_spokes,
    relative_error,
)

MATRICES = [(24, 19), (17, 32), (21, 13), (16, 16)]
N_FRAMES, N_COILS, N_SPOKES = 3, 2, 7


@dataclass(frozen=True)
class Backend:
    """One library, and how its arrays are made."""

    library: str
    convert: Callable[[np.ndarray], Any]

    def nufft(self, trajectory: np.ndarray, matrix: tuple[int, int], tolerance: float = 1e-3) -> Nufft:
        return Nufft(self.convert(trajectory), matrix, tolerance, self.library)


def _on_cuda(array):
    return torch.as_tensor(array, device="cuda")


def _in_cupy(array):
    return pytest.importorskip("cupy").asarray(array)


BACKENDS = {
    "finufft-numpy": Backend("finufft", np.asarray),
    "finufft-torch": Backend("finufft", torch.as_tensor),
    "gridder-torch": Backend("gridder", torch.as_tensor),
    "cufinufft-torch": Backend("cufinufft", _on_cuda),
    "cufinufft-cupy": Backend("cufinufft", _in_cupy),
    "gridder-cuda": Backend("gridder", _on_cuda),
}
NEEDS_CUDA = {"cufinufft-torch", "cufinufft-cupy", "gridder-cuda"}


def parameters(*names):
    return [pytest.param(n, marks=[pytest.mark.cuda] if n in NEEDS_CUDA else [], id=n) for n in names]


@pytest.fixture(params=parameters(*BACKENDS))
def backend(request):
    return _available(request.param)


@pytest.fixture(params=parameters(*(name for name in BACKENDS if name.endswith(("torch", "cuda")))))
def torch_backend(request):
    return _available(request.param)


def has_cufinufft():
    try:
        load_cufinufft()
    except BackendError:
        return False
    return True


def _available(name):
    backend = BACKENDS[name]
    if backend.library == "cufinufft" and not has_cufinufft():
        pytest.skip("cufinufft is not installed")
    return backend


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
@pytest.mark.parametrize("matrix", MATRICES)
def test_forward_and_adjoint_are_the_explicit_transform(backend, matrix, tolerance):
    trajectory = golden_spokes(N_FRAMES, N_SPOKES, 40, matrix)
    nufft = backend.nufft(trajectory, matrix, tolerance)
    images = complex_noise((N_FRAMES, N_COILS, *matrix))
    kspace = complex_noise((N_FRAMES, N_COILS, N_SPOKES, 40), 1)
    assert relative_error(nufft.forward(backend.convert(images)), dft(images, trajectory)) < tolerance
    expected = adjoint_dft(kspace, trajectory, matrix)
    assert relative_error(nufft.adjoint(backend.convert(kspace)), expected) < tolerance


@pytest.mark.parametrize("matrix", MATRICES)
def test_adjoint_is_the_adjoint(backend, matrix):
    nufft = backend.nufft(golden_spokes(N_FRAMES, N_SPOKES, 41, matrix), matrix)
    images, kspace = (N_FRAMES, N_COILS, *matrix), (N_FRAMES, N_COILS, N_SPOKES, 41)
    assert_adjoint(nufft.forward, nufft.adjoint, images, kspace, backend.convert, 1e-6)


@pytest.mark.parametrize("matrix", MATRICES)
def test_on_the_cartesian_grid_it_is_the_unitary_fft(backend, matrix):
    nufft = backend.nufft(cartesian_grid(matrix), matrix, 1e-6)
    images = complex_noise((1, N_COILS, *matrix))
    spectrum = np.fft.fft2(np.fft.ifftshift(images, (-2, -1)), norm="ortho")
    kspace = nufft.forward(backend.convert(images))
    assert relative_error(kspace, np.fft.fftshift(spectrum, (-2, -1))) < 1e-5
    assert relative_error(nufft.adjoint(kspace), images) < 2e-5


@pytest.mark.parametrize("matrix", [(16, 24), (15, 22)])
def test_points_on_the_edges_and_beyond_them_count_like_all_others(backend, matrix):
    """k is periodic, with the matrix as its period: nothing may be left out or clamped at the edges."""
    half_y, half_x = matrix[0] / 2, matrix[1] / 2
    edges = [
        (-half_x, 0.3),
        (half_x, -0.2),
        (1.7, -half_y),
        (0.0, half_y),
        (-half_x, half_y),
        (half_x, half_y),
    ]
    beyond = [(half_x + 0.4, 1.1), (-half_x - 2.6, half_y + 0.7), (0.1, -half_y - 1e-4)]
    trajectory = np.array([[edges + beyond]], np.float32)
    nufft = backend.nufft(trajectory, matrix, 1e-5)
    images = complex_noise((1, N_COILS, *matrix), 2)
    result, expected = as_numpy(nufft.forward(backend.convert(images))), dft(images, trajectory)
    np.testing.assert_allclose(result, expected, atol=1e-4 * np.abs(expected).max())
    samples = complex_noise(expected.shape, 3)
    expected = adjoint_dft(samples, trajectory, matrix)
    assert relative_error(nufft.adjoint(backend.convert(samples)), expected) < 2e-5


_COORDINATES = st.floats(-0.5, 0.5, width=32)


@pytest.mark.parametrize("name", ["finufft-numpy", "gridder-torch"])
@settings(max_examples=30)
@given(points=arrays.arrays(np.float32, (1, 1, 12, 2), elements=_COORDINATES))
def test_points_may_lie_anywhere(name, points):
    matrix, backend = (11, 14), BACKENDS[name]
    trajectory = points * np.array(matrix[::-1], np.float32)
    images = complex_noise((1, 1, *matrix))
    result = as_numpy(backend.nufft(trajectory, matrix).forward(backend.convert(images)))
    expected = dft(images, trajectory)
    largest = np.linalg.norm(images)  # what a sample can be at most
    np.testing.assert_allclose(result, expected, atol=2e-3 * largest)


def test_arrays_come_back_as_they_went_in(backend):
    matrix = (12, 18)
    trajectory = golden_spokes(1, 5, 20, matrix)
    nufft = backend.nufft(trajectory, matrix)
    images = backend.convert(complex_noise((1, 1, *matrix)))
    before = as_numpy(images).copy()
    kspace = nufft.forward(images)
    image_again = nufft.adjoint(kspace)
    for result in (kspace, image_again):
        assert type(result) is type(images)
        assert result.dtype == images.dtype
        assert getattr(result, "device", None) == getattr(images, "device", None)
    np.testing.assert_array_equal(as_numpy(images), before)


def test_memory_layout_does_not_show(backend):
    matrix = (12, 18)
    nufft = backend.nufft(golden_spokes(2, 5, 20, matrix), matrix)
    wide = backend.convert(complex_noise((2, 6, 18, 12)))
    images = wide[:, ::2].swapaxes(-2, -1)
    result = nufft.forward(images)
    compact = nufft.forward(backend.convert(np.ascontiguousarray(as_numpy(images))))
    np.testing.assert_array_equal(as_numpy(result), as_numpy(compact))
    kspace = backend.convert(complex_noise((2, 20, 5, 3))).swapaxes(1, 3)
    compact = nufft.adjoint(backend.convert(np.ascontiguousarray(as_numpy(kspace))))
    np.testing.assert_array_equal(as_numpy(nufft.adjoint(kspace)), as_numpy(compact))


def test_a_conjugate_view_is_the_conjugate(torch_backend):
    matrix = (12, 18)
    nufft = torch_backend.nufft(golden_spokes(1, 5, 20, matrix), matrix)
    images = torch_backend.convert(complex_noise((1, 2, *matrix)))
    kspace = torch_backend.convert(complex_noise((1, 2, 5, 20)))
    assert images.conj().is_conj()
    for transform, array in ((nufft.forward, images), (nufft.adjoint, kspace)):
        torch.testing.assert_close(transform(array.conj()), transform(array.conj().resolve_conj()))


def test_the_number_of_coils_may_change_from_call_to_call(backend):
    matrix = (14, 11)
    trajectory = golden_spokes(2, 5, 20, matrix)
    nufft = backend.nufft(trajectory, matrix)
    for n_coils in (3, 1, 5, 3, 1):
        images = complex_noise((2, n_coils, *matrix), n_coils)
        kspace = nufft.forward(backend.convert(images))
        assert relative_error(kspace, dft(images, trajectory)) < 1e-3
        expected = adjoint_dft(as_numpy(kspace), trajectory, matrix)
        assert relative_error(nufft.adjoint(kspace), expected) < 1e-3


def test_gradient_of_a_data_term(torch_backend):
    """The gradient of |F x - y|^2 is 2 F^H (F x - y), and that of |F^H y - x|^2 is 2 F (F^H y - x)."""
    matrix = (10, 13)
    trajectory = golden_spokes(2, 5, 16, matrix)
    nufft = torch_backend.nufft(trajectory, matrix, 1e-5)
    x, y = complex_noise((2, 3, *matrix), 4), complex_noise((2, 3, 5, 16), 5)
    images = torch_backend.convert(x).requires_grad_()
    kspace = torch_backend.convert(y).requires_grad_()
    (nufft.forward(images) - kspace.detach()).abs().square().sum().backward()
    expected = 2 * adjoint_dft(dft(x, trajectory) - y, trajectory, matrix)
    assert relative_error(images.grad, expected) < 1e-4
    (nufft.adjoint(kspace) - images.detach()).abs().square().sum().backward()
    expected = 2 * dft(adjoint_dft(y, trajectory, matrix) - x, trajectory)
    assert relative_error(kspace.grad, expected) < 1e-4


def test_gradient_through_what_comes_before_and_after(torch_backend):
    """A chain of coil maps, transform and a nonlinear loss, against finite differences in float64."""
    matrix = (8, 9)
    trajectory = golden_spokes(1, 4, 12, matrix)
    maps, direction = complex_noise((2, *matrix), 6), complex_noise((1, 1, *matrix), 7)
    image = complex_noise((1, 1, *matrix), 8).astype(complex)

    def exact(step):
        return np.log1p(np.abs(dft((image + step * direction) * maps, trajectory)) ** 2).sum()

    leaf = torch_backend.convert(image.astype(np.complex64)).requires_grad_()
    nufft = torch_backend.nufft(trajectory, matrix, 1e-5)
    loss = nufft.forward(leaf * torch_backend.convert(maps)).abs().square().log1p().sum()
    loss.backward()
    derivative = np.vdot(as_numpy(leaf.grad), direction).real
    assert loss.item() == pytest.approx(exact(0.0), rel=1e-4)
    assert derivative == pytest.approx((exact(1e-5) - exact(-1e-5)) / 2e-5, rel=1e-3)


def test_gradients_have_gradients(torch_backend):
    """The Hessian of |F x|^2 is 2 F^H F."""
    matrix = (9, 8)
    trajectory = golden_spokes(1, 4, 12, matrix)
    nufft = torch_backend.nufft(trajectory, matrix, 1e-5)
    images = torch_backend.convert(complex_noise((1, 1, *matrix), 9)).requires_grad_()
    direction = complex_noise((1, 1, *matrix), 10)
    (gradient,) = torch.autograd.grad(nufft.forward(images).abs().square().sum(), images, create_graph=True)
    product = (gradient.conj() * torch_backend.convert(direction)).real.sum()
    (curvature,) = torch.autograd.grad(product, images)
    matrix_of_frame = dft_matrix(trajectory[0], matrix)
    expected = 2 * matrix_of_frame.conj().T @ (matrix_of_frame @ direction.ravel())
    assert relative_error(curvature.flatten(), expected) < 1e-4


def test_shapes_are_checked(backend):
    matrix = (12, 18)
    nufft = backend.nufft(golden_spokes(2, 5, 20, matrix), matrix)

    def zeros(*shape):
        return backend.convert(np.zeros(shape, np.complex64))

    with pytest.raises(ShapeError, match=r"images has shape \(3, 1, 12, 18\), expected \(2, coil, 12, 18\)"):
        nufft.forward(zeros(3, 1, 12, 18))
    with pytest.raises(ShapeError, match="images"):
        nufft.forward(zeros(2, 1, 18, 12))
    with pytest.raises(ShapeError, match="images"):
        nufft.forward(zeros(2, 12, 18))
    with pytest.raises(ShapeError, match=r"kspace has shape \(2, 1, 5, 21\), expected \(2, coil, 5, 20\)"):
        nufft.adjoint(zeros(2, 1, 5, 21))
    with pytest.raises(ShapeError, match=r"expected \(frame, spoke, readout, 2\)"):
        backend.nufft(np.zeros((5, 20, 2), np.float32), matrix)
    with pytest.raises(ShapeError, match=r"expected \(frame, spoke, readout, 2\)"):
        backend.nufft(np.zeros((1, 5, 20, 3), np.float32), matrix)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_trajectory_that_is_not_finite_is_refused(backend, value):
    trajectory = golden_spokes(2, 5, 20, (12, 18))
    trajectory[1, 3, 7, 0] = value
    with pytest.raises(DataError, match="NaN or Inf"):
        backend.nufft(trajectory, (12, 18))


@pytest.mark.parametrize("name", ["finufft-numpy", "finufft-torch", "gridder-torch"])
def test_plans_go_with_their_operator(name):
    """At once, not when the garbage collector comes: it does not know how large they are."""
    backend, matrix = BACKENDS[name], (12, 18)
    nufft = backend.nufft(golden_spokes(1, 5, 20, matrix), matrix)
    nufft.forward(backend.convert(complex_noise((1, 1, *matrix))))
    plan = weakref.ref(nufft._plan)
    del nufft
    assert plan() is None


def test_numpy_arrays_need_no_torch():
    code = (
        "import sys, numpy as np; from python_recon.operators.nufft import Nufft\n"
        "nufft = Nufft(np.zeros((1, 1, 4, 2), np.float32), (8, 8))\n"
        "assert nufft.forward(np.ones((1, 1, 8, 8), np.complex64)).shape == (1, 1, 1, 4)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(has_cufinufft(), reason="cufinufft is there")
def test_a_missing_library_is_told_with_its_cure():
    with pytest.raises(BackendError, match=r"pip install 'gadgetron-pisco\[cuda\]'"):
        Nufft(np.zeros((1, 1, 4, 2), np.float32), (8, 8), library="cufinufft")


@pytest.mark.cuda
def test_on_cuda_there_is_always_an_implementation():
    matrix = (17, 32)
    trajectory = golden_spokes(N_FRAMES, N_SPOKES, 40, matrix)
    images = complex_noise((N_FRAMES, N_COILS, *matrix))
    kspace = Nufft(_on_cuda(trajectory), matrix).forward(_on_cuda(images))
    assert kspace.is_cuda
    assert relative_error(kspace, dft(images, trajectory)) < 1e-3
