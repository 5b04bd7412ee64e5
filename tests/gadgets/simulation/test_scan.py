import itertools
import json
from dataclasses import dataclass

import h5py
import ismrmrd
import numpy as np
import pytest
from pydantic import ValidationError

from gadgets.simulation.scan import SimulateOptions, simulate
from python_recon.evaluation.metrics import match_scale, nrmse
from python_recon.operators.nufft import Nufft

SMALL = SimulateOptions(matrix=32, coils=3, frames=3, spokes_per_frame=5)
GOLDEN = 180 * 2 / (1 + 5**0.5)


@dataclass
class Scan:
    header: ismrmrd.xsd.ismrmrdHeader
    noise: list
    imaging: list
    truth: dict


def run(folder, options, **kwargs):
    path = folder / "scan.h5"
    with h5py.File(simulate(path, options, **kwargs)) as file:
        truth = {name: file[name][()] for name in file} | dict(file.attrs)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    try:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        readouts = [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
    finally:
        dataset.close()
    is_noise = [readout.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) for readout in readouts]
    return Scan(
        header,
        [readout for readout, noise in zip(readouts, is_noise, strict=True) if noise],
        [readout for readout, noise in zip(readouts, is_noise, strict=True) if not noise],
        truth,
    )


def data_of(readouts):
    """(spoke, coil, readout)"""
    return np.stack([readout.data for readout in readouts])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return run(tmp_path_factory.mktemp("small"), SMALL)


def test_header_describes_the_scan(small):
    encoding = small.header.encoding[0]
    assert encoding.trajectory.value == "goldenangle"
    described = {p.name: p.value for p in encoding.trajectoryDescription.userParameterDouble}
    assert described == {"angle_increment_deg": GOLDEN, "angle_offset_deg": 0}
    assert small.header.measurementInformation.measurementID.count("_") == 3, "as NoiseAdjust needs it"
    for space in (encoding.encodedSpace, encoding.reconSpace):
        assert (space.matrixSize.x, space.matrixSize.y, space.matrixSize.z) == (32, 32, 1)
        assert (space.fieldOfView_mm.x, space.fieldOfView_mm.y) == (300, 300)
    assert encoding.encodingLimits.kspace_encoding_step_1.maximum == 4
    assert encoding.encodingLimits.repetition.maximum == 2
    system = small.header.acquisitionSystemInformation
    assert system.receiverChannels == 3
    assert 0 < system.relativeReceiverNoiseBandwidth < 1
    assert small.header.measurementInformation.patientPosition.value == "HFS"
    assert small.header.sequenceParameters.TR == [3.0]


def test_readouts_are_counted_timed_and_flagged(small):
    assert len(small.imaging) == 15
    for i, readout in enumerate(small.imaging):
        assert (readout.idx.repetition, readout.idx.kspace_encode_step_1) == divmod(i, 5)
        assert readout.scan_counter == len(small.noise) + i
        assert (readout.active_channels, readout.number_of_samples, readout.center_sample) == (3, 64, 32)
        assert readout.isFlagSet(ismrmrd.ACQ_LAST_IN_REPETITION) == readout.isFlagSet(8) == (i % 5 == 4)
        assert readout.isFlagSet(ismrmrd.ACQ_FIRST_IN_REPETITION) == readout.isFlagSet(7) == (i % 5 == 0)
        assert readout.isFlagSet(ismrmrd.ACQ_LAST_IN_MEASUREMENT) == (i == 14)
        assert list(readout.channel_mask[:2]) == [0b111, 0]
    start = small.imaging[0].acquisition_time_stamp
    ticks = [readout.acquisition_time_stamp - start for readout in small.imaging]
    np.testing.assert_allclose(np.array(ticks) * 2.5, 3.0 * np.arange(15), atol=1.25)
    assert max(readout.acquisition_time_stamp for readout in small.noise) < start


def test_physiology_stamp_counts_from_the_r_wave(tmp_path):
    scan = run(
        tmp_path, SMALL.model_copy(update={"heart_rate": 120.0, "repetition_time": 20.0, "frames": 15})
    )
    ticks = np.array([readout.physiology_time_stamp[0] for readout in scan.imaging], int)
    steps = np.diff(ticks) * 2.5
    beats = np.flatnonzero(steps < 0)
    assert np.abs(steps[steps > 0] - 20).max() <= 2.5
    np.testing.assert_allclose(np.diff(beats) * 20, 500, atol=20)


def test_geometry_is_a_right_handed_frame(small):
    head = small.imaging[0].getHead()
    axes = np.array([head.read_dir[:], head.phase_dir[:], head.slice_dir[:]])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-6)
    assert axes[0, 0] > 0.9, "rows of the image run to the patient's left, as the phantom does"
    assert axes[1, 1] > 0.9, "columns run to the back"


