"""Cartesian scans from readouts to images: where lines lie, what they count for, what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.binning.binning import bin_frames, stack_frames
from python_recon.acquisition.encoding import encoding_of, fitted, located
from python_recon.acquisition.noise_level import estimate_noise
from python_recon.config import load_config
from python_recon.data import CoilMaps, Counters, KSpace, NoiseLevel
from python_recon.errors import DataError
from python_recon.operators.density import fill_density
from python_recon.stream.chain import image_matrix, prepare_readouts, reconstruct_slice, reconstruct_stream
from tests.acquisition.cartesian.lines import Protocol, changed
from tests.numerics import complex_noise, dft, relative_error

FAITHFUL = {"device": "cpu", "coils.virtual": 3, "preview": "none"}


def frames_of(readouts, protocol, **settings):
    config = load_config({**FAITHFUL, **settings})
    located = prepare_readouts(readouts, protocol.scan, config)
    return list(bin_frames(located, protocol.scan, config.binning, image_matrix(protocol.scan, config)))


def images_of(readouts, protocol, method="cg_sense", **settings):
    """The images with the true coil maps, which the wider field of view continues."""
    kspace = stack_frames(frames_of(readouts, protocol, **settings))
    wide = np.array(kspace.matrix)
    rows, columns = (
        np.clip(np.arange(w) - w // 2 + n // 2, 0, n - 1) for w, n in zip(wide, protocol.matrix, strict=True)
    )
    maps = CoilMaps(protocol.maps[:, rows[:, None], columns], "true")
    options = {"options.iterations": 60, "options.regularisation": 1e-5} if method == "cg_sense" else {}
    config = load_config({**FAITHFUL, "method": method, **options, **settings})
    return reconstruct_slice(kspace, config, method, maps=maps).images


@pytest.mark.parametrize("matrix", [(24, 32), (21, 33)])
@pytest.mark.parametrize("oversampling", [1, 2])
def test_full_data_give_the_object_at_its_place(matrix, oversampling):
    protocol = Protocol(matrix, (matrix[0], oversampling * matrix[1]), (1.0, oversampling))
    (image,) = images_of(protocol.lines(), protocol, "gridding")
    assert relative_error(image, protocol.truth) < 1e-5


def test_zero_filled_images_are_those_of_the_fft():
    protocol = Protocol(encoded=(24, 32), oversampling=(1.0, 1.0))
    (image,) = images_of(protocol.lines(), protocol, "gridding")
    data = np.stack([readout.data for readout in protocol.lines()], 1)
    expected = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data, (-2, -1)), norm="ortho"), (-2, -1))
    assert relative_error(image, (expected * protocol.maps.conj()).sum(0)) < 1e-5


@pytest.mark.parametrize(
    ("protocol", "steps"),
    [
        (Protocol(), [*range(0, 24, 2), 11, 13]),
        (Protocol(encoded=(36, 64), oversampling=(1.5, 2.0)), range(0, 36, 2)),
        (Protocol(encoded=(30, 64), oversampling=(1.25, 2.0)), None),
    ],
    ids=["R = 2", "phase oversampling, R = 2", "phase oversampling"],
)
def test_sense_gives_the_object_from_less(protocol, steps):
    (image,) = images_of(protocol.lines(steps), protocol)
    assert relative_error(image, protocol.truth) < 0.02


@pytest.mark.parametrize(
    ("protocol", "steps"),
    [
        (Protocol(missing_samples=20), None),
        (Protocol(missing_samples=12, encoded=(24, 32), oversampling=(1.0, 1.0)), None),
        (Protocol(), range(8, 24)),
        (Protocol(), range(19)),
    ],
    ids=["asymmetric, oversampled", "asymmetric", "partial Fourier", "partial Fourier at the end"],
)
def test_a_part_of_kspace_gives_the_object_without_its_finest_detail_and_without_a_ghost(protocol, steps):
    (image,) = images_of(protocol.lines(steps), protocol)
    difference = np.fft.fft2(np.fft.ifftshift(image - protocol.truth), norm="ortho")
    ky, kx = (np.abs(np.fft.fftfreq(n, 1 / n)) for n in protocol.matrix)
    coarse = (ky[:, None] < 4) & (kx < 4)
    assert np.linalg.norm(difference[coarse]) < 0.03 * np.linalg.norm(protocol.truth)
    assert relative_error(image, protocol.truth) < 0.25


def test_sense_is_the_explicit_solution():
    protocol, regularisation = Protocol((17, 22), (17, 22), (1.0, 1.0)), 0.01
    lines = protocol.lines([0, 2, 4, 6, 7, 8, 9, 10, 12, 15], noise=0.02)
    settings = {"options.regularisation": regularisation, "options.iterations": 80}
    (image,) = images_of(lines, protocol, **settings)
    places = np.stack([each.trajectory for each in frames_of(lines, protocol)])[0]
    units = np.eye(17 * 22).reshape(-1, 1, 17, 22) * protocol.maps
    system = dft(units, np.broadcast_to(places, (17 * 22, *places.shape[1:]))).reshape(17 * 22, -1).T
    data = np.stack([readout.data for readout in lines], 1).ravel()
    normal = system.conj().T @ system + regularisation * np.eye(17 * 22)
    expected = np.linalg.solve(normal, system.conj().T @ data).reshape(17, 22)
    assert relative_error(image, expected) < 1e-3


def test_repeated_lines_are_averaged():
    protocol = Protocol(encoded=(24, 32), oversampling=(1.0, 1.0))
    noisy = [
        line for average in range(4) for line in protocol.lines(noise=0.1 * (average + 1), average=average)
    ]
    (kspace,) = frames_of(noisy, protocol)
    density = fill_density(kspace, load_config({}).density).density
    np.testing.assert_allclose(density, 0.25)
    (image,) = images_of(noisy, protocol, "gridding")
    data = np.stack([line.data for line in noisy], 1).reshape(3, 4, 24, 32).mean(1)
    centred = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data, (-2, -1)), norm="ortho"), (-2, -1))
    assert relative_error(image, (centred * protocol.maps.conj()).sum(0)) < 1e-5


def test_frames_are_phases_of_repetitions():
    protocol = Protocol()
    readouts = [
        line
        for repetition in range(2)
        for segment in range(2)
        for phase in range(3)
        for line in protocol.lines(range(segment, 24, 2), phase=phase, repetition=repetition, segment=segment)
    ]
    frames = frames_of(readouts, protocol)
    assert [frame.first_frame for frame in frames] == list(range(6))
    assert all(sorted(frame.trajectory[0, :, 0, 1]) == list(range(-12, 12)) for frame in frames)


def test_borrowed_lines_count_only_where_a_frame_has_none():
    trajectory = np.zeros((1, 3, 4, 2), np.float32)
    trajectory[0, :, :, 0], trajectory[0, :, :, 1] = np.arange(-2, 2), np.array([[-1], [0], [0]])
    shared = np.array([[True, True, False]])
    kspace = KSpace(
        np.ones((1, 1, 3, 4), np.complex64), trajectory, (4, 4), encoding="cartesian", is_shared=shared
    )
    density = encoding_of(kspace).analytic_density(kspace)
    np.testing.assert_array_equal(density[0, :, 0], [1, 0, 1])


def test_samples_that_were_not_measured_weigh_nothing():
    protocol = Protocol(encoded=(24, 32), oversampling=(1.0, 1.0))
    mask = np.random.default_rng(1).random((24, 32)) < 0.4
    readouts = [
        changed([line], data=line.data * row)[0] for line, row in zip(protocol.lines(), mask, strict=True)
    ]
    (kspace,) = frames_of(readouts, protocol)
    density = encoding_of(kspace).analytic_density(kspace)
    assert density.sum() == mask.sum()


def test_separate_calibration_lines_give_the_maps_and_no_image():
    protocol = Protocol(n_coils=3)
    calibration = changed(protocol.lines(range(4, 20)), is_calibration=True)
    calibration = [changed([line], data=3 * line.data)[0] for line in calibration]  # of another contrast
    imaging = protocol.lines(range(0, 24, 2))
    (kspace,) = frames_of([*calibration, *imaging], protocol)
    assert kspace.n_spokes == 12
    config = load_config({**FAITHFUL, "method": "cg_sense", "coils.maps": "walsh"})
    series = reconstruct_slice(kspace, config, "cg_sense")
    magnitude, truth = np.abs(series.images[0]), np.abs(protocol.truth)
    assert np.corrcoef(magnitude.ravel(), truth.ravel())[0, 1] > 0.95
    with pytest.raises(DataError, match="measure calibration lines"):
        reconstruct_slice(frames_of(imaging, protocol)[0], config, "cg_sense")


@pytest.mark.parametrize("estimator", ["low_resolution", "walsh", "espirit", "nlinv"])
def test_every_estimator_finds_maps_from_the_sampled_centre(estimator):
    protocol = Protocol((48, 64), (48, 128))
    steps = [*range(0, 48, 2), *range(15, 33, 2)]
    (kspace,) = frames_of(protocol.lines(steps), protocol)
    config = load_config(
        {**FAITHFUL, "coils.maps": estimator, "options.regularisation": 1e-3, "method": "cg_sense"}
    )
    image = np.abs(reconstruct_slice(kspace, config, "cg_sense").images[0])
    truth = np.abs(protocol.truth)
    assert np.corrcoef(image.ravel(), truth.ravel())[0, 1] > 0.97


def test_a_stream_gives_previews_and_images():
    protocol = Protocol()
    readouts = [line for r in range(2) for line in protocol.lines(repetition=r, noise=0.001)]
    config = load_config({"method": "cg_sense", "device": "cpu"})
    series = list(reconstruct_stream(readouts, protocol.scan, config))
    assert [each.series_index for each in series] == [1, 1, 2]
    assert series[-1].images.shape == (2, 24, 32)
    for image in np.abs(series[-1].images):
        assert np.corrcoef(image.ravel(), np.abs(protocol.truth).ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counters": Counters(kspace_encode_step_1=20, kspace_encode_step_2=3)}, "partition 3"),
        ({"raw_trajectory": np.ones((64, 2), np.float32)}, "carries a trajectory"),
        ({"data": np.ones((3, 32), np.complex64), "sample_time_us": 10.0}, "oversampling differs"),
    ],
)
def test_what_does_not_belong_is_refused(change, message):
    protocol = Protocol()
    readouts = protocol.lines()
    readouts[20] = changed([readouts[20]], **change)[0]
    with pytest.raises(DataError, match=message):
        frames_of(readouts, protocol)


def test_lines_beyond_the_matrix_are_left_out_and_told(caplog):
    protocol = Protocol()
    stray = changed(protocol.lines([5]), counters=protocol.lines([40])[0].counters)
    with caplog.at_level(logging.WARNING):
        (kspace,) = frames_of([*protocol.lines(), *stray], protocol)
    assert kspace.n_spokes == 24
    assert "1 lines left out" in caplog.text


def test_uncorrected_epi_is_refused():
    protocol = Protocol()
    readouts = protocol.lines()
    readouts[1::2] = changed(readouts[1::2], is_reversed=True)
    scan = replace(protocol.scan, trajectory_kind="epi")
    with pytest.raises(DataError, match="phase correction"):
        list(prepare_readouts(readouts, scan, load_config({})))


def test_white_noise_stays_white_when_oversampling_is_removed():
    protocol = Protocol()
    noise = NoiseLevel(1.0, is_measured=True)
    readouts = [
        changed([line], data=complex_noise(line.data.shape, n), noise=noise)[0]
        for n, line in enumerate(protocol.lines() * 8)
    ]
    config = load_config({})
    placed = list(fitted(located(readouts, protocol.scan, config.trajectory), protocol.scan, protocol.matrix))
    found = np.std([line.data.real for line in placed])
    assert abs(found / placed[0].noise.std - 1) < 0.02


def test_noise_is_estimated_from_what_was_measured_far_from_the_centre():
    protocol = Protocol((48, 64), (48, 128), missing_samples=30)
    lines = protocol.lines(range(0, 48, 2), noise=0.05)
    (kspace,) = frames_of(lines, protocol)
    assert 0.045 < estimate_noise(kspace) < 0.075


def test_fewer_lines_keep_the_centre_and_differ_from_frame_to_frame():
    protocol = Protocol()
    kspace = stack_frames(
        frames_of([line for r in range(3) for line in protocol.lines(repetition=r)], protocol)
    )
    kept = encoding_of(kspace).thinned(kspace, 9)
    assert (kept.sum(1) == 9).all()
    lines = [set(frame[mask, 0, 1]) for frame, mask in zip(kspace.trajectory, kept, strict=True)]
    assert all({-1, 0, 1} <= chosen for chosen in lines)
    assert len(set.union(*lines)) > 12
    with pytest.raises(DataError, match="ask for fewer"):
        encoding_of(kspace).thinned(kspace, 25)
