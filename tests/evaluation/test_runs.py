from __future__ import annotations

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.evaluation.runs import Source, evaluate
from python_recon.phantom.heart import HeartPhantom

N_FRAMES, N_SPOKES, N_COILS, MATRIX = 3, 13, 3, (24, 24)
CONFIG = load_config({"method": "gridding", "coils.maps": "walsh", "trajectory.correct_delay": "off"})


def scan(seed, report=lambda _stage, _done: None):
    phantom = HeartPhantom(n_coils=N_COILS, seed=seed)
    index = np.arange(N_FRAMES * N_SPOKES)
    angle = np.deg2rad(111.246 * index)
    radius = (np.arange(48) - 24) / 2
    trajectory = (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]).astype(np.float32)
    times_s = 0.003 * index
    data = 24 * phantom.kspace(trajectory, times_s)
    report("scanning", 1.0)
    kspace = KSpace(
        data=data.reshape(N_COILS, N_FRAMES, N_SPOKES, -1).swapaxes(0, 1),
        trajectory=trajectory.reshape(N_FRAMES, N_SPOKES, -1, 2),
        matrix=MATRIX,
    )
    return kspace, phantom.image(times_s.reshape(N_FRAMES, -1).mean(1), MATRIX)


def source(name, repeat=0, loaded=None):
    def load(report):
        if loaded is not None:
            loaded.append((name, repeat))
        return scan(repeat, report)

    return Source(name, load, repeat)


def test_every_scan_at_every_number_of_spokes_as_soon_as_it_is_done():
    loaded = []
    sources = [source("calm", 0, loaded), source("calm", 1, loaded)]
    cases = evaluate(sources, ["gridding"], CONFIG, spokes=(13, 5))
    assert not loaded
    first = next(cases)
    assert loaded == [("calm", 0)]
    cases = [first, *cases]
    assert [(case.repeat, case.comparison.sampling.kept) for case in cases] == [
        (0, "13"), (0, "5"), (1, "13"), (1, "5")
    ]  # fmt: skip
    errors = [case.comparison.rows[0].scores["nrmse"] for case in cases]
    assert errors[1] > errors[0]
    assert errors[2] != errors[0]


def test_images_are_kept_of_the_first_repeat_only():
    cases = list(evaluate([source("calm", 4), source("calm", 5)], ["gridding"], CONFIG))
    assert [bool(case.comparison.images) for case in cases] == [True, False]
    assert cases[1].comparison.truth is None
    assert cases[1].comparison.rows[0].scores


def test_too_few_spokes_are_found_before_any_method_runs():
    told = []
    with pytest.raises(DataError, match="14 spokes"):
        next(
            evaluate([source("calm")], ["gridding"], CONFIG, spokes=(5, 14), report=lambda *n: told.append(n))
        )
    assert all("gridding" not in stage for stage, _ in told)


def test_progress_says_where_it_is():
    told = []
    sources = [source("calm"), source("wild", 1)]
    list(evaluate(sources, ["gridding"], CONFIG, spokes=(13, 5), report=lambda *news: told.append(news)))
    stages, shares = zip(*told, strict=True)
    assert stages[0] == "calm, repeat 1, scanning"
    assert "wild, repeat 2, 5 spokes, gridding" in stages
    assert list(shares) == sorted(shares)
    assert shares[-1] <= 1
