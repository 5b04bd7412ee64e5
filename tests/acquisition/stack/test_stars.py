import logging
from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.stack.slab import slice_scan
from python_recon.acquisition.stack.volume import slices_of
from python_recon.errors import DataError
from python_recon.resources.kept_data import KeptData
from tests.volumes import CENTRE_MM, PARTITIONS, SPOKES, N, header, stars

FOUR_UP = (CENTRE_MM[0], CENTRE_MM[1], CENTRE_MM[2] + 2 * 6.0)


def made(readouts, scan=None):
    return list(slices_of(readouts, scan or header(), KeptData()))


def of_slice(readouts, number):
    return [readout for readout in readouts if readout.counters.slice == number]


def test_the_header_of_the_slices_announces_as_many_as_partitions_of_their_thickness():
    scan = slice_scan(header())
    assert scan.limits["slice"] == PARTITIONS - 1
    assert "kspace_encode_step_2" not in scan.limits
    assert scan.field_of_view_mm == (160.0, 160.0, 6.0)
    assert slice_scan(scan) is scan, "slices are slices already"


def test_a_point_lies_in_its_slice_alone_with_the_energy_of_all_partitions():
    readouts = made(stars(FOUR_UP, n_spokes=3))
    assert len(readouts) == 3 * PARTITIONS
    for readout in readouts:
        expected = np.sqrt(PARTITIONS) if readout.counters.slice == PARTITIONS // 2 + 2 else 0.0
        np.testing.assert_allclose(np.abs(readout.data[0]), expected, atol=1e-5)
        assert readout.counters.kspace_encode_step_2 == 0
    heights = [each.geometry.position_mm[2] for each in readouts[:PARTITIONS]]
    np.testing.assert_allclose(heights, 35.0 + 6.0 * (np.arange(PARTITIONS) - PARTITIONS // 2))
    assert readouts[0].geometry.field_of_view_mm[2] == 6.0


@pytest.mark.parametrize("order", ["as planned", "partition by partition", "any", "backwards"])
def test_any_order_of_partitions_makes_the_same_slices(order):
    readouts = stars(FOUR_UP)
    expected = {(r.counters.slice, r.counters.kspace_encode_step_1): r.data for r in made(readouts)}
    if order == "partition by partition":
        readouts.sort(key=lambda each: each.counters.kspace_encode_step_2)
    elif order == "any":
        np.random.default_rng(1).shuffle(readouts)
    elif order == "backwards":
        readouts.reverse()
    found = {(r.counters.slice, r.counters.kspace_encode_step_1): r.data for r in made(readouts)}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], data) for key, data in expected.items())


def test_slices_come_as_soon_as_a_spoke_has_all_partitions_and_noise_passes():
    noise = replace(stars()[0], is_noise=True)
    incoming = iter([noise, *stars(n_spokes=2)])
    stream = slices_of(incoming, header(), KeptData())
    assert next(stream) is noise
    assert next(stream).counters.kspace_encode_step_1 == 0
    assert len(list(incoming)) == PARTITIONS, "the second spoke was not waited for"


def test_the_time_of_a_spoke_is_that_of_its_centre_of_kz():
    readouts = stars(n_spokes=1)
    assert {each.time_s for each in made(readouts)} == {readouts[PARTITIONS // 2].time_s}


def test_partial_fourier_fills_the_edge_of_kz_with_zeros_and_says_so(caplog):
    caplog.set_level(logging.WARNING)
    scan = header(limits={"kspace_encode_step_1": SPOKES - 1, "kspace_encode_step_2": 5},
                  centres={"kspace_encode_step_2": 2})  # fmt: skip
    readouts = [
        replace(
            each, counters=replace(each.counters, kspace_encode_step_2=each.counters.kspace_encode_step_2 - 2)
        )
        for each in stars(FOUR_UP, n_spokes=4)
        if each.counters.kspace_encode_step_2 >= 2
    ]
    found = made(readouts, scan)
    assert len(found) == 4 * PARTITIONS
    energies = [np.linalg.norm(of_slice(found, number)[0].data) for number in range(PARTITIONS)]
    assert np.argmax(energies) == PARTITIONS // 2 + 2, "blurred, and in its place"
    assert found[0].sample_time_us == pytest.approx(2.0 * 8 / 6), "the noise is that of 6 partitions"
    assert "6 of 8 partitions were measured" in caplog.text


def test_edges_that_never_come_are_partial_fourier_even_where_the_header_announces_them(caplog):
    found = made([each for each in stars(n_spokes=4) if each.counters.kspace_encode_step_2 >= 2])
    assert len(found) == 4 * PARTITIONS
    assert "6 of 8 partitions were measured" in caplog.text


def test_a_spoke_that_lacks_a_partition_is_left_out_and_told(caplog):
    readouts = stars(n_spokes=4)
    del readouts[PARTITIONS + 3]
    found = made(readouts)
    assert {each.counters.kspace_encode_step_1 for each in found} == {0, 2, 3}
    assert "1 spokes are left out" in caplog.text


@pytest.mark.parametrize("missing", [(3,), (1, 3, 5, 7), (4, 5, 6, 7)])
def test_kz_with_gaps_is_refused(missing):
    readouts = [each for each in stars(n_spokes=3) if each.counters.kspace_encode_step_2 not in missing]
    with pytest.raises(DataError, match="kz is not fully sampled"):
        made(readouts)


def test_partitions_beyond_the_header_are_refused():
    readouts = stars(n_spokes=1)
    readouts[3] = replace(readouts[3], counters=replace(readouts[3].counters, kspace_encode_step_2=9))
    with pytest.raises(DataError, match=r"partition 9.*8 partitions"):
        made(readouts)


def test_rotated_stacks_and_mixed_trajectories_are_refused():
    readouts = stars(n_spokes=2)
    rotated = [replace(readouts[0], raw_trajectory=readouts[0].raw_trajectory[:, ::-1]), *readouts[1:]]
    with pytest.raises(DataError, match="different angles"):
        made(rotated)
    with pytest.raises(DataError, match="only one of them carries a trajectory"):
        made([replace(readouts[0], raw_trajectory=None), *readouts[1:]])


def test_a_third_dimension_that_is_kz_is_left_away():
    readouts = [
        replace(each, raw_trajectory=np.column_stack([each.raw_trajectory, np.full(2 * N, 0.1 * number)]))
        for number, each in enumerate(stars(n_spokes=1))
    ]
    assert {each.raw_trajectory.shape for each in made(readouts)} == {(2 * N, 2)}


def test_slice_oversampling_is_cut_around_the_middle():
    scan = header(field_of_view_mm=(160.0, 160.0, 36.0))
    found = made(stars(FOUR_UP, n_spokes=1), scan)
    assert [each.counters.slice for each in found] == list(range(6))
    strongest = max(found, key=lambda each: np.linalg.norm(each.data))
    assert strongest.geometry.position_mm == pytest.approx(FOUR_UP)


def test_a_bad_readout_spoils_its_spoke_only(caplog):
    readouts = stars(n_spokes=3)
    readouts[2].data[0, 3] = np.nan
    found = made(readouts)
    assert {each.counters.kspace_encode_step_1 for each in found} == {1, 2}
    assert "NaN" in caplog.text


def test_what_waits_for_its_partitions_is_counted():
    kept = KeptData()
    readouts = stars(n_spokes=1)

    def watched():
        for number, each in enumerate(readouts):
            assert kept.n_bytes == number * each.data.nbytes
            yield each

    assert len(list(slices_of(watched(), header(), kept))) == PARTITIONS
    assert kept.n_bytes == 0
