from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.replay.config_xml import parse_config
from gadgets.replay.host import open_chain
from gadgets.replay.replay import Outcome, collected_warnings, replay
from gadgets.wire.pump import Timeouts
from python_recon.errors import DeadlineError, StreamError

N_NOISE, N_IMAGING, N_WAVEFORMS = 32, 10, 3
N_ITEMS = N_NOISE + N_IMAGING + N_WAVEFORMS


def _run(scan_path, config, idle_s=60.0, connect_s=60.0, keep=None) -> tuple[Outcome, list]:
    images: list = []
    keep = keep or images.append
    timeouts = Timeouts(connect_s=connect_s, idle_s=idle_s)
    with ScanFile(scan_path) as scan:
        chain = parse_config(config.read_text(), config.name)
        with open_chain(chain, scan.header_xml, timeouts) as peers:
            outcome = replay(scan, peers, keep, idle_s, lambda _stage, _done: None)
    return outcome, images


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """Every test must end without child processes, threads or connections of its own."""
    process = psutil.Process()
    threads, children = set(threading.enumerate()), set(process.children(recursive=True))
    yield
    assert set(process.children(recursive=True)) <= children
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
    assert not process.net_connections(kind="tcp")


class TestGadgetsThatWork:
    def test_every_item_reaches_the_gadget(self, scan_path, write_config):
        outcome, images = _run(scan_path, write_config("image_per_readout"))
        assert outcome.error is None
        assert outcome.n_images == len(images) == N_ITEMS
        assert [image.image_index for image in images] == list(range(1, N_ITEMS + 1))
        assert images[4].data.shape == (1, 1, 6, 4)
        np.testing.assert_array_equal(images[4].data, 5.0)

    def test_noise_comes_first_and_waveforms_by_their_time(self, scan_path, write_config):
        _, images = _run(scan_path, write_config("tell_kinds"))
        kinds = [int(image.data.flat[0]) for image in images]
        assert kinds[:N_NOISE] == [1] * N_NOISE
        assert kinds.count(2) == N_IMAGING
        # 10 readouts 3 ms apart; the waveforms are 20, 10 and 0 ms older than the last readout.
        first, second, third = (index - N_NOISE for index, kind in enumerate(kinds) if kind == 3)
        assert 2 <= first < second - 2 < third - 4
        assert kinds[-1] == 2
        assert [image.image_series_index for image in images] == [5] * N_ITEMS

    def test_configuration_and_header_are_sent(self, scan_path, write_config):
        _, (image,) = _run(
            scan_path, write_config("tell_configuration", properties='<property name="a" value="1"/>')
        )
        assert dict(image.meta) == {"a": "1", "protocol": "simulated_radial_heart"}

    def test_a_class_is_a_gadget_too(self, scan_path, write_config):
        outcome, _ = _run(scan_path, write_config("AsClass"))
        assert outcome.n_images == N_ITEMS

    def test_a_chain_feeds_each_node_with_what_the_one_before_sent(self, scan_path, write_config):
        outcome, _ = _run(scan_path, write_config("double", "pass_on", "image_per_readout"))
        assert outcome.error is None
        assert outcome.n_images == 2 * N_ITEMS

    def test_warnings_of_a_gadget_are_collected(self, scan_path, write_config):
        with collected_warnings() as warnings:
            _run(scan_path, write_config("warns"))
        assert warnings == ["sample_gadgets.warns: the tube is warm"]