def test_trajectory_is_golden_and_normalised(small):
    for i, readout in enumerate(small.imaging):
        angle = np.deg2rad(i * GOLDEN + 180)
        radius = (np.arange(64) - 32) / 64
        expected = np.outer(radius, [np.cos(angle), np.sin(angle)])
        np.testing.assert_allclose(readout.traj, expected, atol=1e-6)


def test_fixed_increments_are_announced_as_radial(tmp_path):
    scan = run(tmp_path, SMALL.model_copy(update={"angle_increment": 180 / 13}))
    assert scan.header.encoding[0].trajectory.value == "radial"


def test_trajectory_is_left_out_on_request(tmp_path, small):
    scan = run(tmp_path, SMALL.model_copy(update={"embed_trajectory": False}))
    assert all(readout.traj.size == 0 for readout in scan.imaging)
    np.testing.assert_array_equal(data_of(scan.imaging), data_of(small.imaging))


@pytest.mark.parametrize("order", ["sequential", "interleaved"])
def test_slices_follow_each_other_as_asked(tmp_path, order):
    scan = run(tmp_path, SMALL.model_copy(update={"slices": 2, "slice_order": order}))
    slices = [readout.idx.slice for readout in scan.imaging]
    assert slices == ([0] * 15 + [1] * 15 if order == "sequential" else [0, 1] * 15)
    for index in (0, 1):
        own = [readout for readout in scan.imaging if readout.idx.slice == index]
        counters = [(readout.idx.repetition, readout.idx.kspace_encode_step_1) for readout in own]
        assert counters == list(itertools.product(range(3), range(5)))
        np.testing.assert_allclose(own[1].traj[0], -0.5 * unit(GOLDEN + 180), atol=1e-6)
        assert [readout.is_flag_set(ismrmrd.ACQ_LAST_IN_SLICE) for readout in own] == (
            [False] * 4 + [True]
        ) * 3
    ends = sum(readout.is_flag_set(ismrmrd.ACQ_LAST_IN_REPETITION) for readout in scan.imaging)
    assert ends == (6 if order == "sequential" else 3)
    heads = [scan.imaging[slices.index(index)].getHead() for index in (0, 1)]
    apart = np.array(heads[1].position[:]) - np.array(heads[0].position[:])
    np.testing.assert_allclose(apart, 10 * np.array(heads[0].slice_dir[:]), atol=1e-4)
    np.testing.assert_allclose(
        scan.truth["times_s"][1] - scan.truth["times_s"][0], 0.045 if order == "sequential" else 0.003
    )


def unit(degrees):
    return np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])


def test_the_seed_decides_everything(tmp_path, small):
    for folder in ("again", "other"):
        (tmp_path / folder).mkdir()
    again, other = (
        run(tmp_path / name, SMALL.model_copy(update={"seed": s})) for name, s in (("again", 0), ("other", 1))
    )
    np.testing.assert_array_equal(data_of(again.imaging), data_of(small.imaging))
    np.testing.assert_array_equal(data_of(again.noise), data_of(small.noise))
    assert np.abs(data_of(other.noise) - data_of(small.noise)).max() > 0


def test_noise_is_coloured_and_scaled_by_dwell_time_and_bandwidth(tmp_path):
    """What the noise scan predicts is what the imaging readouts hold beyond the noise-free scan."""
    options = SMALL.model_copy(update={"frames": 60, "noise": 0.05})
    (tmp_path / "clean").mkdir()
    clean = run(tmp_path / "clean", options.model_copy(update={"noise": 0.0}))
    scan = run(tmp_path, options)

    def covariance(data):
        flat = np.moveaxis(data, 1, 0).reshape(3, -1)
        return flat @ flat.conj().T / flat.shape[1]

    found = covariance(data_of(scan.imaging) - data_of(clean.imaging))
    bandwidth = scan.header.acquisitionSystemInformation.relativeReceiverNoiseBandwidth
    dwell = scan.imaging[0].sample_time_us / scan.noise[0].sample_time_us
    predicted = covariance(data_of(scan.noise)) / (dwell * bandwidth)
    size = np.linalg.norm(predicted)
    assert np.linalg.norm(found - predicted) < 0.06 * size
    assert np.linalg.norm(found - 2 * scan.truth["noise_covariance"]) < 0.03 * size
    assert np.trace(scan.truth["noise_covariance"]).real / 3 == pytest.approx(0.05**2, rel=1e-6)
    correlation = np.abs(found) / np.sqrt(np.outer(np.diag(found), np.diag(found)).real)
    assert correlation[np.triu_indices(3, 1)].max() > 0.1


