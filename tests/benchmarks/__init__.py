"""Benchmarks: we and our peers in turn on the same arrays. Run with ``make bench``.

Everybody gets the same number of threads, BENCHMARK_THREADS or 2, which the libraries read when they are
first imported: hence here.
"""

from __future__ import annotations

import os

THREADS = int(os.environ.get("BENCHMARK_THREADS", "2"))

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
