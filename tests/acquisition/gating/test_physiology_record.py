"""What a stream tells of heart and breath, in whatever order it comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.acquisition.gating.physiology_record import PhysiologyRecord
from python_recon.data import Readout
from python_recon.physiology import Waveform
from tests.acquisition.recordings import REGULAR, distances, ecg_blocks, irregular

CLOCK_S = 36_000.0
"""Scanners count from midnight."""


def readouts(r_waves=None, step_s=0.01, end_s=29.0):
    for time in np.arange(0.6, end_s, step_s):
        since = 0.0 if r_waves is None else time - r_waves[np.searchsorted(r_waves, time, "right") - 1]
        yield Readout(np.zeros((1, 4), np.complex64), time_s=CLOCK_S + time, physiology_s=(since, 0.0, 0.0))


def received(record, scan, blocks, late_s=0.0):
    """The readouts as they come out of the record, each block added so much after its end."""
    waiting = sorted(blocks, key=lambda block: block.end_s)

    def stream():
        for readout in scan:
            while waiting and waiting[0].end_s + late_s <= readout.time_s:
                record.add(waiting.pop(0))
            yield readout

    passed = list(record.stamped(stream()))
    for block in waiting:
        record.add(block)
    return passed


def ecg(r_waves=REGULAR, **how):
    return ecg_blocks(r_waves, start_s=CLOCK_S, **how)


@pytest.mark.parametrize("late_s", [0.0, 0.7, 60.0])
@pytest.mark.parametrize("length_s", [0.02, 0.2, 5.0])
def test_r_waves_of_waveforms_that_come_late_and_in_blocks(late_s, length_s):
    record = PhysiologyRecord()
    received(record, readouts(step_s=0.1), ecg(irregular(), length_s=length_s), late_s)
    found = record.so_far()
    assert found.source == "ECG"
    assert distances(found.r_waves_s - CLOCK_S, irregular()).max() < 0.005


@pytest.mark.parametrize(
    ("stamps", "triggers", "source"),
    [(True, True, "stamps"), (False, True, "ECG triggers"), (False, False, "ECG"), (True, False, "stamps")],
)
def test_what_the_scanner_has_found_is_preferred(stamps, triggers, source):
    record = PhysiologyRecord()
    truth = irregular()
    received(record, readouts(truth if stamps else None, 0.05), ecg(truth, triggers=triggers))
    found = record.so_far()
    assert found.source == source
    assert distances(found.r_waves_s - CLOCK_S, truth).max() < 0.006


def test_a_pulse_is_better_than_nothing():
    record = PhysiologyRecord()
    pulse = [replace(block, kind="pulse") for block in ecg(triggers=True)]
    received(record, readouts(step_s=0.1), pulse)
    assert record.so_far().source == "pulse triggers"


def test_nothing_is_known_of_nothing():
    record = PhysiologyRecord()
    passed = received(record, readouts(step_s=0.1), [])
    found = record.so_far()
    assert (found.r_waves_s.size, found.source, found.respiration) == (0, "", None)
    assert all(readout.physiology_s == (0.0, 0.0, 0.0) for readout in passed)


def test_stamps_are_passed_on_as_they_are():
    record = PhysiologyRecord()
    scan = list(readouts(REGULAR, 0.05))
    assert received(record, scan, ecg(irregular())) == scan


@pytest.mark.parametrize("late_s", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("triggers", [True, False])
def test_missing_stamps_are_predicted_from_late_waveforms(late_s, triggers):
    record = PhysiologyRecord()
    passed = received(record, readouts(), ecg(triggers=triggers), late_s)
    times = np.array([readout.time_s for readout in passed]) - CLOCK_S
    stamps = np.array([readout.physiology_s[0] for readout in passed])
    truth = (times - REGULAR[0]) % 0.85
    away = np.abs((stamps - truth + 0.425) % 0.85 - 0.425)
    away = away[times > late_s + 3.5]
    assert np.quantile(away, 0.9) < 0.005
    assert away.max() < 0.03, "where half of a QRS complex has come"
    assert not stamps[times < late_s].any()


def test_waveforms_that_stop_are_not_relied_on_for_ever():
    record = PhysiologyRecord()
    passed = received(record, readouts(), ecg(end_s=10.0))
    assert passed[1300].physiology_s[0] > 0
    assert passed[-1].physiology_s[0] == 0


def test_the_breath_is_kept():
    record = PhysiologyRecord()
    record.add(Waveform("respiration", CLOCK_S, 0.008, np.arange(50.0)[None]))
    assert record.so_far().respiration.data.shape == (1, 50)


def test_noise_readouts_tell_nothing():
    record = PhysiologyRecord()
    noise = [replace(readout, is_noise=True) for readout in readouts(REGULAR, 0.1)]
    assert list(record.stamped(noise)) == noise
    assert record.so_far().source == ""