@pytest.mark.parametrize("change", [{"noise_scan": False}, {"noise": 0.0}])
def test_no_noise_scan_without_noise_or_on_request(tmp_path, change):
    scan = run(tmp_path, SMALL.model_copy(update=change))
    assert not scan.noise
    assert scan.imaging[0].scan_counter == 0


def reconstruct(scan, options, maps):
    """Gridding of every frame, coils combined."""
    shape = (options.frames, options.spokes_per_frame)
    data = data_of(scan.imaging).reshape(*shape, options.coils, -1).swapaxes(1, 2)
    k = np.stack([readout.traj for readout in scan.imaging]).reshape(*shape, -1, 2) * options.matrix
    density = np.pi * np.hypot(k[..., 0], k[..., 1]) * 0.5 / shape[1]
    nufft = Nufft(k.astype(np.float32), (options.matrix,) * 2)
    images = nufft.adjoint(np.ascontiguousarray(data * density[:, None], np.complex64))
    return (maps.conj() * images).sum(axis=1)


def test_truth_is_what_reconstruction_gives(tmp_path):
    options = SimulateOptions(
        matrix=96, coils=4, frames=1, spokes_per_frame=160, repetition_time=0.2, breathing=0, noise=0
    )
    scan = run(tmp_path, options)
    truth = scan.truth["images"][0]
    found = reconstruct(scan, options, scan.truth["coil_maps"][0])
    heart = np.s_[:, 28:60, 35:70]
    assert nrmse(found[heart], truth[heart]) < 0.12
    assert nrmse(found[heart], truth[heart][..., ::-1]) > 0.4
    phase = np.angle((found[heart] * truth[heart].conj()).sum())
    assert abs(phase) < 0.02


def test_truth_has_the_shading_of_whitened_coils(tmp_path):
    options = SimulateOptions(
        matrix=64, coils=4, frames=1, spokes_per_frame=110, repetition_time=0.2, breathing=0, noise=1e-4
    )
    scan = run(tmp_path, options)
    white = np.linalg.inv(np.linalg.cholesky(scan.truth["noise_covariance"]))
    for readout in scan.imaging:
        readout.data[:] = white @ readout.data
    maps = np.einsum("vc,cyx->vyx", white, scan.truth["coil_maps"][0])
    maps /= np.linalg.norm(maps, axis=0)
    truth = scan.truth["images"][0]
    found = match_scale(reconstruct(scan, options, maps), truth)
    (tmp_path / "plain").mkdir()
    plain = run(tmp_path / "plain", options.model_copy(update={"noise_scan": False})).truth["images"][0]
    body = np.s_[:, 20:45, 12:52]
    assert nrmse(found[body], truth[body]) < 0.9 * nrmse(match_scale(found, plain)[body], plain[body])


def test_truth_moves_with_the_frames(small):
    truth = small.truth
    assert truth["images"].shape == (1, 3, 32, 32)
    assert truth["images"].dtype == np.complex64
    np.testing.assert_allclose(truth["times_s"], [[0.006, 0.021, 0.036]])
    assert np.abs(np.diff(np.abs(truth["images"][0]), axis=0)).max() > 0
    assert SimulateOptions(**json.loads(truth["options"])) == SMALL


def test_contraction_sets_how_far_the_heart_beats(tmp_path):
    """A beat of five frames, without noise, breathing and contrast."""
    still = {"breathing": 0.0, "contrast": 0.0, "noise": 0.0, "frames": 5}
    motion = {}
    for contraction in (0.0, 0.2, 0.4):
        changes = still | {"repetition_time": 33.0, "contraction": contraction}
        truth = run(tmp_path, SMALL.model_copy(update=changes), overwrite=True).truth["images"][0]
        motion[contraction] = np.ptp(np.abs(truth), axis=0).max()
    assert motion[0.0] < 1e-5
    assert motion[0.4] > 1.3 * motion[0.2] > 0.1


def test_progress_is_told_and_rises(tmp_path):
    told = []
    run(tmp_path, SMALL, report=lambda stage, done: told.append((stage, done)))
    stages = [stage for stage, _ in itertools.groupby(told, key=lambda item: item[0])]
    assert len(stages) == 2
    for stage in stages:
        shares = [done for name, done in told if name == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1


@pytest.mark.parametrize(
    "bad",
    [{"matrix": 8}, {"coils": 0}, {"noise": -1}, {"angle_increment": 0}, {"contraction": 0.5}, {"spoke": 3}],
)
def test_options_out_of_range_or_unknown_are_refused(bad):
    with pytest.raises(ValidationError):
        SimulateOptions(**bad)
