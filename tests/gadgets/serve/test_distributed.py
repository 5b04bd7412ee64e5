"""Gadgetron's ``<distributed>``: each slice comes over a connection of its own, all at the same time.

What it sends in place of a node's settings says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

NOTHING = '<?xml version="1.0"?>\n'
N_SLICES = 4


def slices_of(scan):
    """The readouts as the distributor sorts them: noise goes with slice 0."""
    sorted_items = defaultdict(list)
    for item in scan.items:
        sorted_items[item.idx.slice].append(item)
    return sorted_items


def distributed(scan, new_scan):
    """A scan for each node, with the readouts that it would have."""
    for _, items in sorted(slices_of(scan).items()):
        part = new_scan("distributed")
        part.header_xml, part.items = scan.header_xml, items
        yield part


def identities(outcomes):
    """What tells an image from all others of the measurement, its place in the scan first."""
    images = [image for outcome in outcomes for image in outcome.images]
    return sorted(
        (image.image_series_index, image.slice, image.repetition, image.image_index) for image in images
    )


def test_slices_come_back_as_those_they_are(daemon, new_scan):
    """Slice, series and geometry are those of one connection for all, and so is the scale of the pixels."""
    scan = new_scan("distributed", slices=range(N_SLICES))
    for item in scan.items[1:]:
        item.position = (0.0, 0.0, 10.0 * item.idx.slice)
        item.data[:] *= 1 + item.idx.slice
    parts = list(distributed(scan, new_scan))

    def serve(part):
        return daemon.serve(part, NOTHING, port=daemon.float_port)

    with ThreadPoolExecutor(N_SLICES) as threads:
        outcomes = list(threads.map(serve, parts))
    peaks = []
    for number, outcome in enumerate(outcomes):
        assert not outcome.errors
        assert outcome.is_closed
        assert [image.image_series_index for image in outcome.images] == [1, 1, 2, 2]
        assert {image.slice for image in outcome.images} == {number}
        assert {tuple(image.position) for image in outcome.images} == {(0.0, 0.0, 10.0 * number)}
        assert {image.measurement_uid for image in outcome.images} == {1234}
        assert {image.data.dtype for image in outcome.images} == {np.dtype(np.float32)}
        assert outcome.images[-1].meta["method"] == "grasp"
        peaks.append(outcome.images[-1].data.max())
    np.testing.assert_allclose(np.array(peaks) / peaks[0], 1 + np.arange(N_SLICES), rtol=0.1)


def test_images_have_the_numbers_that_one_node_would_give(daemon, new_scan):
    scan = new_scan("distributed", slices=range(N_SLICES))
    limit = f"<slice><minimum>0</minimum><maximum>{N_SLICES - 1}</maximum><center>0</center></slice>"
    limits = f"<encodingLimits>{limit}</encodingLimits>"
    scan.header_xml = scan.header_xml.replace("<encodingLimits/>", limits)
    alone = daemon.serve(scan, NOTHING, port=daemon.float_port)
    outcomes = [daemon.serve(part, NOTHING, port=daemon.float_port) for part in distributed(scan, new_scan)]
    found = identities(outcomes)
    assert found == identities([alone])
    for series in (1, 2):
        numbers = [number for index, *_, number in found if index == series]
        assert sorted(numbers) == list(range(1, 2 * N_SLICES + 1))


@pytest.mark.parametrize(
    "configuration", [None, "", NOTHING, "<configuration/>", "<configuration></configuration>"]
)
def test_nothing_is_the_configuration_of_the_port(daemon, new_scan, configuration):
    """Elsewhere too: a ``<connect>`` without ``<configuration>`` sends the same."""
    outcome = daemon.serve(new_scan(), configuration, port=daemon.float_port)
    assert not outcome.errors
    assert {image.data.dtype for image in outcome.images} == {np.dtype(np.float32)}


def test_what_a_client_says_is_not_mixed_with_the_configuration_of_the_port(daemon, new_scan):
    configuration = '<configuration><property name="method" value="gridding"/></configuration>'
    outcome = daemon.serve(new_scan(), configuration, port=daemon.float_port)
    assert {image.data.dtype for image in outcome.images} == {np.dtype(np.uint16)}
