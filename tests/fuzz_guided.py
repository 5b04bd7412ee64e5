"""The wire under inputs that reach for new code: ``python -m tests.fuzz_guided [-runs=N] [FOLDER]``.

Needs atheris (``pip install atheris``, where it has a wheel for this Python). The corpus begins with valid
streams; the other arguments are libFuzzer's. Anything that :func:`tests.fuzz.read` lets through is a finding,
as is a stream that takes longer than ``-timeout`` or more memory than ``-rss_limit_mb``.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

_LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"]
_N_SEEDS = 32


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is missing: pip install atheris, or use python -m tests.fuzz")
    with atheris.instrument_imports(include=["gadgets"]):
        from tests import fuzz
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_N_SEEDS):
            stream = b"".join(fuzz.valid_messages(np.random.default_rng(number)))
            (Path(folder) / str(number)).write_bytes(stream)
        folders = [each for each in sys.argv[1:] if not each.startswith("-")]
        options = [each for each in sys.argv[1:] if each.startswith("-")]

        def read_one(data: bytes) -> None:
            fuzz.read(data)

        atheris.Setup([sys.argv[0], *_LIMITS, *options, *folders, folder], read_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
