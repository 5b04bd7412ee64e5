"""What goes wrong in the reconstruction: each scan has one outcome, and the next works.

That nothing is left and that the next scan works is checked after each test by the fixture ``daemon``.
"""

from __future__ import annotations

import pytest

from tests.serving import wait_until

METHOD = """<configuration><property name="method" value="{}"/><property name="preview" value="{}"/>
<property name="preview_deadline_s" value="600"/>
<property name="max_recon_seconds" value="1"/></configuration>"""


def test_a_worker_that_is_killed_while_data_arrive(daemon, new_scan):
    scan = new_scan("killed worker")
    with daemon.connect() as client:
        client.greet(scan)
        client.send(scan.items[:10])
        daemon.worker_of("killed worker").kill()
        assert "ended by SIGKILL" in client.receive().error


def test_a_worker_that_is_killed_while_it_computes(daemon, new_scan, patiently):
    scan = new_scan("killed fit")
    with daemon.connect() as client:
        client.greet(scan, METHOD.format("never_ending", "none").replace('"1"', '"60"'))
        client.send(scan.items)
        client.wire.send_close()
        patiently(lambda: daemon.lines("readouts, 1 of them noise", "killed fit"), "the last readout")
        daemon.worker_of("killed fit").kill()
        assert "ended by SIGKILL" in client.receive().error


def test_a_method_that_ends_its_process(daemon, new_scan):
    scan = new_scan()
    assert "ended with status 7" in daemon.serve(scan, METHOD.format("dying", "none")).error


@pytest.mark.parametrize("method", ["raising", "giving_nan", "greedy"])
def test_a_method_that_fails_is_replaced(daemon, new_scan, method):
    """By the next rung, which comment, log and metrics name."""
    counter = f'gadgetron_pisco_images_total{{method="subspace",asked="{method}"}}'
    before = daemon.metric(counter)
    outcome = daemon.serve(new_scan(f"by {method}"), METHOD.format(method, "none").replace('"1"', '"30"'))
    assert not outcome.errors
    assert outcome.is_closed
    assert len(outcome.images) == 2
    assert f"{method} failed" in outcome.images[0].meta["ImageComments"]
    (summary,) = daemon.lines("readouts received", f"by {method}")
    assert summary["scan"]["rung"] == f"subspace in place of {method}"
    wait_until(lambda: daemon.metric(counter) == before + 2, "the images were to be counted")


def test_a_fit_that_never_converges(daemon, new_scan):
    """It has its time, and then gives what it has."""
    outcome = daemon.serve(new_scan("endless"), METHOD.format("never_converging", "gridding"))
    assert not outcome.errors
    assert outcome.is_closed
    assert [image.meta["method"] for image in outcome.images] == ["gridding"] * 2 + ["never_converging"] * 2
    (summary,) = daemon.lines("readouts received", "endless")
    seconds = summary["scan"]["seconds"]
    assert sum(seconds[stage] for stage in ("preparation", "coil maps", "method")) > 0.9


def test_lines_that_libraries_write_are_in_the_log(daemon, new_scan, patiently):
    """As JSON, and about the scan; ``daemon.log`` reads every line as that."""
    outcome = daemon.serve(new_scan("shouted"), METHOD.format("shouting", "none"))
    assert len(outcome.images) == 2
    patiently(lambda: daemon.lines("[finufft] a line that is no JSON", "shouted"), "the line")
    patiently(lambda: daemon.lines("and another", "shouted"), "the other line")


def test_a_method_that_ignores_its_deadline(daemon, new_scan):
    """The previews that came before are kept."""
    failures = daemon.metric('gadgetron_pisco_failures_total{kind="deadline"}')
    outcome = daemon.serve(new_scan(), METHOD.format("never_ending", "gridding"))
    assert "may take max_recon_seconds (1) and 4 s of grace" in outcome.error
    assert len(outcome.images) == 2
    assert daemon.metric('gadgetron_pisco_failures_total{kind="deadline"}') == failures + 1


def test_an_idle_worker_that_is_killed_is_replaced(daemon, patiently):
    patiently(daemon.is_at_rest, "the daemon was to be at rest")
    (idle,) = daemon.workers()
    idle.kill()
    patiently(lambda: daemon.workers() not in ([], [idle]), "another was to take its place")
