from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.stack.slab import slice_scan
from python_recon.acquisition.stack.volume import slices_of
from python_recon.errors import DataError
from python_recon.resources.kept_data import KeptData
from tests.volumes import CENTRE_MM, PARTITIONS, N, header, lines, stars

ASIDE = (CENTRE_MM[0] + 3 * 10.0, CENTRE_MM[1], CENTRE_MM[2])


def made(readouts, scan=None):
    return list(slices_of(readouts, scan or header("cartesian"), KeptData()))


def test_the_slices_lie_across_the_readout():
    scan = slice_scan(header("cartesian"))
    assert (scan.matrix, scan.encoded_matrix) == ((PARTITIONS, N), (PARTITIONS, N))
    assert scan.field_of_view_mm == (160.0, 48.0, 10.0)
    assert (scan.limits["slice"], scan.limits["kspace_encode_step_1"]) == (N - 1, PARTITIONS - 1)
    assert scan.centres["kspace_encode_step_1"] == PARTITIONS // 2


def test_a_point_lies_in_its_slice_alone():
    found = made(lines(ASIDE))
    assert len(found) == N * PARTITIONS
    for readout in found:
        expected = np.sqrt(N) if readout.counters.slice == N // 2 + 3 else 0.0
        np.testing.assert_allclose(np.abs(readout.data[0]), expected, atol=1e-5)
        assert readout.data.shape == (2, N)
    geometry = found[0].geometry
    assert (geometry.read_dir, geometry.phase_dir, geometry.slice_dir) == ((0, 1, 0), (0, 0, 1), (1, 0, 0))


def test_lines_that_come_twice_are_averaged_and_those_that_do_not_are_zero():
    readouts = [each for each in lines() if each.counters.kspace_encode_step_1 % 2 == 0]
    louder = [
        replace(each, data=3 * each.data, counters=replace(each.counters, average=1)) for each in readouts
    ]
    found, once = made([*readouts, *louder]), made(readouts)
    for twice, single in zip(found, once, strict=True):
        np.testing.assert_allclose(twice.data, 2 * single.data, rtol=1e-5, atol=1e-5)
        assert not twice.data[:, 1::2].any()


def test_partitions_without_a_line_have_none_in_the_slices():
    readouts = [each for each in lines() if each.counters.kspace_encode_step_2 != 3]
    assert {each.counters.kspace_encode_step_1 for each in made(readouts)} == set(range(PARTITIONS)) - {3}


def test_a_new_repetition_completes_the_frame_before():
    later = [replace(each, counters=replace(each.counters, repetition=1)) for each in lines()]
    incoming = iter([*lines(), *later])
    first = next(slices_of(incoming, header("cartesian"), KeptData()))
    assert first.counters.repetition == 0
    assert len(list(incoming)) == len(later) - 1


def test_an_asymmetric_echo_leaves_the_point_in_its_slice():
    partial = [replace(each, data=each.data[:, 8:], center_sample=N - 8) for each in lines(ASIDE)]
    energies = np.zeros(N)
    for readout in made(partial):
        energies[readout.counters.slice] += np.linalg.norm(readout.data) ** 2
    assert np.argmax(energies) == N // 2 + 3


def test_lines_beyond_the_matrix_are_left_out_and_other_kinds_refused(caplog):
    readouts = lines()
    beyond = replace(readouts[0], counters=replace(readouts[0].counters, kspace_encode_step_1=99))
    assert len(made([beyond, *readouts])) == N * PARTITIONS
    assert "1 lines left out" in caplog.text
    with pytest.raises(DataError, match="carries a trajectory"):
        made([readouts[0], stars()[1]])
    with pytest.raises(DataError, match="same coils"):
        made([readouts[0], replace(readouts[1], data=readouts[1].data[:1])])