class TestGadgetsThatFail:
    @pytest.mark.parametrize(
        ("target", "texts"),
        [
            ("raises", ["sample_gadgets.raises", "status 1", "ValueError: the tube is cold"]),
            ("exits", ["sample_gadgets.exits", "status 3", "gone with the wind"]),
            ("no_such_target", ["no_such_target", "status 1", "suitable target"]),
            ("no_such_module:reconstruct", ["status 1", "No module named 'no_such_module'"]),
            ("reports_error", ["sample_gadgets.reports_error", "there is a fly in the bore"]),
        ],
    )
    def test_the_failure_is_told(self, scan_path, write_config, target, texts):
        outcome, images = _run(scan_path, write_config(target))
        assert isinstance(outcome.error, StreamError)
        for text in texts:
            assert text in str(outcome.error)
        assert len(images) == (0 if "no_such" in target else 1)

    def test_images_of_gadgets_behind_a_failed_one_are_kept(self, scan_path, write_config):
        outcome, images = _run(scan_path, write_config("reports_error", "pass_on", "double"))
        assert "sample_gadgets.reports_error: there is a fly" in str(outcome.error)
        assert len(images) == 2

    @pytest.mark.parametrize("target", ["hangs", "ignores_termination"])
    def test_silence_ends_in_an_error_and_the_process_in_nothing(self, scan_path, write_config, target):
        started = time.monotonic()
        outcome, images = _run(scan_path, write_config(target), idle_s=1.0)
        assert isinstance(outcome.error, DeadlineError)
        assert f"waiting for sample_gadgets.{target}" in str(outcome.error)
        assert time.monotonic() - started < 30
        assert len(images) <= 1

    def test_no_images_is_an_error(self, scan_path, write_config):
        outcome, _ = _run(scan_path, write_config("nothing"))
        assert "no images came back, and no error" in str(outcome.error)

    def test_readouts_instead_of_images_are_named(self, scan_path, write_config):
        outcome, _ = _run(scan_path, write_config("pass_on"))
        assert f"{N_NOISE + N_IMAGING} Acquisition, {N_WAVEFORMS} Waveform" in str(outcome.error)

    def test_an_interpreter_that_dies_is_told(self, scan_path, write_config, monkeypatch, tmp_path):
        (tmp_path / "gadgetron").mkdir()
        (tmp_path / "gadgetron" / "__main__.py").write_text("raise SystemExit('no licence')")
        (tmp_path / "gadgetron" / "__init__.py").touch()
        config = write_config("nothing")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(StreamError, match=r"(?s)ended with status 1 before it connected.*no licence"):
            _run(scan_path, config)

    def test_a_gadget_that_never_connects_is_given_up(self, scan_path, write_config, monkeypatch, tmp_path):
        (tmp_path / "gadgetron").mkdir()
        (tmp_path / "gadgetron" / "__main__.py").write_text("import time; time.sleep(600)")
        (tmp_path / "gadgetron" / "__init__.py").touch()
        config = write_config("nothing")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(StreamError, match="did not connect within 1 s"):
            _run(scan_path, config, connect_s=1.0)

    def test_an_interrupt_leaves_nothing_behind(self, scan_path, write_config):
        def interrupt(_image):
            raise KeyboardInterrupt

        config = write_config("double", "hangs")
        with pytest.raises(KeyboardInterrupt):
            _run(scan_path, config, keep=interrupt)


class TestConnect:
    """``<connect>`` nodes: a gadget that listens already."""

    @staticmethod
    def _config(tmp_path: Path, port: int) -> Path:
        path = tmp_path / "connect.xml"
        node = f'<external><connect port="{port}" address="127.0.0.1"/><configuration/></external>'
        path.write_text(f"<configuration><version>2</version><stream>{node}</stream></configuration>")
        return path

    def test_a_listening_gadget_is_reached(self, scan_path, tmp_path):
        from gadgetron.external.connection import Connection

        from tests.gadgets.sample_gadgets import image_per_readout

        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve():
                with Connection(listener.accept()[0]) as connection:
                    image_per_readout(connection)

            thread = threading.Thread(target=serve)
            thread.start()
            outcome, _ = _run(scan_path, self._config(tmp_path, listener.getsockname()[1]))
            thread.join(10)
        assert outcome.error is None
        assert outcome.n_images == N_ITEMS

    def test_where_nothing_listens_the_port_is_told(self, scan_path, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(StreamError, match=f"nothing answers at 127.0.0.1:{port}"):
            _run(scan_path, self._config(tmp_path, port), connect_s=0.5)
