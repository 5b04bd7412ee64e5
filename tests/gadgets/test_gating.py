"""Scans with ECG and breath through the gadget: what comes out, and what the images say."""

from __future__ import annotations

import copy
from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.files.headers import FIRST_TICK
from gadgets.files.mrd_file import ScanFile
from gadgets.files.slices import read_slice
from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.stage import images
from gadgets.translate.clock import DAY, TICK_S, DayClock
from gadgets.translate.readouts import ReadoutStream
from gadgets.translate.waveforms import waveform_from
from gadgets.wire.messages import AcquisitionBucket
from python_recon.acquisition.gating.physiology import physiology_from_signals
from python_recon.acquisition.gating.spoke_phases import respiratory_position
from python_recon.config import load_config
from tests.acquisition.recordings import distances
from tests.numerics import scan_heart

N_FRAMES, N_SPOKES, N_PHASES = 30, 8, 12
CINE = {
    "method": "cg_sense",
    "preview": "none",
    "coils.maps": "low_resolution",
    "binning.by": "cardiac",
    "binning.cardiac_phases": N_PHASES,
}
BEAT_S = 60 / 72


@pytest.fixture(scope="module")
def new_scan(tmp_path_factory):
    """Simulates four seconds of the heart, each kind once: header, readouts, waveforms and true R waves."""
    folder, made = tmp_path_factory.mktemp("gating"), {}

    def new(**options):
        key = tuple(sorted(options.items()))
        if key not in made:
            path = folder / f"scan_{len(made)}.h5"
            size = {"matrix": 16, "coils": 2, "frames": N_FRAMES, "spokes_per_frame": N_SPOKES}
            simulate(path, SimulateOptions(**{**size, "repetition_time": 16.6, **options}))
            with ScanFile(path) as file, h5py.File(folder / f"{path.stem}_truth.h5") as truth:
                made[key] = file.header, list(file.items()), truth["r_waves_s"][:]
        return made[key]

    return new


def reconstruct(header, items, **settings):
    return list(images(ReadoutStream(items, header), load_config({**CINE, **settings})))


def comment(found):
    (told,) = {image.meta.get("ImageComments", "") for image in found}
    return told


def since_r_wave_s(found):
    return np.array([image.physiology_time_stamp[0] for image in found]) * TICK_S


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({}, "stamps"),
        ({"cardiac_signal": "ecg"}, "ECG triggers"),
        ({"cardiac_signal": "ecg", "ecg_triggers": False}, "ECG"),
        ({"cardiac_signal": "both"}, "stamps"),
    ],
)
def test_images_are_phases_of_the_heart_and_say_so(new_scan, options, source):
    header, items, _ = new_scan(**options)
    found = reconstruct(header, items)
    assert len(found) == N_PHASES
    assert f"{N_PHASES} cardiac phases, " in comment(found)
    assert f"beats of 0.83 s ({source})" in comment(found)
    expected = (np.arange(N_PHASES) + 0.5) / N_PHASES * BEAT_S
    np.testing.assert_allclose(since_r_wave_s(found), expected, atol=TICK_S)


def test_previews_are_frames_of_time(new_scan):
    header, items, _ = new_scan()
    found = reconstruct(header, items, preview="gridding", method="gridding")
    counts = [sum(image.image_series_index == index for image in found) for index in (1, 2)]
    assert counts == [N_FRAMES, N_PHASES], "the method is the preview's, but its frames are others"


def test_slices_share_the_heart(new_scan):
    """Each is sorted by the beats of the whole scan, at whose end all of them are fitted."""
    header, items, _ = new_scan(slices=2, cardiac_signal="ecg", frames=15, spokes_per_frame=16)
    found = reconstruct(header, items)
    assert [image.slice for image in found] == N_PHASES * [0] + N_PHASES * [1]


def test_without_a_signal_the_frames_are_those_of_time_and_say_so(new_scan, caplog):
    header, items, _ = new_scan(cardiac_signal="none")
    found = reconstruct(header, items)
    assert len(found) == N_FRAMES
    assert comment(found) == "fewer than two heartbeats were found: the frames are those of time"
    assert "fewer than two heartbeats were found" in caplog.text


def test_irregular_beats_are_told(new_scan):
    header, items, _ = new_scan(arrhythmia=0.3, cardiac_signal="ecg", frames=60)
    assert "beats rejected as irregular" in comment(reconstruct(header, items))


def late(items):
    """All waveforms after the last readout."""
    return sorted(items, key=lambda item: isinstance(item, ismrmrd.Waveform))


def shuffled(items):
    """The waveforms at the same places, but in another order."""
    waveforms = iter(np.random.default_rng(0).permutation([i for i, x in enumerate(items) if _is_wave(x)]))
    return [items[next(waveforms)] if _is_wave(item) else item for item in items]


def in_buckets(items):
    readouts = tuple(item for item in items if not _is_wave(item))
    waveforms = tuple(item for item in items if _is_wave(item))
    return [AcquisitionBucket(readouts[:99], (), waveforms), AcquisitionBucket(readouts[99:], (), ())]


def _is_wave(item):
    return isinstance(item, ismrmrd.Waveform)


@pytest.mark.parametrize("order", [late, shuffled, in_buckets])
def test_when_the_waveforms_come_does_not_matter(new_scan, order):
    header, items, _ = new_scan(cardiac_signal="ecg", ecg_triggers=False)
    expected, found = reconstruct(header, items), reconstruct(header, order(items))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert one.getHead() == other.getHead()


