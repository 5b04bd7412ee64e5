"""Benchmarks: we and our peers in turn on the same arrays. Run with ``make bench``.

Everybody gets the same number of threads, BENCHMARK_THREADS or 2, which the libraries read when they are
first imported: hence here.
"""

from __future__ import annotations

import os

THREADS = int(os.environ.get("BENCHMARK_THREADS", "2"))

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(THREADS)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as our gadgets run, for everybody
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))
