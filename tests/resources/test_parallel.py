"""Work side by side: all of it, in order, and the caller's settings kept."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl
import torch

from python_recon.resources.parallel import calm_blas, one_thread, side_by_side

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("length", [1, 2, 5, 16])
def test_parts_cover_the_range_in_order(n_threads, length):
    parts = side_by_side(lambda part: list(range(length))[part], length, CPU)
    assert [index for part in parts for index in part] == list(range(length))
    assert len(parts) == min(n_threads, length)
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("has_gradients", [True, False])
def test_gradient_mode_is_that_of_the_caller(n_threads, has_gradients):
    with torch.set_grad_enabled(has_gradients):
        modes = side_by_side(lambda part: torch.is_grad_enabled(), 4, CPU)
    assert set(modes) == {has_gradients}


def test_an_error_reaches_the_caller(n_threads):
    def fail(part):
        raise ArithmeticError(str(part))

    with pytest.raises(ArithmeticError):
        side_by_side(fail, 4, CPU)


def test_small_work_has_one_thread(n_threads):
    with one_thread():
        assert torch.get_num_threads() == 1
    with pytest.raises(ArithmeticError), one_thread():
        raise ArithmeticError
    assert torch.get_num_threads() == n_threads


def test_matrix_products_of_numpy_have_one_thread():
    assert np.linalg.norm(np.ones(2)) > 1  # it is loaded
    calm_blas()
    assert {
        pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"
    } == {1}
