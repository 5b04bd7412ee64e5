from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from python_recon.data import Geometry, ImageSeries
from python_recon.outputs import report
from python_recon.outputs.report import quantise, write_report
from python_recon.outputs.series import join_series


class Page(HTMLParser):
    """What a test wants to know of a page: its elements, their attributes and their text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        self.texts.append((tag, attributes.get("class", ""), data))

    def of_class(self, name):
        return [text for _, classes, text in self.texts if name in classes.split()]


@pytest.fixture
def arguments(coil_maps):
    return {
        "scan": {"Protocol": "cine <script>alert(1)</script>", "Coils": "12 & noise"},
        "config": {"method": "grasp", "options": {"regularisation": 0.02}, "window": (3, 4)},
        "warnings": ["1 spoke < 13 was lost"],
        "milestones": {"last image": 2.0, "first image": 0.5},
        "coil_maps": [coil_maps],
    }


@pytest.fixture
def page(pieces, arguments, tmp_path):
    path = write_report(tmp_path / "new" / "report.html", pieces, **arguments)
    return Page(path.read_text(encoding="utf-8"))


def test_page_needs_nothing_from_elsewhere(page):
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not {"href", "data", "action", "background"} & attributes.keys()
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    code = " ".join(text for tag, _, text in page.texts if tag in {"script", "style"})
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|fetch\(|XMLHttpRequest|import\(", code)
    policies = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and "content" in attributes
    ]
    assert any(policy.startswith("default-src 'none'") for policy in policies)


def test_every_series_has_its_controls(page):
    assert sum(tag == "img" for tag, _ in page.elements) == 2 * 3
    for name, expected in [("frame", 3), ("level", 3), ("width", 3)]:
        sliders = [a for tag, a in page.elements if tag == "input" and a.get("class") == name]
        assert len(sliders) == expected
        assert all(slider["type"] == "range" for slider in sliders)
    assert sum(tag == "button" and a["class"] == "play" for tag, a in page.elements) == 3


def test_embedded_pixels_are_the_images_within_the_quantisation(page, pieces):
    numbers = [json.loads(text) for text in page.of_class("numbers")]
    pixels = [np.frombuffer(base64.b64decode(text), dtype="<u2") for text in page.of_class("pixels")]
    for series, facts, stored in zip(join_series(pieces), numbers, pixels, strict=True):
        shown = stored.reshape(facts["frames"], facts["height"], facts["width"]) * facts["unit"]
        magnitude = np.abs(series.images)
        np.testing.assert_allclose(shown, magnitude, atol=0.51 * magnitude.max() / 65535)
    assert numbers[0]["interval_ms"] == pytest.approx(50)
    assert numbers[0]["times"] == pytest.approx([0.05 * frame for frame in range(10)])
    assert numbers[2]["times"] is None


def test_details_and_comment_are_shown(pieces, arguments, tmp_path):
    details = {
        "seconds": {"coil_maps": 0.123456},
        "loss": [1.0] * 20 + [0.25],
        "stop": "converged",
        "rungs": ["a"] * 9,
    }
    series = replace(pieces[0], details=details, comment="fell back to cg_sense", times_s=np.full(10, np.nan))
    page = Page(write_report(tmp_path / "report.html", [series], **arguments).read_text(encoding="utf-8"))
    cells = [text for tag, _, text in page.texts if tag in {"th", "td"}]
    shown = dict(zip(cells[::2], cells[1::2], strict=False))
    assert shown["seconds: coil maps"] == "0.1235"
    assert shown["loss"] == "21 values, last 0.25"
    assert shown["stop"] == "converged"
    assert shown["rungs"] == "9 values, last a"
    assert page.of_class("comment") == ["fell back to cg_sense"]
    assert json.loads(page.of_class("numbers")[0])["times"] is None


def test_curves_of_a_fit_are_drawn(pieces, arguments, tmp_path):
    details = {"losses": [4.0, 2.0, 1.0], "held_out": [0.5, 0.25, 0.3], "stopped": "convergence", "steps": 60}
    series = replace(pieces[0], details=details)
    page = Page(write_report(tmp_path / "report.html", [series], **arguments).read_text(encoding="utf-8"))
    charts = [a["aria-label"] for tag, a in page.elements if tag == "svg" and a.get("class") == "chart"]
    assert charts == [
        "Loss: from 4 to 1, least 1",
        "Error of the held-out spokes: from 0.5 to 0.3, least 0.25",
    ]
    assert any("stopped: convergence, steps: 60" in text for _, _, text in page.texts)


def test_time_and_memory_are_shown(pieces, arguments, tmp_path):
    details = {"seconds_coil_maps": 1.25, "seconds_method": 2.5, "peak_memory_mib": 512.4}
    path = write_report(tmp_path / "report.html", [replace(pieces[0], details=details)], **arguments)
    page = Page(path.read_text(encoding="utf-8"))
    cells = [text for tag, _, text in page.texts if tag in {"th", "td"} and text.strip()]
    shown = dict(itertools.pairwise(cells))
    assert shown["first image"] == "0.50"
    assert shown["grasp, slice 1: coil maps"] == "1.25"
    assert shown["grasp, slice 1: method"] == "2.50"
    assert shown["grasp, slice 1: process"] == "512"
    widths = [a["style"] for tag, a in page.elements if tag == "i" and "style" in a]
    assert widths == ["width: 25.0%", "width: 100.0%", "width: 50.0%", "width: 100.0%", "width: 100.0%"]


def test_texts_are_escaped_and_shown(page, arguments):
    # Two blocks of data a series and the one script of the page: the protocol's name has added none.
    assert sum(tag == "script" for tag, _ in page.elements) == 2 * 3 + 1
    texts = [text for _, _, text in page.texts]
    assert arguments["scan"]["Protocol"] in texts
    assert arguments["warnings"][0] in texts
    assert "12 & noise" in texts


def test_configuration_is_yaml(page):
    (text,) = [text for tag, _, text in page.texts if tag == "pre"]
    assert yaml.safe_load(text) == {"method": "grasp", "options": {"regularisation": 0.02}, "window": [3, 4]}


def test_warnings_come_before_the_images(pieces, arguments, tmp_path):
    text = write_report(tmp_path / "report.html", pieces, **arguments).read_text(encoding="utf-8")
    assert text.index("was lost") < text.index("<canvas")
    nothing = arguments | {"warnings": []}
    silent = [replace(piece, comment="") for piece in pieces]
    without = write_report(tmp_path / "report.html", silent, **nothing).read_text(encoding="utf-8")
    assert "No warnings." in without
    # What a series says of itself is not "no warnings", and stands before its images.
    remarked = write_report(tmp_path / "report.html", pieces, **nothing).read_text(encoding="utf-8")
    assert "No warnings." not in remarked
    assert remarked.index("gridding, slice 0, gridding, slice 1: preview") < remarked.index("<canvas")


def test_it_says_that_it_is_for_research_only(pieces, arguments, tmp_path):
    text = write_report(tmp_path / "report.html", pieces, **arguments).read_text(encoding="utf-8")
    assert "For research only: not for diagnosis or treatment." in text[: text.index("<canvas")]


def test_directions_that_are_unknown_have_no_letters(pieces, arguments, tmp_path):
    nowhere = Geometry(read_dir=(0.0, 0.0, 0.0), phase_dir=(0.0, 0.0, 0.0), slice_dir=(0.0, 0.0, 0.0))
    lost = [replace(piece, geometry=nowhere) for piece in pieces]
    text = write_report(tmp_path / "report.html", lost, **arguments).read_text(encoding="utf-8")
    assert "orientation unknown" in text
    assert 'class="edge' not in text
    assert "Position (L, P, S)" not in text


def test_the_share_of_the_network_stands_at_the_curves(arguments, tmp_path):
    details = {"losses": [2.0, 1.0], "judged_at": [15, 30], "shares": [0.25, 0.75]}
    series = ImageSeries(np.ones((2, 8, 8), np.complex64), "pisco", 2, details=details)
    text = write_report(tmp_path / "report.html", [series], **arguments).read_text(encoding="utf-8")
    assert "share: 50 %" in text


def test_edges_name_the_patient_directions(pieces, arguments, tmp_path):
    coronal = Geometry(read_dir=(-1.0, 0, 0), phase_dir=(0, 0.6, -0.8), slice_dir=(0, 0.8, 0.6))
    path = write_report(tmp_path / "report.html", [replace(pieces[0], geometry=coronal)], **arguments)
    edges = re.findall(r'class="edge (\w+)">(\w+)<', path.read_text(encoding="utf-8"))
    # The scan reads from left to right; on the screen the patient's right is on the left.
    assert dict(edges) == {"left": "R", "right": "L", "top": "HA", "bottom": "FP"}


def test_long_series_are_thinned_and_the_page_says_so(pieces, arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PIXEL_BUDGET_BYTES", 4 * 40 * 48 * 2)
    text = write_report(tmp_path / "report.html", pieces[:1], **arguments).read_text(encoding="utf-8")
    (numbers,) = Page(text).of_class("numbers")
    assert json.loads(numbers)["numbers"] == [0, 3, 6, 9]
    assert "10, 4 of them shown here" in text


def test_a_demo_sized_report_is_small(pieces, arguments, tmp_path):
    images = np.random.default_rng(0).normal(size=(24, 128, 128)).astype(np.complex64)
    series = [replace(pieces[0], images=images, series_index=index) for index in (1, 2)]
    assert write_report(tmp_path / "report.html", series, **arguments).stat().st_size < 3e6


def test_report_without_images_still_tells_what_happened(arguments, tmp_path):
    text = write_report(tmp_path / "report.html", [], **arguments).read_text(encoding="utf-8")
    assert "No images were made." in text
    assert "was lost" in text


def test_quantise_survives_what_is_not_finite_and_what_is_empty():
    pixels, unit = quantise(np.array([[[np.nan, np.inf, 2j, 1]]]))
    assert pixels.ravel().tolist() == [0, 0, 65535, 32768]
    assert unit == pytest.approx(2 / 65535)
    assert quantise(np.zeros((1, 2, 2)))[0].max() == 0
