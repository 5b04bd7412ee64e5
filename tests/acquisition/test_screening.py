"""A scan of noise is told from one with little signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_recon.acquisition.screening import refuse_noise
from python_recon.data import Readout
from python_recon.errors import DataError
from tests.numerics import complex_noise, golden_spokes

N_COILS, N_SPOKES, N_SAMPLES, MATRIX = 3, 80, 64, (30, 36)


def readouts(data: np.ndarray) -> list[Readout]:
    """Of (coil, spoke, readout)."""
    spokes = golden_spokes(1, data.shape[1], data.shape[2], MATRIX)[0]
    return [
        Readout(np.ascontiguousarray(data[:, i]), trajectory=spokes[i], scan_counter=i)
        for i in range(data.shape[1])
    ]


def noise(seed: int = 0, n_spokes: int = N_SPOKES, n_coils: int = N_COILS) -> np.ndarray:
    return complex_noise((n_coils, n_spokes, N_SAMPLES), seed)


def disc(amplitude: float, radius: float = 0.3) -> np.ndarray:
    """k-space (spoke, readout) of a Gaussian of that radius in fields of view, off the centre."""
    k = golden_spokes(1, N_SPOKES, N_SAMPLES, MATRIX)[0].astype(float)
    fall = np.exp(-2 * (np.pi * radius / 2) ** 2 * (k**2).sum(-1))
    return amplitude * fall * np.exp(-2j * np.pi * (0.1 * k[..., 0] - 0.05 * k[..., 1]))


def is_refused(data: np.ndarray) -> bool:
    given = readouts(data.astype(np.complex64))
    passed = []
    try:
        passed.extend(refuse_noise(given))
    except DataError:
        return True
    assert passed == given
    return False


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_refused_whatever_its_level_and_coils(seed):
    gains = 10.0 ** np.random.default_rng(seed).uniform(-6, 6, N_COILS)
    mixing = np.diag(gains) @ (np.eye(N_COILS) + 0.5 * complex_noise((N_COILS, N_COILS), seed))
    assert is_refused(np.einsum("cd,dsr->csr", mixing, noise(seed)))


def test_every_readout_was_passed_on_before():
    stream, passed = refuse_noise(readouts(noise())), []
    with pytest.raises(DataError, match=r"noise only: in 80 readouts .*ACQ_IS_NOISE_MEASUREMENT"):
        passed.extend(stream)
    assert len(passed) == N_SPOKES


@pytest.mark.parametrize("seed", range(20))
def test_a_little_signal_in_one_coil_is_enough(seed):
    """The largest sample is as large as the noise of one, and the other coils are louder."""
    data = noise(seed) * np.array([1.0, 1e3, 30.0])[:, None, None]
    data[0] += disc(np.sqrt(2.0))
    assert not is_refused(data)


@given(amplitude=st.floats(3, 1e9), radius=st.floats(0.005, 0.5))
def test_a_signal_is_never_refused(amplitude, radius):
    """From a point, whose energy is as even as that of noise, to the whole field of view."""
    assert not is_refused(noise() + disc(amplitude, radius))
    assert not is_refused(np.broadcast_to(disc(amplitude, radius), (1, N_SPOKES, N_SAMPLES)))


@pytest.mark.parametrize("n_spokes", [1, 3])
def test_a_handful_of_spokes_with_signal_passes(n_spokes):
    assert not is_refused((noise() + disc(10.0))[:, :n_spokes])


def test_silence_is_not_noise():
    assert not is_refused(0 * noise())


def test_a_change_of_coils_does_not_hide_a_signal():
    before, after = readouts(noise()), readouts((noise(1) + disc(5.0)).astype(np.complex64)[:2])
    assert len(list(refuse_noise([*before, *after]))) == 2 * N_SPOKES
    after = readouts(noise(1)[:2])
    with pytest.raises(DataError, match=f"in {2 * N_SPOKES} readouts"):
        list(refuse_noise([*before, *after]))


def test_readouts_too_short_to_judge_pass():
    short = [replace(r, data=r.data[:, :4], trajectory=r.trajectory[:4]) for r in readouts(noise())]
    assert len(list(refuse_noise(short))) == N_SPOKES


def test_an_empty_stream_is_none_of_its_business():
    assert list(refuse_noise([])) == []
