from __future__ import annotations

import time

import numpy as np
import pytest

from python_recon.usage import measure


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
