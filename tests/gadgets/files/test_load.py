"""``gadgets.files.load``: the k-space of every slice, ready for ``python_recon.reconstruct``."""

from __future__ import annotations

import numpy as np
import pytest

from gadgets.files import load
from gadgets.files.slices import read_slice
from gadgets.simulation.scan import SimulateOptions, simulate
from python_recon import reconstruct
from python_recon.config import load_config
from python_recon.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate(path, SimulateOptions(matrix=32, coils=3, frames=2, spokes_per_frame=9, slices=2, seed=4))
    return path


def test_every_slice_is_loaded(path):
    slices = load(str(path))
    assert [kspace.counters.slice for kspace in slices] == [0, 1]
    for number, kspace in enumerate(slices):
        assert (kspace.n_frames, kspace.n_spokes, kspace.matrix) == (2, 9, (32, 32))
        np.testing.assert_array_equal(kspace.data, read_slice(path, "dataset", number, load_config()).data)


def test_settings_hold(path):
    (first, _) = load(path, {"binning.spokes_per_frame": 6})
    assert (first.n_frames, first.n_spokes) == (3, 6)
    with pytest.raises(ConfigError, match=r"did you mean 'binning.spokes_per_frame'"):
        load(path, {"binning.spoke_per_frame": 6})


def test_images_lie_where_the_slice_does(path):
    first, second = load(path)
    series = reconstruct(second, method="gridding")
    assert series.geometry == second.geometry != first.geometry
    np.testing.assert_array_equal(series.times_s, second.times_s)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        load(tmp_path / "none.h5")
