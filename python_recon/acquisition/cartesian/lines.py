"""Where the lines of a Cartesian scan lie, from their counters and the header."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from python_recon.acquisition.echoes import tell_contradictions
from python_recon.acquisition.spoke_index import StreamKey, stream_key
from python_recon.config import TrajectoryConfig
from python_recon.data import Readout, Scan
from python_recon.errors import DataError

_HEAD = 16
"""Readouts for images that tell the spacing of the samples."""
_MOST = 4096
"""That are held back, lines for calibration included."""
_FEWEST = 8
"""Lines that tell whether they are lines at all."""
_EVEN = 0.5
"""Energy of the outer lines, relative to the strongest, from which on they are doubted."""
_MIDDLE = 8
"""Part of a readout, around its centre, that noise fills as any other."""
_ALIKE = 0.02
"""Lengths that differ by less than this share are the same."""
_log = logging.getLogger(__name__)


def locate(readouts: Iterable[Readout], scan: Scan, _config: TrajectoryConfig) -> Iterator[Readout]:
    """Fill in the trajectory, in cycles per reconstructed field of view, and the running number.

    ky is what kspace_encode_step_1 counts from the centre that the header's limits give; kx what
    center_sample does. Lines beyond the encoded matrix are left out, with a warning.

    Raises
    ------
    DataError
        If the scan has partitions, if only some readouts carry a trajectory, or if a readout has the duration
        of others and another number of samples.
    """
    stream = iter(readouts)
    head = first_lines(stream)
    if not head:
        return
    grid = _Grid.of(head, scan)
    tell_contradictions(head, [grid.places(readout) for readout in head])
    numbers: Counter[StreamKey] = Counter()
    n_beyond = 0
    lines = _Lines()
    for readout in itertools.chain(head, stream):
        grid.check(readout)
        if not grid.holds(readout):
            n_beyond += 1
            continue
        key = stream_key(readout)
        line = readout.counters.kspace_encode_step_1 - grid.centre_line
        lines.add(line, readout)
        yield replace(
            readout,
            center_sample=_centre(readout),
            trajectory=grid.places(readout),
            encoding="cartesian",
            spoke_index=numbers[key],
        )
        numbers[key] += 1
    lines.refuse_spokes()
    if n_beyond:
        _log.warning(
            "%d lines left out: their kspace_encode_step_1 lies beyond the encoded matrix of %d lines around "
            "its centre, %d",
            n_beyond,
            scan.encoded_matrix[0],
            grid.centre_line,
        )


class _Lines:
    """Tells spokes from lines: all have as much energy as that at the centre, and have it in their middle."""

    def __init__(self) -> None:
        self._energies: dict[int, tuple[float, float]] = {}

    def add(self, line: int, readout: Readout) -> None:
        """Remember the strongest readout of each line: its energy, and how much lies in its middle."""
        energy = np.square(np.abs(readout.data)).sum(0)
        total, centre, half = float(energy.sum()), _centre(readout), readout.n_samples // (2 * _MIDDLE)
        if total > self._energies.get(line, (0.0, 0.0))[0]:
            middle = float(energy[max(centre - half, 0) : centre + half + 1].sum())
            self._energies[line] = (total, middle / total)

    def refuse_spokes(self) -> None:
        """To be called after the last of them; raises DataError."""
        if len(self._energies) < _FEWEST:
            return
        reach, strongest = max(map(abs, self._energies)), max(self._energies.values())[0]
        outer = [found for line, found in self._energies.items() if abs(line) > reach / 2]
        share, in_middle = np.median(outer, 0)[0] / strongest, np.median(outer, 0)[1]
        if share > _EVEN and in_middle > 2 / _MIDDLE:
            raise DataError(
                f"lines far from the centre of k-space have {100 * share:.0f} % of the energy of the "
                "strongest, and have it in their middle, as spokes do; the header says that the data are "
                "cartesian: for spokes, set trajectory.source and trajectory.mode"
            )


def first_lines(stream: Iterator[Readout]) -> list[Readout]:
    """The first readouts, so many that some are for images, but for a scan that has none."""
    head: list[Readout] = []
    n_imaging = 0
    for readout in stream:
        head.append(readout)
        n_imaging += not readout.is_calibration
        if n_imaging == _HEAD or len(head) == _MOST:
            break
    return head


@dataclass(frozen=True)
class _Grid:
    """What counters and samples mean in k-space."""

    centre_line: int
    n_lines: int
    step: tuple[float, float]
    """From sample to sample and from line to line, cycles per reconstructed field of view."""
    n_samples: int
    """Of a whole line, without asymmetric echo."""
    duration_us: float
    """Of a usual readout."""
    usual_samples: int

    @classmethod
    def of(cls, head: list[Readout], scan: Scan) -> _Grid:
        imaging = [readout for readout in head if not readout.is_calibration] or head
        usual = Counter(readout.n_samples for readout in imaging).most_common(1)[0][0]
        first = next(readout for readout in imaging if readout.n_samples == usual)
        n_samples = 2 * max(_centre(first), usual - _centre(first))
        return cls(
            centre_line=_centre_line(scan),
            n_lines=scan.encoded_matrix[0],
            step=(_sample_step(scan, n_samples), line_step(scan)),
            n_samples=n_samples,
            duration_us=first.n_samples * first.sample_time_us,
            usual_samples=usual,
        )

    def check(self, readout: Readout) -> None:
        if readout.raw_trajectory is not None and readout.raw_trajectory.any():
            raise DataError(
                f"readout {readout.scan_counter} carries a trajectory while those before it are lines of a "
                "grid: send each kind as an encoding space of its own"
            )
        if readout.counters.kspace_encode_step_2:
            raise DataError(
                f"readout {readout.scan_counter} is of partition {readout.counters.kspace_encode_step_2} "
                "(kspace_encode_step_2), and the header announces none: give the limits of "
                "kspace_encoding_step_2 in its encodingLimits"
            )
        lasts = readout.n_samples * readout.sample_time_us
        if readout.n_samples != self.usual_samples and 0 < lasts == self.duration_us:
            raise DataError(
                f"readout {readout.scan_counter} has {readout.n_samples} samples in the time in which others "
                f"have {self.usual_samples}: their oversampling differs; send them as an encoding space of "
                "their own"
            )

    def holds(self, readout: Readout) -> bool:
        line = readout.counters.kspace_encode_step_1 - self.centre_line
        return -(self.n_lines // 2) <= line < self.n_lines - self.n_lines // 2

    def places(self, readout: Readout) -> np.ndarray:
        """(readout, 2)."""
        line = (readout.counters.kspace_encode_step_1 - self.centre_line) * self.step[1]
        along = (np.arange(readout.n_samples) - _centre(readout)) * self.step[0]
        places: np.ndarray = np.stack([along, np.full_like(along, line)], -1).astype(np.float32)
        return places


def _centre(readout: Readout) -> int:
    """The sample at the centre; the middle where the header field is not filled in."""
    is_filled = 0 < readout.center_sample < readout.n_samples - 1
    return readout.center_sample if is_filled else readout.n_samples // 2


def _centre_line(scan: Scan) -> int:
    centre, highest = (table.get("kspace_encode_step_1", 0) for table in (scan.centres, scan.limits))
    if centre > 0 or highest == 0:
        return centre or scan.encoded_matrix[0] // 2
    _log.warning(
        "the header gives no centre of kspace_encode_step_1: the middle of the encoded matrix is taken"
    )
    return scan.encoded_matrix[0] // 2


def _sample_step(scan: Scan, n_samples: int) -> float:
    """Of the encoded field of view, which may or may not count the oversampling of the samples that came."""
    fov, encoded = scan.field_of_view_mm[0], scan.encoded_field_of_view_mm[0]
    n_encoded = scan.encoded_matrix[1]
    if not fov > 0 or not encoded > 0:
        return scan.matrix[1] / n_samples
    is_wide = not _are_alike(encoded, fov)
    if not is_wide and _are_alike(n_samples, 2 * n_encoded):
        return 0.5
    if is_wide and _are_alike(n_samples, n_encoded * fov / encoded):
        return 1.0  # the oversampling was removed upstream
    return fov / encoded if is_wide else 1.0


def line_step(scan: Scan) -> float:
    """From line to line, cycles per field of view of the images."""
    fov, encoded = scan.field_of_view_mm[1], scan.encoded_field_of_view_mm[1]
    if not fov > 0 or not encoded > 0 or _are_alike(fov, encoded):
        return 1.0
    if encoded < fov:
        _log.warning(
            "the encoded field of view is %g mm, that of the images %g mm: they will fold", encoded, fov
        )
        return 1.0
    return fov / encoded


def _are_alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * abs(other)
