from __future__ import annotations

import numpy as np
import pytest
import torch

from python_recon.errors import ConfigError
from python_recon.fields.view import View

CPU = torch.device("cpu")


def test_places_are_those_of_the_pixels():
    places = View.whole((4, 6)).places(CPU).reshape(4, 6, 2)
    np.testing.assert_allclose(places[2, 3], [0.5, 0.5])
    np.testing.assert_allclose(places[0, :, 0], np.arange(6) / 6, atol=1e-6)
    np.testing.assert_allclose(places[:, 0, 1], np.arange(4) / 4, atol=1e-6)


def test_a_finer_matrix_holds_the_places_of_the_coarser():
    coarse, fine = (View.whole(n).places(CPU).reshape(*n, 2) for n in ((6, 8), (18, 24)))
    np.testing.assert_allclose(fine[::3, ::3], coarse, atol=1e-6)


def test_a_window_has_the_places_of_its_pixels():
    view = View((9, 6), (2, 7), (1, 3))
    whole = View.whole((9, 6)).places(CPU).reshape(9, 6, 2)
    assert view.shape == (5, 2)
    assert torch.equal(view.places(CPU).reshape(5, 2, 2), whole[2:7, 1:3])
    assert torch.equal(view.cut(whole.permute(2, 0, 1)), whole.permute(2, 0, 1)[:, 2:7, 1:3])


@pytest.mark.parametrize("ends", [(-1, 3), (3, 3), (4, 2), (0, 10)])
def test_windows_that_are_none_are_refused(ends):
    with pytest.raises(ConfigError, match=rf"columns {ends[0]} to {ends[1]} of 9 .* within 0 to 9"):
        View((4, 9), (0, 4), ends)
