"""The data of a scan that are kept have one limit, whoever keeps them."""

from __future__ import annotations

import pytest

from python_recon.config import load_config
from python_recon.errors import DataError
from python_recon.resources.kept_data import KeptData
from python_recon.resources.memory import GB
from python_recon.stream.chain import reconstruct_stream
from tests.heart_stream import SCAN, readouts


def test_keepers_come_and_go():
    kept = KeptData(lambda: 1)
    with kept.counting(lambda: 20), kept.counting(lambda: 300):
        assert kept.n_bytes == 321
    assert kept.n_bytes == 1


def test_readouts_that_wait_leave_the_frames_less_room():
    """The same scan passes where nothing waits."""
    allowed_gb = 0.2
    config = load_config({"method": "cg_sense", "preview": "none", "max_host_gb": allowed_gb})
    assert list(reconstruct_stream(readouts(), SCAN, config, kept=KeptData()))
    waiting = KeptData(lambda: int(allowed_gb * GB))
    with pytest.raises(DataError, match=r"grown to 0\.2 GB in 1 frames.*max_host_gb"):
        list(reconstruct_stream(readouts(), SCAN, config, kept=waiting))