def over_midnight(items):
    """The same scan, half of it before and half after midnight."""
    stamps = [item.acquisition_time_stamp for item in items if not _is_wave(item)]
    shift = DAY - (stamps[0] + stamps[-1]) // 2
    moved = copy.deepcopy(items)
    for item in moved:
        name = "time_stamp" if _is_wave(item) else "acquisition_time_stamp"
        setattr(item, name, (getattr(item, name) + shift) % DAY)
    return moved, shift


@pytest.mark.parametrize("order", [list, shuffled])
def test_a_scan_over_midnight_is_as_any_other(new_scan, order):
    header, items, _ = new_scan(cardiac_signal="ecg", ecg_triggers=False)
    moved, shift = over_midnight(items)
    expected, found = reconstruct(header, items), reconstruct(header, order(moved))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.acquisition_time_stamp + shift) % DAY == other.acquisition_time_stamp


def test_stamps_that_the_scanner_did_not_give_are_on_the_images(new_scan):
    header, items, r_waves = new_scan(cardiac_signal="ecg")
    found = reconstruct(header, items, **{"binning.by": "auto"})
    times = np.array([image.acquisition_time_stamp for image in found]) * TICK_S - FIRST_TICK * TICK_S
    assert len(found) == N_FRAMES
    assert distances(times - since_r_wave_s(found), r_waves).max() < 3 * TICK_S


def test_frames_that_begin_with_the_beat_stream(new_scan):
    header, items, _ = new_scan(cardiac_signal="ecg")
    settings = {"binning.by": "beat", "binning.cardiac_phases": 6, "preview": "gridding"}
    found = reconstruct(header, items, **settings)
    previews = [image for image in found if image.image_series_index == 1]
    known = [image for image in previews if not image.meta.get("ImageComments")]
    told = {image.meta["ImageComments"] for image in previews if image not in known}
    assert told <= {"no R wave has been seen: the frame is one of time"}
    assert len(known) > 12
    phase = since_r_wave_s(known) / BEAT_S * 6
    away = np.abs(np.array([image.repetition for image in known]) % 6 + 0.5 - phase)
    assert np.median(away) < 0.6


def test_a_slice_that_is_read_for_a_comparison_is_gated(tmp_path):
    path = tmp_path / "scan.h5"
    size = {"matrix": 16, "coils": 2, "frames": N_FRAMES, "spokes_per_frame": N_SPOKES}
    simulate(path, SimulateOptions(**size, repetition_time=16.6, cardiac_signal="ecg"))
    by_time = read_slice(path, "dataset", 0, load_config())
    assert by_time.n_frames == N_FRAMES
    assert by_time.physiology.source == "ECG triggers"
    assert np.ptp(by_time.physiology_s[:, 0]) > 0.7
    by_heart = read_slice(path, "dataset", 0, load_config({"binning.by": "cardiac"}))
    assert by_heart.n_frames == 25
    assert "25 cardiac phases" in by_heart.comment


def test_waveforms_of_a_file_are_read_as_they_were_written(new_scan):
    """Of all kinds, on the clock of the readouts."""
    _, items, _ = new_scan(cardiac_signal="ecg", respiratory_signal=True)
    kinds = {waveform_from(item, DayClock()).kind for item in items if _is_wave(item)}
    assert kinds == {"ecg", "respiration"}
    first = next(waveform_from(item, DayClock()) for item in items if _is_wave(item))
    assert first.start_s == pytest.approx(FIRST_TICK * TICK_S - 0.5, abs=TICK_S)


def test_numbers_below_zero_stay_below_zero():
    data = np.array([[-5, 7]], np.int32).view(np.uint32)
    sent = ismrmrd.Waveform.from_array(data, waveform_id=0, sample_time_us=2500.0, time_stamp=400)
    received = waveform_from(sent, DayClock())
    assert received.data.tolist() == [[-5, 7]]
    assert (received.kind, received.start_s, received.interval_s) == ("ecg", 1.0, pytest.approx(2.5e-3))


@pytest.mark.parametrize(
    "fields", [{"waveform_id": 1024}, {"sample_time_us": 0.0}, {"sample_time_us": np.nan}]
)
def test_waveforms_that_tell_nothing_are_left_out(new_scan, fields, caplog):
    header, items, _ = new_scan()
    odd = ismrmrd.Waveform.from_array(np.zeros((1, 3), np.uint32), **{"sample_time_us": 2500.0, **fields})
    assert waveform_from(odd, DayClock()) is None
    stream = ReadoutStream([odd, *items], header)
    list(stream)
    assert sum(count for reason, count in stream.skipped.items() if "waveform" in reason) == 1


@pytest.mark.parametrize("signal", ["waveform", "short", "flat"])
def test_the_breath_is_that_of_the_waveform(signal):
    """Where it covers the scan; self-gating takes its place."""
    scan = scan_heart(120, 5, 8, (24, 24), spacing_s=1 / 30, truth_every=120, contrast=0.0)
    times = np.arange(-1, 21 if signal != "short" else 9, 8e-3)
    true = scan.phantom.inspiration(times)
    sent = np.zeros_like(true) if signal == "flat" else 1000 + 800 * true + 30 * times
    wave = ismrmrd.Waveform.from_array(
        sent[None].astype(np.uint32), waveform_id=2, sample_time_us=8000.0, time_stamp=0
    )
    block = replace(waveform_from(wave, DayClock()), start_s=-1.0)
    told = physiology_from_signals(np.empty(0), np.empty(0), [block])
    position = respiratory_position(replace(scan.kspace, physiology=told))
    truth = scan.phantom.inspiration(scan.kspace.spoke_times_s).ravel().argsort().argsort()
    likeness = abs(np.corrcoef(position.ravel(), truth)[0, 1])
    if signal == "waveform":
        assert likeness > 0.9
    else:
        np.testing.assert_array_equal(position, respiratory_position(scan.kspace))
