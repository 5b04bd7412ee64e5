"""The nouns: what fits together, what moves between libraries, what is cut."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from python_recon.data import CoilMaps, Geometry, ImageSeries, KSpace, Readout
from python_recon.errors import ShapeError
from tests.numerics import complex_noise, golden_spokes

FRAMES, COILS, SPOKES, SAMPLES = 4, 3, 5, 8


@pytest.fixture
def kspace():
    rng = np.random.default_rng(1)
    return KSpace(
        data=complex_noise((FRAMES, COILS, SPOKES, SAMPLES)),
        trajectory=golden_spokes(FRAMES, SPOKES, SAMPLES, (8, 9)),
        matrix=(8, 9),
        density=rng.uniform(size=(FRAMES, SPOKES, SAMPLES)).astype(np.float32),
        spoke_mask=rng.uniform(size=(FRAMES, SPOKES)) > 0.5,
        is_shared=rng.uniform(size=(FRAMES, SPOKES)) > 0.5,
        spoke_times_s=rng.uniform(size=(FRAMES, SPOKES)),
        times_s=np.arange(FRAMES) * 0.1,
        physiology_s=rng.uniform(size=(FRAMES, 3)),
        geometry=Geometry(position_mm=(1.0, 2.0, 3.0)),
        measurement_id="m",
        first_frame=7,
        frame_states=np.arange(FRAMES),
        run=2,
    )


ARRAYS = ("data", "trajectory", "density", "spoke_mask", "is_shared")


def test_sizes(kspace):
    assert (kspace.n_frames, kspace.n_coils, kspace.n_spokes, kspace.n_samples) == (
        FRAMES,
        COILS,
        SPOKES,
        SAMPLES,
    )
    readout = Readout(complex_noise((COILS, SAMPLES)))
    assert (readout.n_coils, readout.n_samples) == (COILS, SAMPLES)
    assert CoilMaps(complex_noise((COILS, 8, 9)), "test").n_coils == COILS
    assert ImageSeries(complex_noise((FRAMES, 8, 9)), "test", 2).n_frames == FRAMES


@pytest.mark.parametrize("name", ARRAYS[1:])
def test_arrays_that_do_not_fit_are_refused(kspace, name):
    array = getattr(kspace, name)
    with pytest.raises(ShapeError, match=f"{name} has shape .* but the data need"):
        replace(kspace, **{name: array[:, :-1]})
    with pytest.raises(ShapeError, match=name):
        replace(kspace.to_torch(), **{name: torch.as_tensor(array)[:-1]})


def test_nouns_do_not_change(kspace):
    with pytest.raises(FrozenInstanceError):
        kspace.matrix = (4, 4)


def test_there_and_back_again(kspace):
    on_torch = kspace.to_torch()
    assert all(isinstance(getattr(on_torch, name), torch.Tensor) for name in ARRAYS)
    assert on_torch.data.dtype == torch.complex64
    assert on_torch.spoke_mask.dtype == torch.bool
    back = on_torch.to_numpy()
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(kspace, name))
        assert getattr(back, name).dtype == getattr(kspace, name).dtype
    assert (back.geometry, back.first_frame, back.run) == (kspace.geometry, 7, 2)
    assert kspace.to_numpy().data is kspace.data


def test_what_is_not_there_stays_away():
    kspace = KSpace(np.zeros((1, 1, 2, 4), np.complex64), np.zeros((1, 2, 4, 2), np.float32), (4, 4))
    for moved in (kspace.to_torch(), kspace.to_torch().to_numpy(), kspace.frames(slice(0, 1))):
        assert moved.density is None
        assert moved.spoke_mask is None
        assert moved.times_s is None


@pytest.mark.cuda
def test_to_cuda_and_back(kspace):
    on_cuda = kspace.to_torch("cuda")
    assert all(getattr(on_cuda, name).is_cuda for name in ARRAYS)
    np.testing.assert_array_equal(on_cuda.to_numpy().data, kspace.data)
    assert CoilMaps(complex_noise((COILS, 8, 9)), "test").to_torch("cuda").maps.is_cuda


def test_some_of_the_frames(kspace):
    part = kspace.frames(slice(1, 3))
    assert part.n_frames == 2
    assert part.first_frame == 8
    for name in (*ARRAYS, "spoke_times_s", "times_s", "physiology_s", "frame_states"):
        np.testing.assert_array_equal(getattr(part, name), getattr(kspace, name)[1:3])
    assert part.data.base is kspace.data, "a view, not a copy"
    assert kspace.frames(slice(None)).first_frame == 7
    assert kspace.frames(slice(-1, None)).first_frame == 7 + FRAMES - 1


def test_nouns_need_no_torch():
    code = "import sys, python_recon.data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
