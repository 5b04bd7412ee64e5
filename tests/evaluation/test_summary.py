from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from python_recon.evaluation.comparison import Comparison, Row, Sampling
from python_recon.evaluation.runs import Case
from python_recon.evaluation.summary import Evaluation
from python_recon.resources.usage import Usage

USAGE = Usage(1.25, 20.4, 0.0)
SERIES = np.ones((3, 8, 6))


def case(spokes="14", scan="slow", repeat=0, held_out=None, **scores):
    """Scores by method, or the reason why there are none."""
    rows = tuple(
        Row(method, None, {}, found) if isinstance(found, str) else Row(method, USAGE, found)
        for method, found in scores.items()
    )
    sampling = Sampling(25, "14", spokes, held_out)
    return Case(scan, repeat, Comparison(rows, {"grasp": SERIES}, SERIES, (4, 3), sampling))


def psnr(value):
    return {"psnr": value, "nrmse": 1 / value, "hfen": 0.5}


def test_one_scan_at_one_number_of_spokes_needs_no_columns_for_them():
    table = Evaluation([case(gridding=psnr(18), grasp=psnr(25))]).as_table()
    assert table.header == ["Method", "Time (s)", "Memory (MB)", "PSNR (dB)", "NRMSE", "Remarks"]
    assert table.rows[0] == ["gridding", "1.25", "20", "18.00", "0.056", ""]


def test_the_psnr_of_time_profiles_is_one_column():
    scores = psnr(25) | {"psnr_xt": 20.0, "psnr_yt": 22.0, "psnr_profiles": 21.0}
    table = Evaluation([case(grasp=scores)]).as_table()
    assert table.rows[0][table.header.index("PSNR x-t, y-t")] == "21.00"
    assert sum("x-t" in title for title in table.header) == 1


def test_rows_are_grouped_by_scan_and_then_by_spokes():
    order = [("14", "slow"), ("2", "slow"), ("14", "fast"), ("2", "fast")]
    table = Evaluation([case(*each, gridding=psnr(18), grasp=psnr(25)) for each in order]).as_table()
    assert table.header[:3] == ["Scan", "Spokes", "Method"]
    assert [tuple(row[:3]) for row in table.rows] == [
        (scan, spokes, method) for spokes, scan in order for method in ("gridding", "grasp")
    ]
    assert table.ends == {1, 3, 5, 7}


def test_repeats_become_mean_and_spread():
    values = (20.0, 22.0, 27.0)
    evaluation = Evaluation([case(repeat=n, grasp=psnr(value)) for n, value in enumerate(values)])
    (summary,) = evaluation.summaries()
    assert summary.n_repeats == 3
    assert summary.means["psnr"] == pytest.approx(23.0)
    assert summary.spreads["psnr"] == pytest.approx(np.std(values, ddof=1))
    table = evaluation.as_table()
    assert table.rows[0][table.header.index("PSNR (dB)")] == "23.00 ± 3.61"
    assert table.rows[0][table.header.index("Time (s)")] == "1.25"
    assert any("3 repeats" in note for note in evaluation.notes)


def test_the_best_of_every_group_is_marked():
    cases = [case("14", gridding=psnr(18), grasp=psnr(25)), case("2", gridding=psnr(19), grasp=psnr(16))]
    table = Evaluation(cases).as_table()
    places = {(row, table.header.index(name)) for row in (1, 2) for name in ("PSNR (dB)", "NRMSE")}
    assert table.best == places


def test_a_failed_method_has_dashes_and_a_reason():
    cases = [case(repeat=0, nik="diverged", grasp=psnr(20)), case(repeat=1, nik=psnr(21), grasp=psnr(20))]
    first, both = Evaluation(cases[:1]).as_table(), Evaluation(cases).as_table()
    assert first.rows[0] == ["nik", "–", "–", "–", "–", "diverged"]
    assert both.rows[0][-1] == "diverged (1 of 2)"
    assert not Evaluation([case(nik="diverged")]).has_images


def test_markdown_has_a_line_for_every_row_and_escapes():
    lines = (
        Evaluation([case(nik="a | b", grasp=psnr(20), gridding=psnr(10))])
        .as_table()
        .as_markdown()
        .splitlines()
    )
    assert len(lines) == 5
    assert lines[2].endswith("| a \\| b |")
    assert "**20.00**" in lines[3]


def test_json_holds_every_number():
    cases = [case("8", grasp=psnr(20), held_out="6"), case("8", repeat=1, grasp=psnr(24), held_out="6")]
    loaded = json.loads(json.dumps(Evaluation(cases).as_json()))
    assert [row["scores"]["hfen"] for row in loaded["rows"]] == [0.5, 0.5]
    assert [row["repeat"] for row in loaded["rows"]] == [0, 1]
    assert loaded["rows"][0]["usage"]["seconds"] == 1.25
    assert loaded["summary"][0]["means"]["psnr"] == 22
    assert loaded["cases"][0]["held_out"] == "6"
    assert loaded["normalisation"] == "least_squares"


def test_notes_tell_sampling_and_normalisation_once():
    cases = [case(spokes, grasp=psnr(20)) for spokes in ("14", "8")]
    notes = Evaluation(cases).notes
    assert notes[0] == "25 frames of 14, 8 spokes, of 14 measured."
    assert sum("least-squares" in note for note in notes) == 1
    other = case("14", scan="fast", grasp={"held_out_error": 0.2}, held_out="3")
    notes = Evaluation([*cases, other]).notes
    assert (
        "fast: 25 frames of 14 spokes, of 14 measured. Held out: 3 spokes a frame, which no method saw."
        in notes
    )


def test_figures_are_of_the_first_repeat():
    first, second = case(repeat=0, grasp=psnr(20)), case(repeat=1, grasp=psnr(24))
    second = replace(second, comparison=replace(second.comparison, images={}, truth=None))
    assert Evaluation([first, second]).blocks() == {"slow": [first.comparison]}
