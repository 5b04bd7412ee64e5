"""How plans of cufinufft are used, and how it is loaded; what it computes, only a GPU can tell.

finufft stands in for it: its plans have the same methods, and points that are set.
"""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import finufft
import numpy as np
import pytest
import torch

from python_recon.errors import BackendError
from python_recon.operators import plans
from python_recon.operators.nufft import Nufft
from python_recon.resources.usage import give_memory_back
from tests.numerics import adjoint_dft, complex_noise, dft, golden_spokes, relative_error

MATRIX, N_FRAMES, N_COILS, N_SPOKES, N_SAMPLES = (24, 19), 3, 2, 5, 40


class StandIn:
    """A plan for tensors on the CPU that counts."""

    made, set_points = 0, 0

    def __init__(self, kind, matrix, n_coils, tolerance, sign, dtype):
        StandIn.made += 1
        self._plan = finufft.Plan(kind, matrix, n_coils, tolerance, sign, dtype, nthreads=1)

    def setpts(self, y, x):
        StandIn.set_points += 1
        self._plan.setpts(y.numpy(), x.numpy())

    def execute(self, values):
        result = torch.from_numpy(self._plan.execute(values.numpy()))
        return result.reshape(len(values), *result.shape[(values.shape[0] > 1) :])


@pytest.fixture
def nufft(monkeypatch):
    StandIn.made = StandIn.set_points = 0
    monkeypatch.setattr(plans, "load_cufinufft", lambda: SimpleNamespace(Plan=StandIn))
    monkeypatch.setattr(plans, "_stream", lambda _array: 0)
    give_memory_back()
    yield Nufft(torch.as_tensor(trajectory()), MATRIX, 1e-5, "cufinufft")
    give_memory_back()


def trajectory():
    return golden_spokes(N_FRAMES, N_SPOKES, N_SAMPLES, MATRIX)


def test_one_plan_serves_all_frames_each_with_its_points(nufft):
    images = complex_noise((N_FRAMES, N_COILS, *MATRIX))
    for _ in range(2):
        found = nufft.forward(torch.as_tensor(images))
        assert relative_error(found, dft(images, trajectory())) < 1e-4
    assert (StandIn.made, StandIn.set_points) == (1, 2 * N_FRAMES)
    kspace = complex_noise((N_FRAMES, N_COILS, N_SPOKES, N_SAMPLES), 1)
    found = nufft.adjoint(torch.as_tensor(kspace))
    assert relative_error(found, adjoint_dft(kspace, trajectory(), MATRIX)) < 1e-4
    assert StandIn.made == 2, "one for each direction"


def test_the_points_of_a_single_frame_are_set_once(nufft):
    one = nufft.of_frames(slice(1, 2))
    images = complex_noise((1, N_COILS, *MATRIX), 2)
    for _ in range(3):
        found = one.forward(torch.as_tensor(images))
    assert relative_error(found, dft(images, trajectory()[1:2])) < 1e-4
    assert (StandIn.made, StandIn.set_points) == (1, 1)


def test_the_next_frame_is_not_planned_anew(nufft):
    """A preview has an operator of its own for every frame."""
    images = complex_noise((1, N_COILS, *MATRIX), 2)
    for frame in range(N_FRAMES):
        points = trajectory()[frame : frame + 1]
        found = Nufft(torch.as_tensor(points), MATRIX, 1e-5, "cufinufft").forward(torch.as_tensor(images))
        assert relative_error(found, dft(images, points)) < 1e-4
    assert (StandIn.made, StandIn.set_points) == (1, N_FRAMES)


def test_few_plans_are_kept_and_none_where_memory_is_short(nufft):
    for n_coils in range(1, 12):
        nufft.forward(torch.as_tensor(complex_noise((N_FRAMES, n_coils, *MATRIX))))
    assert len(plans._cuda_plans._plans) == plans._CudaPlans.most
    give_memory_back()
    assert not plans._cuda_plans._plans


@pytest.fixture
def without_cuda_12(tmp_path, monkeypatch):
    """A cufinufft that imports only once a library of CUDA 12 is there, as beside a Torch for CUDA 13."""
    (tmp_path / "cufinufft.py").write_text(
        "import plans_preloaded\nif not plans_preloaded.NAMES: raise ImportError('no libcudart.so.12')\n"
        "__version__ = '2.5'\n"
    )
    (tmp_path / "plans_preloaded.py").write_text("NAMES = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plans, "_has_cuda", lambda: True)
    yield
    plans.load_cufinufft.cache_clear()
    for name in ("cufinufft", "plans_preloaded"):
        sys.modules.pop(name, None)


def test_libraries_of_cuda_12_are_loaded_where_cufinufft_finds_none(without_cuda_12, monkeypatch):
    loaded = importlib.import_module("plans_preloaded").NAMES
    monkeypatch.setattr(plans, "_preload", lambda *names: loaded.append(names))
    plans.load_cufinufft.cache_clear()
    assert plans.load_cufinufft().__version__ == "2.5"
    assert loaded == [("cuda_runtime", "libcudart.so.12"), ("cufft", "libcufft.so.11")]


def test_without_them_the_cure_is_told(without_cuda_12):
    plans.load_cufinufft.cache_clear()
    with pytest.raises(BackendError, match=r"nvidia.*pip install 'gadgetron-pisco\[cuda\]'"):
        plans.load_cufinufft()


@pytest.mark.parametrize("together", [2, 5])
def test_the_gridder_joins_frames_in_blocks(together, monkeypatch):
    monkeypatch.setattr("python_recon.operators.gridder._frames_together", lambda *_: together)
    nufft = Nufft(torch.as_tensor(trajectory()), MATRIX, 1e-5, "gridder")
    images = complex_noise((N_FRAMES, N_COILS, *MATRIX))
    kspace = complex_noise((N_FRAMES, N_COILS, N_SPOKES, N_SAMPLES), 1)
    expected = adjoint_dft(kspace, trajectory(), MATRIX)
    assert relative_error(nufft.forward(torch.as_tensor(images)), dft(images, trajectory())) < 1e-5
    assert relative_error(nufft.adjoint(torch.as_tensor(kspace)), expected) < 1e-5
    blocks = list(nufft.blocks(slice(0, N_FRAMES)))
    assert np.concatenate([range(b.start, b.stop) for b in blocks]).tolist() == [0, 1, 2]
    parts = [nufft.of_frames(b).adjoint(torch.as_tensor(kspace[b])) for b in blocks]
    assert relative_error(torch.cat(parts), expected) < 1e-5
