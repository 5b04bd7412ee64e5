"""Coil maps for the report, kept away from the images."""

from __future__ import annotations

import ismrmrd
import numpy as np
import pytest

from gadgets.replay.client import Server
from gadgets.replay.coil_maps import CoilMapSieve
from gadgets.replay.config_xml import ExternalNode, StreamConfig
from gadgets.replay.route import effective_settings

OURS = ExternalNode("", "gadgets.radial", "reconstruct")
FOREIGN = ExternalNode("", "sample_gadgets", "pass_on")
CHAIN = StreamConfig("chain.xml", (FOREIGN, OURS))
ASKS = ExternalNode(
    '<configuration><property name="output.coil_maps" value="true"/></configuration>',
    "gadgets.radial",
    "reconstruct",
)


def image(number=0, **meta):
    made = ismrmrd.Image.from_array(np.full((2, 1, 3, 4), number, np.complex64), transpose=False)
    made.slice, made.image_series_index, made.meta = number, 3, ismrmrd.Meta(meta)
    return made


def test_our_gadgets_are_asked_and_others_left_alone():
    foreign, ours = CoilMapSieve(CHAIN, is_report_wanted=True).target.nodes
    assert foreign == FOREIGN
    assert effective_settings(ours)["output"]["coil_maps"] is True


@pytest.mark.parametrize("target", [CHAIN, Server("localhost", 9002)])
def test_without_a_report_nothing_is_asked(target):
    sieve = CoilMapSieve(target, is_report_wanted=False)
    assert sieve.target is target
    assert sieve.passes(image(DataRole="CoilMaps"))


@pytest.mark.parametrize(
    ("target", "passes"),
    [(CHAIN, False), (StreamConfig("chain.xml", (ASKS,)), True), (Server("localhost", 9002), True)],
    ids=["not asked for", "asked for", "a server's"],
)
def test_maps_pass_only_where_the_user_asked_for_them(target, passes):
    sieve = CoilMapSieve(target, is_report_wanted=True)
    for number in (1, 0, 1):
        assert sieve.passes(image(number, DataRole="CoilMaps", method="nlinv")) is passes
    assert sieve.passes(image(DataRole="Image"))
    assert [(one.counters.slice, one.method, one.n_frames) for one in sieve.series] == [
        (0, "nlinv", 2),
        (1, "nlinv", 2),
    ]
