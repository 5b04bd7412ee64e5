"""The daemon's parts, each by itself."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import sys
from contextlib import ExitStack

import pytest

from gadgets.capture.recorder import CaptureOutcome
from gadgets.serve.device_queue import DeviceQueue, Entry
from gadgets.serve.doors import Doors, is_allowed, parse_networks
from gadgets.serve.line import Line
from gadgets.serve.logs import JsonFormatter, LogSettings, WorkFilter, handler_for, printable
from gadgets.serve.metrics import Metrics
from gadgets.serve.progress import Phase, Progress
from python_recon.errors import ConfigError
from python_recon.resources.scan_context import working_on


@pytest.fixture
def lines():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Line(ours), Line(theirs)


class TestDeviceQueue:
    def queue(self, n_jobs, names):
        queue, granted = DeviceQueue(n_jobs), []
        for name in names:
            queue.enter(name, self.entry(name, granted.append))
        return queue, granted

    def entry(self, name, grant, hurry=lambda _is_waited_for: None):
        return Entry({"measurement": name}, lambda: grant(name), hurry)

    def test_who_computes_hears_that_others_wait(self):
        queue, heard = DeviceQueue(1), []
        for name in "abc":
            hurry = lambda is_so, name=name: heard.append((name, is_so))  # noqa: E731
            queue.enter(name, self.entry(name, lambda _name: None, hurry))
        assert heard == [("a", True)]
        queue.leave("a")
        assert heard == [("a", True), ("b", True)]
        queue.leave("c")
        assert heard == [("a", True), ("b", True), ("b", False)]

    def test_first_come_first_served(self):
        queue, granted = self.queue(1, "abc")
        assert granted == ["a"]
        assert queue.depth == 2
        queue.leave("a")
        assert granted == ["a", "b"]

    def test_who_gives_up_waiting_is_passed_over(self):
        queue, granted = self.queue(1, "abc")
        queue.leave("b")
        queue.leave("a")
        assert granted == ["a", "c"]
        assert queue.depth == 0

    def test_who_was_never_there_frees_nothing(self):
        queue, granted = self.queue(1, "ab")
        queue.leave("x")
        assert granted == ["a"]

    def test_more_room(self):
        queue, granted = self.queue(1, "abc")
        queue.resize(3)
        assert granted == ["a", "b", "c"]

    def test_positions_are_told(self, caplog):
        with caplog.at_level(logging.INFO):
            queue, _ = self.queue(1, "abc")
            queue.leave("a")
        told = [(record.measurement, record.args[0]) for record in caplog.records]
        assert told == [("b", 1), ("c", 2), ("c", 1)]


class TestLine:
    def test_events_arrive_in_order(self, lines):
        ours, theirs = lines
        ours.send("one", text="a\nb")
        ours.send("two")
        assert theirs.receive(1) == {"event": "one", "text": "a\nb"}
        assert theirs.receive(1) == {"event": "two"}
        with pytest.raises(TimeoutError):
            theirs.receive(0.01)

    def test_a_connection_is_handed_over(self, lines):
        ours, theirs = lines
        here, there = socket.socketpair()
        with here, there:
            ours.send_connection(there)
            with theirs.receive_connection() as received:
                received.sendall(b"hello")
                assert here.recv(5) == b"hello"

    def test_the_end_is_seen_after_what_came_before(self, lines):
        ours, theirs = lines
        ours.send("last")
        ours.hang_up()
        assert theirs.receive(1) == {"event": "last"}
        assert theirs.receive(1) is None
        assert theirs.receive_connection() is None


class TestMetrics:
    def test_text(self):
        metrics = Metrics()
        metrics.start()
        metrics.add_readouts(7)
        metrics.fail("deadline")
        metrics.fail("deadline")
        lines = metrics.text({"depth": ("Those that wait.", 3)}).splitlines()
        assert "gadgetron_reconstruction_start_total 1" in lines
        assert "gadgetron_reconstruction_finish_total 0" in lines
        assert "gadgetron_pisco_readouts_total 7" in lines
        assert 'gadgetron_pisco_failures_total{kind="deadline"} 2' in lines
        assert lines[-3:] == ["# HELP depth Those that wait.", "# TYPE depth gauge", "depth 3"]

    def test_what_is_left_out_and_what_is_kept(self):
        metrics = Metrics()
        metrics.add_skipped_previews(3)
        metrics.add_skipped_previews(2)
        metrics.add_capture(CaptureOutcome.NO_ROOM)
        lines = metrics.text({}).splitlines()
        assert "gadgetron_pisco_previews_skipped_total 5" in lines
        assert 'gadgetron_pisco_captures_total{outcome="no_room"} 1' in lines

    def test_every_rung_and_stage(self):
        metrics = Metrics()
        metrics.add_images("subspace", "pisco", 5)
        metrics.add_images("subspace", "pisco", 2)
        metrics.add_images('a"b\n', "pisco", 1)
        metrics.add_seconds("method", 1.5)
        lines = metrics.text({}).splitlines()
        assert 'gadgetron_pisco_images_total{method="subspace",asked="pisco"} 7' in lines
        assert 'gadgetron_pisco_images_total{method="a\\"b\\n",asked="pisco"} 1' in lines
        assert 'gadgetron_pisco_stage_seconds_total{stage="method"} 1.5' in lines

    def test_histogram_is_cumulative(self):
        metrics = Metrics()
        for seconds in (0.05, 0.1, 0.2, 7000.0):
            metrics.observe_latency(seconds)
        text = metrics.text({})
        name = "gadgetron_pisco_latency_seconds"
        for bound, count in (("0.1", 2), ("0.25", 3), ("600.0", 3), ("+Inf", 4)):
            assert f'{name}_bucket{{le="{bound}"}} {count}\n' in text
        assert f"{name}_count 4\n" in text
        assert f"{name}_sum 7000.350000\n" in text


class TestAllowed:
    @pytest.mark.parametrize(
        ("address", "is_in"),
        [("10.1.2.3", True), ("10.2.0.1", False), ("::ffff:10.1.0.9", True), ("fe80::1%eth0", True)],
    )
    def test_networks(self, address, is_in):
        networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fe80::/64"))
        assert is_allowed(address, networks) == is_in
        assert is_allowed(address, ())

    def test_what_is_no_network(self):
        assert parse_networks(["10.1.2.3/16"]) == (ipaddress.ip_network("10.1.0.0/16"),)
        with pytest.raises(ConfigError, match="--allow: 'scanner'"):
            parse_networks(["scanner"])


class TestDoors:
    def test_a_name_that_is_no_address(self):
        with pytest.raises(ConfigError, match=r"--host 'no\.such\.host\.invalid'"):
            Doors(["no.such.host.invalid"], [0], (), 1)

    def test_nothing_to_listen_on(self):
        with pytest.raises(ConfigError, match="nothing to listen on"):
            Doors(["127.0.0.1"], [], (), 1)

    def test_who_is_let_in_without_a_list_is_told(self, caplog):
        with Doors(["localhost", "127.0.0.1"], [0], (), 1):
            assert "serves everyone" not in caplog.text
        with Doors(["0.0.0.0"], [0], (), 1):
            assert "0.0.0.0 serves everyone who can reach it" in caplog.text

    def test_who_is_silent_is_asked_by_the_system(self):
        port = _free_port()
        with Doors(["127.0.0.1"], [port], (), 5) as doors:
            with socket.create_connection(("127.0.0.1", port), 5) as peer:
                peer.sendall(b"x")
                (visitor,) = [*doors.visitors(1), *doors.visitors(1)]
            with visitor:
                assert visitor.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                idle, apart, count = (
                    visitor.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
                assert idle + apart * count <= 60

    def test_who_says_nothing_is_sent_away(self):
        port = _free_port()
        with Doors(["127.0.0.1"], [port], (), 0.05) as doors:
            with socket.create_connection(("127.0.0.1", port), 5) as peer:
                for _ in range(10):
                    assert not list(doors.visitors(0.05))
                assert peer.recv(1) == b""
            with socket.create_connection(("127.0.0.1", port), 5) as peer:
                peer.sendall(b"x")
                (visitor,) = [*doors.visitors(1), *doors.visitors(1)]
                with visitor:
                    assert visitor.recv(1) == b"x"

    def test_of_many_who_say_nothing_the_oldest_go(self, monkeypatch):
        monkeypatch.setattr("gadgets.serve.doors._MOST_SILENT", 3)
        port = _free_port()
        with Doors(["127.0.0.1"], [port], (), 60) as doors, ExitStack() as stack:
            peers = []
            for _ in range(5):
                peers.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)))
                assert not list(doors.visitors(1))
            assert [peer.recv(1) for peer in peers[:2]] == [b"", b""]
            peers[2].sendall(b"x")
            (visitor,) = doors.visitors(1)
            visitor.close()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class TestProgress:
    @pytest.mark.parametrize(
        ("changes", "allowed_s"),
        [
            ({"phase": Phase.IDLE}, None),
            ({"phase": Phase.WAITING}, None),
            ({"phase": Phase.GREETING}, 9),
            ({"phase": Phase.RUNNING}, 109),
            ({"phase": Phase.RUNNING, "is_received": True}, 102),
            ({"phase": Phase.RUNNING, "is_received": True, "is_within_message": True}, 9),
        ],
    )
    def test_silence_that_is_borne(self, changes, allowed_s):
        assert Progress(max_recon_s=100, max_idle_s=7, **changes).allowed_s(2) == allowed_s

    def test_a_turn_ends_however_much_is_told(self):
        progress = Progress(phase=Phase.WAITING, max_recon_s=5, max_idle_s=100)
        progress.grant(2)
        assert progress.phase is Phase.RUNNING
        assert 6 < progress.allowed_s(2) <= 7
        progress.leave()
        assert progress.allowed_s(2) == 107


class TestLogs:
    def record(self, **extra):
        record = logging.LogRecord("gadgets", logging.INFO, "", 0, "text", (), None)
        vars(record).update(extra)
        return record

    def test_lines_name_the_work_that_they_are_about(self):
        """What the line says itself comes before the present work, and that before the scan."""
        work = WorkFilter()
        work.scan = {"measurement": "m1", "method": "grasp"}
        with working_on(slice="slice 2"), working_on(method="subspace"):
            inner, said = self.record(), self.record(method="nik", measurement="m2")
            work.filter(inner)
            work.filter(said)
        outer = self.record()
        work.filter(outer)
        lines = [(line.measurement, line.slice, line.method) for line in (inner, said, outer)]
        assert lines == [("m1", "slice 2", "subspace"), ("m2", "slice 2", "nik"), ("m1", "-", "grasp")]

    def test_a_terminal_gets_text(self):
        record = self.record()
        WorkFilter().filter(record)
        handler = handler_for(LogSettings(is_json=False), sys.stderr)
        assert handler.format(record).endswith("INFO [-, -, -] gadgets: text")
        handler = handler_for(LogSettings(is_json=True), sys.stderr)
        assert json.loads(handler.format(record))["message"] == "text"

    def test_json(self):
        record = logging.LogRecord("gadgets", logging.WARNING, "", 0, "it is %s\nhere", ("cold",), None)
        record.measurement = "m1"
        record.scan = {"readouts": 3}
        entry = json.loads(JsonFormatter().format(record))
        assert entry["scan"] == {"readouts": 3}
        assert entry["message"] == "it is cold\nhere"
        assert (entry["level"], entry["measurement"], entry["logger"]) == ("WARNING", "m1", "gadgets")

    def test_names_of_measurements_make_no_lines(self):
        assert printable("a\nERROR forged\x1b[0m" + "x" * 99).startswith("a?ERROR forged?[0mxxx")
        assert len(printable("x" * 99)) == 64
