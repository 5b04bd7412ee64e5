"""The live page: what it says of scans, to whom it shows images, and that a browser can draw it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from gadgets.serve.board import Board
from gadgets.serve.health import Health
from gadgets.serve.live import Live
from tests.serving import free_ports, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOO_FEW = """<configuration><property name="method" value="gridding"/>
<property name="binning.spokes_per_frame" value="2000"/></configuration>"""
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


def state_at(port):
    """The first thing that the page is sent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=20) as events:
        line = next(line for line in events if line.startswith(b"data: "))
    return json.loads(line.removeprefix(b"data: "))


@pytest.fixture(scope="module")
def watched(start_daemon, new_scan, tmp_path_factory):
    """A daemon that has served a scan well and another one badly, and its page."""
    with start_daemon(tmp_path_factory.mktemp("live")) as daemon:
        assert not daemon.serve(new_scan("good")).errors
        assert daemon.serve(new_scan("bad"), TOO_FEW).errors
        wait_until(lambda: len(state_at(daemon.health_port)["ended"]) == 2, "both scans were to end")
        yield daemon


def test_finished_scans_say_what_made_what_and_show_their_newest_frame(watched):
    bad, good = state_at(watched.health_port)["ended"]
    assert (good["measurement"], good["state"], good["failure"]) == ("good", "done", "")
    assert good["n_images"] == 2
    assert sum(int(made.split()[0]) for made in good["made"]) == good["n_images"]
    final = good["frames"][-1]
    assert final["frame"] == 1
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(final["png"]))))
    assert max(picture.shape) == 320
    assert np.ptp(picture) > 200
    assert (bad["measurement"], bad["state"], bad["frames"]) == ("bad", "failed", [])


def test_errors_are_told_in_words(watched):
    (error,) = state_at(watched.health_port)["errors"]
    assert error["scan"] == "bad"
    assert "binning.spokes_per_frame" in error["text"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to run the page in")
def test_a_browser_draws_it_without_complaint(watched, tmp_path):
    address = f"http://127.0.0.1:{watched.health_port}/"
    command = [CHROMIUM, *BROWSER, "--enable-logging=stderr", "--timeout=8000", "--dump-dom", address]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count('class="card"') == 2
    assert "data:image/png;base64," in done.stdout
    assert "For research only" in done.stdout


def ask(port, path="/", host=None, data=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


@pytest.fixture
def page():
    """The page of a board of its own."""
    (port,), board = free_ports(1), Board()
    live = Live(lambda: {**board.as_json(), "machine": {}})
    health = Health("127.0.0.1", port, lambda: "", lambda: "", live)
    yield port, board
    health.stop()


def test_it_can_only_be_read_and_loads_nothing_from_elsewhere(page):
    status, headers = ask(page[0])
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ask(page[0], data=b"anything")[0] == 501


def test_a_page_of_elsewhere_that_calls_itself_by_our_address_sees_nothing(page):
    for path in ("/", "/events", "/live.js"):
        assert ask(page[0], path, host="evil.example:9003")[0] == 404
    assert ask(page[0], host=f"localhost:{page[0]}")[0] == 200


def test_what_clients_send_is_text_and_no_page(page):
    card = page[1].new()
    card.measurement = "</script><script>alert(1)</script>"
    with urllib.request.urlopen(f"http://127.0.0.1:{page[0]}/", timeout=20) as answer:
        text = answer.read().decode()
    assert "<script>alert" not in text
    assert "script>alert(1)" in text


def test_only_so_many_listen_at_a_time(page):
    opened = [urllib.request.urlopen(f"http://127.0.0.1:{page[0]}/events", timeout=20) for _ in range(8)]
    assert all(each.readline() for each in opened)
    with urllib.request.urlopen(f"http://127.0.0.1:{page[0]}/events", timeout=20) as one_more:
        assert one_more.read() == b""
    for each in opened:
        each.close()


def test_without_it_there_is_nothing_there():
    (port,) = free_ports(1)
    health = Health("127.0.0.1", port, lambda: "", lambda: "")
    assert ask(port)[0] == 404
    assert ask(port, "/healthz")[0] == 200
    health.stop()


def test_the_board_keeps_the_last_scans_only():
    board = Board()
    for number in range(30):
        card = board.new()
        card.end((), "broken" if number % 2 else "")
        board.retire(card)
        board.retire(card)
    told = board.as_json()
    assert [card["number"] for card in told["ended"]] == list(range(30, 10, -1))
    assert len(told["errors"]) == 10
    assert told["running"] == []


def test_images_stay_hidden_where_other_machines_are_served(start_daemon, new_scan, tmp_path):
    with start_daemon(tmp_path, "--host", "0.0.0.0") as daemon:
        assert not daemon.serve(new_scan("hidden")).errors
        wait_until(lambda: state_at(daemon.health_port)["ended"], "the scan was to end")
        told = state_at(daemon.health_port)
    assert told["shows_images"] is False
    assert told["ended"][0]["n_images"] > 0
    assert told["ended"][0]["frames"] == []
