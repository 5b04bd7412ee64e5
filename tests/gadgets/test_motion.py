"""What changes in mid-scan begins new series, with nothing of what was before."""

from __future__ import annotations

import logging
from collections.abc import Callable

import ismrmrd
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.stage import images
from gadgets.translate.readouts import ReadoutStream
from python_recon.config import load_config

N_FRAMES, N_SPOKES = 6, 13
SETTINGS = {"method": "cg_sense", "coils.maps": "low_resolution", "output.dtype": "float32"}
Change = Callable[[ismrmrd.Acquisition], ismrmrd.Acquisition]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Header and readouts of six frames, each a repetition; there is no noise scan."""
    path = tmp_path_factory.mktemp("motion") / "scan.h5"
    options = {"matrix": 24, "coils": 4, "frames": N_FRAMES, "spokes_per_frame": N_SPOKES}
    simulate(path, SimulateOptions(**options, noise_scan=False))
    with ScanFile(path) as file:
        return file.header, list(file.items())


def moved(acquisition):
    acquisition.position = tuple(coordinate + 7.0 for coordinate in acquisition.position)
    return acquisition


def turned(acquisition):
    acquisition.read_dir, acquisition.phase_dir = acquisition.phase_dir, acquisition.read_dir
    return acquisition


def table_moved(acquisition):
    acquisition.patient_table_position = (0.0, 0.0, -1300.0)
    return acquisition


def fewer_coils(acquisition):
    return ismrmrd.Acquisition(_head(acquisition, active_channels=3), acquisition.data[:3], acquisition.traj)


def other_coils(acquisition):
    acquisition.channel_mask[0] = 0b11110
    return acquisition


def fewer_samples(acquisition):
    kept = slice(6, 42)
    head = _head(acquisition, number_of_samples=36, center_sample=18)
    return ismrmrd.Acquisition(head, acquisition.data[:, kept].copy(), acquisition.traj[kept].copy())


def _head(acquisition, **changes):
    head = acquisition.getHead()
    for name, value in changes.items():
        setattr(head, name, value)
    return head


def copied(acquisition):
    return ismrmrd.Acquisition(acquisition.getHead(), acquisition.data.copy(), acquisition.traj.copy())


def changed(items, change: Change, first=N_FRAMES // 2):
    """The readouts, those of the frames from the first on changed."""
    return [change(copied(item)) if item.idx.repetition >= first else item for item in items]


def reconstruct(header, items, **settings):
    stream = ReadoutStream(items, header)
    return list(images(stream, load_config({**SETTINGS, **settings})))


def pixels(found, index):
    return np.stack([image.data for image in found if image.image_series_index == index])


CHANGES = [moved, turned, table_moved, fewer_coils, other_coils, fewer_samples]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_begins_new_series(scan, change, caplog):
    header, items = scan
    found = reconstruct(header, changed(items, change))
    counts = {index: len(pixels(found, index)) for index in (1, 2, 11, 12)}
    assert counts == dict.fromkeys((1, 2, 11, 12), N_FRAMES // 2)
    assert "a new run of frames begins" in caplog.text
    for index in counts:
        numbers = [image.image_index for image in found if image.image_series_index == index]
        assert numbers == [1, 2, 3]
    repetitions = [image.repetition for image in found if image.image_series_index in (2, 12)]
    assert repetitions == list(range(N_FRAMES))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_of_the_former_series_is_in_the_new(scan, change):
    """Images, coil maps of the preview included, are those of a scan that began with the change."""
    header, items = scan
    both = reconstruct(header, changed(items, change))
    late = [item for item in changed(items, change) if item.idx.repetition >= N_FRAMES // 2]
    alone = reconstruct(header, late)
    early = reconstruct(header, [item for item in items if item.idx.repetition < N_FRAMES // 2])
    for kind in (1, 2):
        np.testing.assert_array_equal(pixels(both, 10 + kind), pixels(alone, kind))
        np.testing.assert_array_equal(pixels(both, kind), pixels(early, kind))


def test_geometry_is_that_of_each_image(scan):
    header, items = scan
    for image in reconstruct(header, changed(items, moved)):
        expected = items[0].position if image.repetition < N_FRAMES // 2 else moved(copied(items[0])).position
        np.testing.assert_allclose(image.position, expected)


def test_a_change_within_a_frame_closes_it(scan, caplog):
    header, items = scan
    cut = [moved(copied(item)) if number >= 32 else item for number, item in enumerate(items)]
    found = reconstruct(header, cut, **{"method": "gridding", "binning.spokes_per_frame": N_SPOKES})
    # 13 + 13 + 6 spokes, then 7 and three times 13.
    assert [len(pixels(found, index)) for index in (1, 11)] == [2, 4]
    assert "frame 2 left out, it has only 6 of 13 spokes" in caplog.text


def test_coil_maps_are_sent_with_their_run(scan):
    header, items = scan
    found = reconstruct(header, changed(items, fewer_coils), **{"output.coil_maps": True})
    maps = {image.image_series_index: image.data for image in found if image.image_series_index % 10 == 3}
    assert set(maps) == {3, 13}


def test_a_fit_does_not_start_from_that_of_other_coils(scan, caplog):
    """Coils that have changed are no neighbouring slice."""
    header, items = scan
    small = {"n_features": 16, "width": 16, "layers": 1, "steps": 3, "batch": 64}
    options = {f"options.{name}": value for name, value in small.items()}
    with caplog.at_level(logging.INFO):
        found = reconstruct(header, changed(items, moved), method="nik", preview="none", **options)
    assert {image.image_series_index for image in found} == {2, 12}
    assert "starts from the former one" not in caplog.text
