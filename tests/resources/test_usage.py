from __future__ import annotations

import time

import numpy as np
import pytest

from python_recon.resources.usage import measure, peak_memory


@pytest.mark.parametrize("run", ["first", "second"])
def test_memory_that_is_used_and_freed_is_seen_every_time(run):
    def work():
        block = np.ones(100 * 2**17)  # 100 MiB
        time.sleep(0.05)
        return float(block.sum())

    total, usage = measure(work)
    assert total == 100 * 2**17
    assert 95 < usage.peak_memory_mb < 200
    assert usage.seconds > 0.05


def test_errors_pass_through():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0)


def test_the_peak_of_the_process_only_rises():
    before = peak_memory("cpu")
    block = np.ones(int(2**17 * (before["peak_memory_mib"] + 100)))
    after = peak_memory("cpu")["peak_memory_mib"]
    assert after > before["peak_memory_mib"] + 90
    del block
    assert peak_memory("cpu")["peak_memory_mib"] >= after
    assert before.keys() == {"peak_memory_mib"}


@pytest.mark.cuda
def test_the_peak_of_the_device_is_told_too():
    import torch

    block = torch.ones(100 * 2**18, device="cuda")
    assert peak_memory("cuda")["peak_device_mib"] >= 100
    assert block.is_cuda
