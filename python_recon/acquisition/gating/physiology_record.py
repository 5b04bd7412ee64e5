"""What a scan tells of heart and breath, gathered while it streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from python_recon.acquisition.gating.heartbeats import Heartbeats
from python_recon.acquisition.gating.physiology import physiology_from_signals, r_waves_of_waveforms
from python_recon.data import Readout
from python_recon.physiology import Physiology, Waveform

_LOOK_BACK_S = 8.0
"""Of the waveforms, that R waves are predicted from: what is usual is the median beat of this time."""
_MOST_BLOCKS = 4096
"""That are looked at for them."""
_LOOK_EVERY_S = 0.25
_LOOK_AHEAD_S = 5.0
"""How late a waveform may be for predictions to be made from it."""
_BLOCK_BYTES, _STAMP_BYTES = 500, 120
"""What Python takes for a block of a waveform beside its samples, and for the stamps of a readout."""


class PhysiologyRecord:
    """Takes waveforms and readouts in the order they come; waveforms may be late.

    One thread may fill it while another asks what is known so far.
    """

    def __init__(self) -> None:
        self._waveforms: list[Waveform] = []
        self._stamps: list[tuple[float, float]] = []
        self._n_waveform_bytes = 0
        self._is_stamped = False
        self._recent: Heartbeats | None = None
        self._looked_at_s = -np.inf

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, about."""
        return self._n_waveform_bytes + _BLOCK_BYTES * len(self._waveforms) + _STAMP_BYTES * len(self._stamps)

    def add(self, waveform: Waveform) -> None:
        """Keep a block of a waveform."""
        self._waveforms.append(waveform)
        self._n_waveform_bytes += waveform.data.nbytes

    def stamped(self, readouts: Iterable[Readout]) -> Iterator[Readout]:
        """The readouts, their stamps noted; where none has one, the time since the last R wave is filled in.

        It comes from the waveforms so far, or is predicted, in beats of the usual length, where the R wave
        has not been received yet. What is sent in the end does not depend on it.
        """
        for readout in readouts:
            if readout.is_noise:
                yield readout
                continue
            since_r_wave_s = readout.physiology_s[0]
            self._is_stamped = self._is_stamped or since_r_wave_s > 0
            self._stamps.append((readout.time_s, since_r_wave_s))
            yield readout if self._is_stamped else self._predicted(readout)

    def so_far(self) -> Physiology:
        """What all that has come so far tells."""
        stamps = np.array(self._stamps[:], np.float64).reshape(-1, 2)
        return physiology_from_signals(stamps[:, 0], stamps[:, 1], self._waveforms[:])

    def _predicted(self, readout: Readout) -> Readout:
        beats = self._recent_beats()
        if beats is None or readout.time_s < beats.r_waves_s[0]:
            return readout
        late_s = readout.time_s - beats.r_waves_s[-1]
        if late_s > _LOOK_AHEAD_S:
            return readout
        known = late_s % beats.usual_s if late_s > 0 else beats.since_r_wave_s(np.array(readout.time_s))
        return replace(readout, physiology_s=(float(known), *readout.physiology_s[1:]))

    def _recent_beats(self) -> Heartbeats | None:
        """Beats of the last seconds of the waveforms; looked for anew only when enough has come."""
        if not self._waveforms:
            return None
        end_s = max(block.end_s for block in self._waveforms[-4:])
        if end_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = end_s
            latest = self._waveforms[-_MOST_BLOCKS:]
            recent = [block for block in latest if block.end_s > end_s - _LOOK_BACK_S]
            found, _ = r_waves_of_waveforms(recent)
            self._recent = Heartbeats(found) if found.size else None
        return self._recent
