from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import DataError
from python_recon.fields.field import KSpaceField
from python_recon.fields.fitted import FittedField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import TimeAxis
from python_recon.judging.shares import WHOLE
from tests.fields.toys import LinearField, Polynomial, StartField, blob, smooth_maps
from tests.numerics import relative_error

MATRIX, N_COILS = (40, 52), 4
AXIS = TimeAxis("plain", 36_000.0, 2.0)
TIMES_S = np.array([36_000.0, 36_000.7, 36_001.0, 36_001.9, 36_002.0, 36_000.3])
SCALE = 7.0


def series(matrix, times_s=TIMES_S):
    """(frame, y, x): one blob that stays and one that comes."""
    t = torch.as_tensor((times_s - 36_000) / 2, dtype=torch.float32)[:, None, None]
    return SCALE * (blob(matrix) + t * blob(matrix, (-0.1, 0.1), 0.07))


def known_start():
    pixels = torch.stack([blob(MATRIX), blob(MATRIX, (-0.1, 0.1), 0.07)])
    return LowRankStart(pixels, smooth_maps(N_COILS, MATRIX), Polynomial(2))


def fitted(net=None, start=None, shares=WHOLE):
    net = net or StartField(known_start())
    return FittedField(net, start, shares, SCALE, smooth_maps(N_COILS, MATRIX), AXIS)


def images_of(field, times_s=TIMES_S, matrix=None):
    return torch.cat(list(field.render(times_s, matrix)))


def test_the_cartesian_query_of_a_known_signal_is_its_image():
    images = images_of(fitted())
    assert images.shape == (6, *MATRIX)
    assert images.dtype == torch.complex64
    assert relative_error(images, series(MATRIX)) < 3e-3


@pytest.mark.parametrize("matrix", [(80, 104), (60, 65), (41, 53), (37, 44)])
def test_another_matrix_shows_the_same_field_of_view(matrix):
    assert relative_error(images_of(fitted(), matrix=matrix), series(matrix)) < 5e-3


@pytest.mark.parametrize("matrix", [None, (80, 104), (41, 44)])
def test_the_start_is_added_and_the_share_counts(matrix):
    field = fitted(start=known_start(), shares=(0.5,))
    assert relative_error(images_of(field, matrix=matrix), 1.5 * series(matrix or MATRIX)) < 4e-3


def test_a_field_without_share_is_not_evaluated():
    class Untouched(KSpaceField):
        def forward(self, k, t):
            raise AssertionError

    field = fitted(Untouched(N_COILS), known_start(), (0.0,))
    assert relative_error(images_of(field), series(MATRIX)) < 1e-5


def test_more_moments_than_were_measured():
    times_s = np.linspace(36_000, 36_002, 23)
    assert relative_error(images_of(fitted(), times_s), series(MATRIX, times_s)) < 3e-3


def test_frames_come_a_few_at_a_time():
    blocks = list(fitted().render(TIMES_S))
    assert [len(block) for block in blocks] == [4, 2]
    assert images_of(fitted(), np.array(36_000.5)).shape == (1, *MATRIX)


@pytest.mark.parametrize("times_s", [[35_999.0], [36_001.0, 36_002.5]])
def test_moments_outside_the_scan_are_refused(times_s):
    with pytest.raises(DataError, match="scan covers 36000 s to 36002 s: ask for times within it"):
        images_of(fitted(), np.array(times_s))


def test_nothing_is_taken_from_beyond_the_measured_disc():
    """A field says something everywhere, but learned nothing there."""

    class Loud(KSpaceField):
        def forward(self, k, t):
            outside = torch.linalg.vector_norm(k, dim=-1) >= 1
            return (1e6 * outside)[:, None].to(torch.complex64).expand(-1, N_COILS)

    assert not images_of(fitted(Loud(N_COILS)), matrix=(64, 80)).any()


def test_no_gradients_are_kept():
    assert not images_of(fitted(LinearField(N_COILS, seed=1))).requires_grad
