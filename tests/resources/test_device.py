from __future__ import annotations

import pytest
import torch

from python_recon.config import load_config
from python_recon.errors import BackendError
from python_recon.resources.device import set_up


def test_cpu_when_asked():
    assert set_up(load_config({"device": "cpu"})) == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error():
    assert set_up(load_config({"device": "auto"})) == "cpu"
    with pytest.raises(BackendError, match="set device to auto"):
        set_up(load_config({"device": "cuda"}))


@pytest.mark.cuda
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_with_a_gpu_it_is_used(device):
    assert set_up(load_config({"device": device})) == "cuda"


@pytest.mark.cuda
def test_the_share_of_the_gpu_is_kept():
    try:
        set_up(load_config({"device": "cuda", "max_gpu_gb": 0.5}))
        torch.empty(100 << 20, dtype=torch.uint8, device="cuda")
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_threads_are_set_only_when_asked():
    set_up(load_config({"threads": 2}))
    assert torch.get_num_threads() == 2
    set_up(load_config({}))
    assert torch.get_num_threads() == 2
