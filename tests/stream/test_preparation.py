"""A slice is prepared within its time, each step in a cheaper form where the time is short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from python_recon.config import load_config
from python_recon.resources.schedule import Budget
from python_recon.stream.preparation import prepare
from tests.stream.test_chain_memory import frames_of_a_scan

CONFIG = load_config({"method": "cg_sense", "density.method": "iterative"})


def test_with_ample_time_nothing_is_cheaper():
    prepared = prepare(frames_of_a_scan(CONFIG), CONFIG, Budget())
    assert prepared.comment == prepared.maps.comment == ""
    assert prepared.maps.source == "nlinv"


def test_without_time_everything_is_and_it_is_told(caplog):
    prepared = prepare(frames_of_a_scan(CONFIG), CONFIG, Budget(1e-3))
    assert prepared.comment == "gradient delays were not looked for: there was no time"
    assert prepared.maps.source == "low_resolution"
    assert "no time for coil maps by 'nlinv'" in prepared.maps.comment
    assert "the density had time for 0 of 10 iterations" in caplog.text


def test_hundreds_of_coils_are_soon_a_few():
    """Not after the delays, whose crossings take a time for each coil; the few see what all have seen."""
    few = frames_of_a_scan(CONFIG)
    rng = np.random.default_rng(5)
    mixing = (rng.standard_normal((300, few.n_coils)) / 17).astype(np.complex64)
    many = replace(few, data=np.einsum("vc,fcsr->fvsr", mixing, few.data))
    prepared = prepare(many, CONFIG, Budget())
    assert prepared.kspace.n_coils <= 12
    kept = np.square(np.abs(prepared.kspace.data.numpy())).sum()
    assert kept > 0.985 * np.square(np.abs(many.data)).sum()
    assert prepared.details["seconds_preparation"] < 20
