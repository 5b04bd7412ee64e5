"""Cartesian scans and volumes: what is written is what a plain inverse FFT turns into the truth."""

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.simulation.masks import calibration_lines, sampled_lines
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.scan import simulate
from python_recon.errors import ConfigError

STILL = {"contraction": 0.0, "breathing": 0.0, "contrast": 0.0, "noise": 0.0, "frames": 1}
CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING


def run(folder, **options):
    path = folder / "scan.h5"
    with h5py.File(simulate(path, SimulateOptions(**options))) as file:
        truth = {name: file[name][()] for name in file}
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
    readouts = [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
    dataset.close()
    return header, [r for r in readouts if not r.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)], truth


def combined(kspace, maps, axes):
    """Unitary inverse FFT of (coil, kz, ky, kx), oversampling cut, combined: (z, y, x)."""
    shifted = np.fft.ifftn(np.fft.ifftshift(kspace, axes), axes=axes, norm="ortho")
    images = np.fft.fftshift(shifted, axes)
    n = images.shape[-1] // 2
    images = images[..., n // 2 : n // 2 + n] / np.sqrt(2)
    return np.einsum("zcyx,czyx->zyx", maps.conj(), images)


@pytest.mark.parametrize("encoding", ["cartesian", "cartesian_3d"])
def test_the_inverse_fft_of_a_full_scan_is_the_truth(tmp_path, encoding):
    header, readouts, truth = run(
        tmp_path, encoding=encoding, matrix=32, partitions=6, coils=3, seed=4, **STILL
    )
    n_partitions = 6 if encoding == "cartesian_3d" else 1
    kspace = np.zeros((3, n_partitions, 32, 64), complex)
    for readout in readouts:
        kspace[:, readout.idx.kspace_encode_step_2, readout.idx.kspace_encode_step_1] = readout.data
    images = combined(kspace, truth["coil_maps"], (1, 2, 3))
    expected = truth["images"][:, 0]
    assert np.linalg.norm(images - expected) < 0.04 * np.linalg.norm(expected)
    space = header.encoding[0].encodedSpace
    assert (space.matrixSize.x, space.matrixSize.y, space.matrixSize.z) == (64, 32, n_partitions)
    assert space.fieldOfView_mm.x == 2 * header.encoding[0].reconSpace.fieldOfView_mm.x
    assert header.encoding[0].trajectory.value == "cartesian"
    assert readouts[-1].is_flag_set(ismrmrd.ACQ_LAST_IN_MEASUREMENT)


def test_partitions_of_a_stack_of_stars_share_their_angles_and_end_in_the_slices_of_the_truth(tmp_path):
    header, readouts, truth = run(
        tmp_path, encoding="stack_of_stars", matrix=32, partitions=6, spokes_per_frame=8, coils=3, **STILL
    )
    limits = header.encoding[0].encodingLimits
    assert (limits.kspace_encoding_step_1.maximum, limits.kspace_encoding_step_2.maximum) == (7, 5)
    assert limits.kspace_encoding_step_2.center == 3
    stack = np.zeros((8, 6, 3, 64), complex)
    places = np.zeros((8, 6, 64, 2))
    for readout in readouts:
        at = readout.idx.kspace_encode_step_1, readout.idx.kspace_encode_step_2
        stack[at], places[at] = readout.data, readout.traj
    assert np.ptp(places, axis=1).max() == 0
    # The sample at the centre is the sum over the image: (kz -> z) the slices' sums follow the truth's.
    shifted = np.fft.ifft(np.fft.ifftshift(stack, 1), axis=1, norm="ortho")
    sums = np.fft.fftshift(shifted, 1)[0, :, :, 32]
    coil_images = truth["coil_maps"] * truth["images"]
    expected = coil_images.sum(axis=(2, 3)) / 32
    assert np.abs(sums - expected).max() < 0.15 * np.abs(expected).max()
    sizes = np.linalg.norm(truth["images"].reshape(6, -1), axis=1)
    assert sizes[0] < 0.8 * sizes[3], "the edge of the slab is hardly excited"
    assert np.linalg.norm(truth["images"][2] - truth["images"][4]) > 0.05 * sizes[3], "it changes along z"


def test_lines_are_flagged_as_imaging_or_calibration_or_both(tmp_path):
    _, readouts, _ = run(tmp_path, encoding="cartesian", matrix=32, acceleration=4, acs=8, coils=2, **STILL)
    lines = {readout.idx.kspace_encode_step_1: readout for readout in readouts}
    assert sorted(lines) == sorted({*range(0, 32, 4), *range(12, 20)})
    assert all(lines[line].is_flag_set(BOTH) for line in (12, 16))
    assert all(lines[line].is_flag_set(CALIBRATION) for line in (13, 14, 15, 17, 18, 19))
    assert not any(lines[line].is_flag_set(BOTH) or lines[line].is_flag_set(CALIBRATION) for line in (8, 20))


@pytest.mark.parametrize(
    ("encoding", "mask"),
    [("cartesian", "uniform"), ("cartesian", "vista"), ("cartesian", "poisson"),
     ("cartesian_3d", "uniform"), ("cartesian_3d", "caipi"), ("cartesian_3d", "poisson")],
)  # fmt: skip
def test_masks_measure_the_share_that_is_asked_for(encoding, mask):
    options = SimulateOptions(
        encoding=encoding, mask=mask, acceleration=4, matrix=64, partitions=24, frames=4
    )
    lines = sampled_lines(options)
    assert lines.mean() == pytest.approx(1 / 4, rel=0.12)
    assert not np.array_equal(lines[0], lines[1]), "frames differ"
    middle = lines[:, 24:40, lines.shape[2] // 3 : lines.shape[2] * 2 // 3 + 1].mean()
    if mask in ("vista", "poisson"):
        assert middle > 1.25 * lines.mean()
        assert np.array_equal(lines, sampled_lines(options)), "the seed decides"


def test_a_vista_mask_leaves_no_line_out_for_long():
    options = SimulateOptions(encoding="cartesian", mask="vista", acceleration=8, matrix=64, frames=24)
    lines = sampled_lines(options)[:, :, 0]
    assert (lines.sum(axis=1) == 8).all()
    assert lines.any(axis=0).mean() > 0.9


def test_caipi_shifts_lines_from_partition_to_partition():
    options = SimulateOptions(encoding="cartesian_3d", mask="caipi", acceleration=4, matrix=16, partitions=8)
    lines = sampled_lines(options)[0]
    assert (lines.sum(axis=0) == 4).all()
    assert not np.array_equal(lines[:, 0], lines[:, 1])
    assert calibration_lines(options.model_copy(update={"acs": 4})).sum() == 16


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"acceleration": 2}, "spokes_per_frame"),
        ({"encoding": "cartesian", "mask": "caipi", "acceleration": 2}, "cartesian_3d"),
        ({"encoding": "cartesian_3d", "mask": "vista", "acceleration": 2}, "vista"),
        ({"encoding": "stack_of_stars", "slices": 2}, "partitions"),
        ({"encoding": "cartesian", "matrix": 16, "acceleration": 10}, "fewer than 2"),
    ],
)
def test_options_that_exclude_each_other_are_refused(tmp_path, options, told):
    with pytest.raises(ConfigError, match=told):
        simulate(tmp_path / "scan.h5", SimulateOptions(**options))
