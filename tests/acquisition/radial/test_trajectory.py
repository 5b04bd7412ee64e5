"""Where the readouts lie in k-space."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal, getcontext

import numpy as np
import pytest

from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG, SMALL_GOLDEN_ANGLE_DEG
from python_recon.acquisition.radial.trajectory import locate, sample_positions
from python_recon.config import TrajectoryConfig
from python_recon.data import Counters, Readout, Scan
from python_recon.errors import DataError, MissingTrajectoryError, ShapeError

N, SAMPLES = 64, 128
RADIAL = Scan((N, N), (N, SAMPLES), (240.0, 240.0, 8.0), (480.0, 240.0, 8.0))
AUTO = TrajectoryConfig()


def make_readouts(n=20, samples=SAMPLES, center=None, **fields):
    center = samples // 2 if center is None else center
    data = np.ones((2, samples), np.complex64)
    return [
        Readout(data, Counters(kspace_encode_step_1=i), center_sample=center, scan_counter=i, **fields)
        for i in range(n)
    ]


def angles_deg(readouts):
    return np.array([np.degrees(np.arctan2(*(-r.trajectory[0, ::-1].astype(float)))) for r in readouts])


def assert_angles(readouts, expected_deg):
    difference = (angles_deg(readouts) - expected_deg + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=2e-5)


def spoke(angle_deg, samples=SAMPLES, n=N):
    k = (np.arange(samples) - samples // 2) / samples * n
    return k[:, None] * [np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))]


def test_golden_angles_to_the_last_digit():
    getcontext().prec = 40
    root = Decimal(5).sqrt()
    assert float(180 * (root - 1) / 2) == pytest.approx(GOLDEN_ANGLE_DEG, rel=1e-15)
    assert float(180 * (3 - root) / 2) == pytest.approx(SMALL_GOLDEN_ANGLE_DEG, rel=1e-15)


@pytest.mark.parametrize(("mode", "increment"), [(2, 111.24611797498108), (3, 68.75388202501892)])
def test_golden_modes_follow_gadgetron(mode, increment):
    out = list(locate(make_readouts(), RADIAL, TrajectoryConfig(mode=mode)))
    assert_angles(out, np.arange(20) * increment + 180)


def test_late_spokes_keep_their_angle():
    readouts = [replace(r, counters=Counters(repetition=60000 + i)) for i, r in enumerate(make_readouts())]
    out = list(locate(readouts, RADIAL, TrajectoryConfig(mode=2)))
    getcontext().prec = 40
    step = 180 * (Decimal(5).sqrt() - 1) / 2
    assert_angles(out, np.array([float((60000 + i) * step % 360) for i in range(20)]) + 180)


def test_positions_are_those_of_gadgetron():
    first = next(iter(locate(make_readouts(), RADIAL, TrajectoryConfig(mode=2))))
    assert first.trajectory.dtype == np.float32
    expected = -(np.arange(SAMPLES) - SAMPLES // 2) / SAMPLES * N
    np.testing.assert_allclose(first.trajectory[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(first.trajectory[:, 1], 0, atol=1e-5)


def test_goldenangle_header_is_enough():
    out = list(locate(make_readouts(), replace(RADIAL, trajectory_kind="goldenangle"), AUTO))
    assert_angles(out, np.arange(20) * GOLDEN_ANGLE_DEG + 180)


def test_fixed_modes_interleave_frames():
    config = TrajectoryConfig(mode=1, spokes_per_rotation=5, frames_per_rotation=2)
    out = list(locate(make_readouts(), RADIAL, config))
    spokes, frames = np.arange(20) % 5, np.arange(20) // 5
    assert_angles(out, 180 + 180 / 5 * (spokes + (frames % 2) / 2))
    fixed = list(locate(make_readouts(), RADIAL, TrajectoryConfig(mode=0, spokes_per_rotation=5)))
    assert_angles(fixed, 180 + 180 / 5 * spokes)


def test_fixed_mode_needs_to_know_the_rotation():
    with pytest.raises(MissingTrajectoryError, match="spokes_per_rotation"):
        list(locate(make_readouts(), RADIAL, TrajectoryConfig(mode=0)))
    limited = replace(RADIAL, limits={"kspace_encode_step_1": 19})
    assert_angles(locate(make_readouts(), limited, TrajectoryConfig(mode=0)), 180 + 9 * np.arange(20))


def test_increment_that_looks_rounded_is_used_as_given(caplog):
    config = TrajectoryConfig(angle_increment_deg=111.25, angle_offset_deg=7.0)
    assert_angles(locate(make_readouts(), RADIAL, config), 187 + 111.25 * np.arange(20))
    assert "used as given" in caplog.text


@pytest.mark.parametrize("lost", [0, 3, 7, 8, 19])
def test_a_lost_readout_turns_no_other(lost):
    config = TrajectoryConfig(mode=2)
    whole = list(locate(make_readouts(), RADIAL, config))
    rest = [r for r in make_readouts() if r.scan_counter != lost]
    for readout in locate(rest, RADIAL, config):
        np.testing.assert_array_equal(readout.trajectory, whole[readout.scan_counter].trajectory)
        assert readout.spoke_index == readout.scan_counter


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("normalised", 1 / N),
        ("cycles_per_fov", 1.0),
        ("per_mm", 1 / 240.0),
        ("encoded", 2.0),
        ("normalised_to_1", 2 / N),
        ("normalised_to_pi", 2 * np.pi / N),
        ("per_m", 1 / 0.24),
        ("rad_per_mm", 2 * np.pi / 240),
        ("rad_per_m", 2 * np.pi / 0.24),
    ],
)
def test_embedded_units_are_told_from_the_radius(unit, factor, caplog):
    scale = np.array([factor, 1.0 if unit == "encoded" else factor])
    readouts = [
        replace(r, raw_trajectory=(spoke(13.0 * i) * scale).astype(np.float32))
        for i, r in enumerate(make_readouts())
    ]
    with caplog.at_level(logging.INFO):
        out = list(locate(readouts, RADIAL, AUTO))
    for i, readout in enumerate(out):
        np.testing.assert_allclose(readout.trajectory, spoke(13.0 * i), atol=1e-4)
    assert "unit" in caplog.text


def embed(trajectory):
    return [replace(r, raw_trajectory=trajectory.astype(np.float32)) for r in make_readouts()]


def test_unit_can_be_overridden():
    # 2 mm pixels reach 0.25/mm; half a normalised radius would look the same.
    scan = replace(RADIAL, matrix=(120, 120), encoded_matrix=(120, 240), field_of_view_mm=(240.0, 240.0, 8.0))
    half = embed(spoke(0, n=0.8))
    (first, *_) = locate(half, scan, TrajectoryConfig(unit="normalised"))
    assert np.abs(first.trajectory).max() == pytest.approx(48)


def test_seldom_units_are_told_loudly(caplog):
    list(locate(embed(spoke(0) * (2 / N)), RADIAL, AUTO))
    assert "normalised_to_1; set trajectory.unit" in caplog.text


@pytest.mark.parametrize("radius", [2.0, 2000.0, 1e-4])
def test_radius_of_no_unit_is_an_error(radius):
    with pytest.raises(DataError, match=r"set trajectory\.unit"):
        list(locate(embed(spoke(0, n=2 * radius)), RADIAL, AUTO))


def test_embedded_trajectory_is_trusted_over_the_rest():
    readouts = [replace(r, user_float=(float(r.scan_counter),)) for r in embed(spoke(42.0))]
    assert_angles(locate(readouts, RADIAL, TrajectoryConfig(mode=2)), 42.0)


def test_zero_trajectory_is_none():
    assert_angles(
        locate(embed(0 * spoke(0)), RADIAL, TrajectoryConfig(mode=2)), np.arange(20) * GOLDEN_ANGLE_DEG + 180
    )


def test_third_dimension_may_be_a_density_or_constant():
    k = spoke(30.0)
    for third in (np.linalg.norm(k, axis=1), np.zeros(SAMPLES), np.ones(SAMPLES)):
        assert_angles(locate(embed(np.column_stack([k, third])), RADIAL, AUTO), 30.0)


def test_three_dimensional_data_are_refused():
    k = spoke(30.0)
    with pytest.raises(DataError, match="three-dimensional"):
        list(locate(embed(np.column_stack([k, k[:, 0]])), RADIAL, AUTO))


@pytest.mark.parametrize("rounding", [1e-7, 1e-4])
def test_rounding_in_the_third_dimension_is_no_third_dimension(rounding):
    third = rounding * N * np.random.default_rng(0).standard_normal(SAMPLES)
    assert_angles(locate(embed(np.column_stack([spoke(30.0), third])), RADIAL, AUTO), 30.0)


def test_partitions_are_refused():
    readouts = make_readouts()
    readouts[12] = replace(readouts[12], counters=replace(readouts[12].counters, kspace_encode_step_2=1))
    with pytest.raises(DataError, match=r"partitions.*readout 12"):
        list(locate(readouts, RADIAL, TrajectoryConfig(mode=2)))
    stack = [np.column_stack([spoke(30.0), np.full(SAMPLES, height)]) for height in (0.0, 4.0)]
    readouts = [*embed(stack[0]), *embed(stack[1])]
    with pytest.raises(DataError, match=r"three-dimensional.*header announces its partitions"):
        list(locate(readouts, RADIAL, AUTO))


def test_trajectory_of_another_length_is_refused():
    with pytest.raises(ShapeError, match="RemoveROOversampling"):
        list(locate(embed(spoke(0, samples=SAMPLES * 2)), RADIAL, AUTO))


def test_readout_without_trajectory_among_others_is_refused():
    readouts = embed(spoke(0))
    readouts[15] = replace(readouts[15], raw_trajectory=None)
    with pytest.raises(MissingTrajectoryError, match="readout 15"):
        list(locate(readouts, RADIAL, AUTO))


def test_user_float_is_believed_only_if_it_varies():
    turning = [replace(r, user_float=(0.0, 17.0 * i)) for i, r in enumerate(make_readouts())]
    config = TrajectoryConfig(user_float_index=1, mode=2)
    assert_angles(locate(turning, RADIAL, config), 17.0 * np.arange(20))
    still = [replace(r, user_float=(0.0, 17.0)) for r in make_readouts()]
    assert_angles(locate(still, RADIAL, config), np.arange(20) * GOLDEN_ANGLE_DEG + 180)
    forced = config.model_copy(update={"source": "user_float"})
    assert_angles(locate(still, RADIAL, forced), 17.0)


def test_user_float_angles_of_interleaved_slices():
    readouts = [
        replace(
            r, user_float=(17.0 * (i // 10),), counters=Counters(kspace_encode_step_1=i // 10, slice=i % 10)
        )
        for i, r in enumerate(make_readouts(120))
    ]
    assert_angles(locate(readouts, RADIAL, AUTO), 17.0 * (np.arange(120) // 10))


def test_header_parameters_precede_the_configuration():
    scan = replace(RADIAL, trajectory_parameters={"Angle_Increment_deg": 23.0, "angle_offset": 5.0})
    assert_angles(locate(make_readouts(), scan, TrajectoryConfig(mode=2)), 185 + 23.0 * np.arange(20))
    configured = TrajectoryConfig(mode=2, source="configured")
    assert_angles(locate(make_readouts(), scan, configured), 180 + GOLDEN_ANGLE_DEG * np.arange(20))


def test_nothing_derivable_says_what_to_set():
    with pytest.raises(MissingTrajectoryError, match=r"trajectory\.mode"):
        list(locate(make_readouts(), RADIAL, AUTO))


@pytest.mark.parametrize("source", ["embedded", "user_float", "header"])
def test_forced_source_that_is_missing(source):
    with pytest.raises(MissingTrajectoryError, match="source"):
        list(locate(make_readouts(), RADIAL, TrajectoryConfig(source=source)))


@pytest.mark.parametrize("kind", ["cartesian", "epi", "spiral"])
def test_other_trajectories_are_refused_unless_embedded_or_overruled(kind):
    scan = replace(RADIAL, trajectory_kind=kind)
    with pytest.raises(DataError, match=kind):
        list(locate(make_readouts(), scan, TrajectoryConfig(mode=2)))
    assert len(list(locate(embed(spoke(0)), scan, AUTO))) == 20
    overruled = TrajectoryConfig(source="configured", mode=2)
    assert len(list(locate(make_readouts(), scan, overruled))) == 20


@pytest.mark.parametrize(("samples", "center"), [(128, 64), (127, 63), (96, 32), (96, 64), (65, 1)])
def test_partial_echoes_keep_spacing_and_centre(samples, center):
    positions = sample_positions(samples, center)
    assert positions[center] == 0
    assert np.abs(positions).max() <= 0.5
    longer = max(center, samples - center)
    np.testing.assert_allclose(np.diff(positions), 1 / (2 * longer))


@pytest.mark.parametrize("center", [0, 128, 4000])
def test_nonsense_centre_means_the_middle(center):
    np.testing.assert_array_equal(sample_positions(128, center), sample_positions(128, 64))


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("is_half", [False, True])
def test_a_centre_at_the_end_is_believed_where_the_energy_is(is_half, is_reversed):
    echo = np.exp(-np.abs(np.arange(SAMPLES) - (0 if is_half else SAMPLES // 2)) / 8)
    echo = echo[::-1] if is_half and is_reversed else echo
    center = SAMPLES - 1 if is_reversed else 0
    readouts = [
        replace(r, data=np.stack([echo, 2 * echo]).astype(np.complex64), is_reversed=is_reversed)
        for r in make_readouts(center=center)
    ]
    (first, *_) = locate(readouts, RADIAL, TrajectoryConfig(mode=2))
    assert np.linalg.norm(first.trajectory, axis=1).argmin() == echo.argmax()


def echoes(at, centers, reversed_ones=()):
    """Readouts with their echoes at samples ``at``, said to be centred at others."""
    return [
        replace(
            readout,
            data=np.exp(-np.abs(np.arange(SAMPLES) - peak) / 4)[None].astype(np.complex64),
            center_sample=center,
            is_reversed=number in reversed_ones,
        )
        for number, (readout, peak, center) in enumerate(zip(make_readouts(), at, centers, strict=True))
    ]


def test_contradictions_between_header_and_data_are_told(caplog):
    golden = TrajectoryConfig(mode=2)
    list(locate(echoes(20 * [34], 20 * [32]), RADIAL, golden))
    assert not caplog.text, "a shift of two samples is a matter of delays"
    list(locate(echoes(20 * [64], 20 * [32]), RADIAL, golden))
    assert "echoes of readouts that are not reversed lie at sample 64 of 128" in caplog.text
    assert "at sample 32: check center_sample" in caplog.text
    caplog.clear()
    # Flags that are wrong: the flagged readouts were turned though they had come forwards.
    at = [32, 95] * 10
    list(locate(echoes(at, 20 * [32], range(1, 20, 2)), RADIAL, golden))
    assert "turned by their flag ACQ_IS_REVERSE lie at sample 95" in caplog.text
    assert "not reversed" not in caplog.text


def test_full_and_partial_echo_agree_where_both_are():
    full = next(locate(make_readouts(1, 128, 64), RADIAL, TrajectoryConfig(mode=2)))
    partial = next(locate(make_readouts(1, 96, 32), RADIAL, TrajectoryConfig(mode=2)))
    np.testing.assert_allclose(partial.trajectory, full.trajectory[32:], atol=1e-6)


def test_interpolated_and_oblong_fields_of_view():
    scan = Scan((96, 128), (64, 128), (320.0, 240.0, 8.0), (640.0, 240.0, 8.0))
    config = TrajectoryConfig(angle_increment_deg=90.0)
    along_x, along_y = list(locate(make_readouts(2), scan, config))
    # 128 samples over 640 mm resolve 5 mm: 64 cycles in 320 mm, 48 in 240 mm.
    assert np.abs(along_x.trajectory[:, 0]).max() == pytest.approx(32)
    assert np.abs(along_y.trajectory[:, 1]).max() == pytest.approx(24)


def test_an_empty_stream_stays_empty():
    assert list(locate([], RADIAL, AUTO)) == []


def test_no_more_than_the_head_is_held_back():
    taken = []

    def stream():
        for readout in make_readouts(20):
            taken.append(readout.scan_counter)
            yield readout

    next(locate(stream(), RADIAL, TrajectoryConfig(mode=2)))
    assert len(taken) <= 8
