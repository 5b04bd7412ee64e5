"""The report as a reader uses it: in a browser without a network, with mouse and keyboard."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from python_recon.data import Counters, Geometry, ImageSeries
from python_recon.outputs.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to run the page in")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
N_FRAMES = 6


@pytest.fixture
def images():
    """(frame, y, x) without a symmetry: a ramp over both axes and the frames, and the brightest voxel."""
    frame, y, x = np.mgrid[:N_FRAMES, :32, :40]
    images = (100 * frame + 2 * y + x).astype(np.complex64)
    images[0, 0, 0] = 1000
    return images


@pytest.fixture
def path(images, coil_maps, tmp_path):
    geometry = Geometry(field_of_view_mm=(400.0, 320.0, 8.0))
    series = [
        ImageSeries(
            images * (3 - index), name, index, geometry, Counters(slice=1), times_s=0.2 * np.arange(6)
        )
        for index, name in ((1, "gridding"), (2, "grasp"))
    ]
    told = {"scan": {"Protocol": "cine"}, "config": {}, "warnings": [], "milestones": {"last image": 2.0}}
    return write_report(tmp_path / "report.html", series, coil_maps=[coil_maps], **told)


def use(path, steps):
    """What ``steps``, JavaScript that fills ``told``, found out; the browser has nothing to complain of."""
    script = f"""<script>
      const told = {{}};
      const find = (selector, number = 0) => document.querySelectorAll(selector)[number];
      const put = (selector, value, number = 0) => {{
        find(selector, number).value = value;
        find(selector, number).dispatchEvent(new Event("input"));
      }};
      const state = (number = 0) => find(".state", number).textContent;
      const greyAt = (y, x) => {{
        const copy = new OffscreenCanvas(1, 1).getContext("2d", {{ willReadFrequently: true }});
        copy.drawImage(find(".image canvas"), -x, -y);
        return copy.getImageData(0, 0, 1, 1).data[0];
      }};
      const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
      (async () => {{ {steps} }})().catch((error) => {{ told.error = String(error); }}).finally(() => {{
        const place = document.body.appendChild(document.createElement("pre"));
        place.id = "told";
        place.textContent = JSON.stringify(told);
      }});
    </script></body>"""
    driven = path.with_name("driven.html")
    driven.write_text(path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={path.parent / 'user'}", "--dump-dom", driven.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    (text,) = re.findall(r'<pre id="told">(.*?)</pre>', done.stdout)
    told = json.loads(html.unescape(text))
    assert "error" not in told
    return told


def shown(state):
    """Frame, x, y and value of a line of state."""
    found = re.match(r"frame (\d+), [\d.]+ s · \(x (\d+), y (\d+)\) = ([\d.]+)", state).groups()
    return (*map(int, found[:3]), float(found[3]))


def test_sliders_buttons_and_keys(path, images):
    told = use(
        path,
        """
        told.start = state();
        put(".frame", 3);
        told.third = state();
        told.linked = state(1);
        for (const key of ["ArrowDown", "ArrowDown", "ArrowLeft"])
          find(".image").dispatchEvent(new KeyboardEvent("keydown", { key }));
        told.moved = state();
        find(".play").click();
        told.button = find(".play").textContent;
        await wait(500);
        find(".play").click();
        told.played = state();
        find("#linked").click();
        put(".frame", 1);
        told.alone = [state(0), state(1)];
        """,
    )
    frame, x, y, value = shown(told["start"])
    assert frame == 0
    assert value == pytest.approx(2 * abs(images[0, y, x]), rel=1e-3)
    assert shown(told["third"]) == (3, x, y, pytest.approx(2 * abs(images[3, y, x]), rel=1e-3))
    assert shown(told["linked"])[:3] == (3, x, y)
    moved = shown(told["moved"])
    assert moved[:3] == (3, x - 1, y + 2)
    assert moved[3] == pytest.approx(2 * abs(images[3, y + 2, x - 1]), rel=1e-3)
    assert told["button"] == "Stop"
    # Frames are 0.2 s apart: the first comes at once, the others after 0.2 and 0.4 s.
    assert shown(told["played"])[0] == 0
    assert [shown(text)[0] for text in told["alone"]] == [1, 0]


def test_window(path, images):
    told = use(
        path,
        """
        put(".level", 32768);
        put(".width", 65535);
        told.wide = [greyAt(4, 30), greyAt(31, 2)];
        put(".width", 1);
        told.narrow = [greyAt(4, 30), greyAt(0, 0)];
        find(".reset").click();
        told.reset = state();
        """,
    )
    # The whole range: black is 0, white the brightest voxel.
    expected = [255 * abs(images[0, y, x]) / 1000 for y, x in ((4, 30), (31, 2))]
    assert told["wide"] == pytest.approx(expected, abs=1)
    assert told["narrow"] == [0, 255]
    low, high = np.percentile(2 * np.abs(images), (1, 99.5))
    level, width = map(float, re.search(r"level ([\d.]+), width ([\d.]+)", told["reset"]).groups())
    assert (level, width) == pytest.approx(((low + high) / 2, high - low), rel=1e-2)


def test_everything_is_in_the_page(path):
    told = use(
        path,
        """
        await wait(100);
        told.pictures = Array.from(document.images, (image) => image.naturalWidth);
        told.loaded = performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 5));
        told.nameless = Array.from(document.querySelectorAll("input, select, button, img, [role=img]"))
          .filter((each) => !(each.labels?.length || each.ariaLabel || each.alt || each.textContent.trim()))
          .map((each) => each.outerHTML);
        """,
    )
    assert told["pictures"] == [48] * 6
    assert set(told["loaded"]) <= {"data:"}
    assert told["nameless"] == []
