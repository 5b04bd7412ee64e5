"""Lines put on the grid of the matrix that is reconstructed.

The grid is that of the images or, where the encoding covers more, a wider one from which they are cut. Full
echoes that are oversampled are brought to the field of view of the images before: what lies beyond is left
out along the readout, exactly. A partial echo cannot be: its missing end would be spread. It keeps its
samples, and the images are reconstructed over the wider field of view and cut.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from python_recon.acquisition.cartesian.lines import first_lines, line_step
from python_recon.data import NoiseLevel, Readout, Scan

_WHOLE = 1e-3
"""By how much a count of cells may miss a whole number, relative to it."""
_log = logging.getLogger(__name__)


def fit(readouts: Iterable[Readout], scan: Scan, matrix: tuple[int, int]) -> Iterator[Readout]:
    """Located lines on the grid of an image matrix (y, x) or a wider one, all of the same length.

    Cells of a line that were not measured are zero. Lines beyond the matrix are left out.
    """
    stream = iter(readouts)
    head = first_lines(stream)
    if not head:
        return
    grid = _Grid.of(head, 1.0 if _is_embedded(head) else line_step(scan), matrix)
    for readout in itertools.chain(head, stream):
        placed = grid.place(readout)
        if placed is not None:
            yield placed


@dataclass(frozen=True)
class _Grid:
    matrix: tuple[int, int]
    """(y, x), at least that of the images."""
    step: float
    """From sample to sample as they come, in cycles per field of view of the images."""
    line_step: float
    n_full: int
    """Samples of a whole line as it comes."""
    n_cropped: int | None
    """Samples of a line without its oversampling; None: it is kept."""

    @classmethod
    def of(cls, head: list[Readout], line_step: float, matrix: tuple[int, int]) -> _Grid:
        longest = max(head, key=lambda readout: readout.n_samples)
        step = _sample_step(longest)
        n_full = 2 * max(longest.center_sample, longest.n_samples - longest.center_sample)
        cells = n_full * step
        can_crop = step < 1 - _WHOLE and abs(cells - round(cells)) <= _WHOLE * cells
        n_cropped = round(cells) if can_crop and all(_is_whole(each) for each in head) else None
        wide = matrix[1] if n_cropped else _wide(matrix[1], step)
        return cls((_wide(matrix[0], line_step), wide), step, line_step, n_full, n_cropped)

    def place(self, readout: Readout) -> Readout | None:
        """The line on the grid; None where it lies beyond."""
        if readout.trajectory is None:
            raise ValueError("the line is not located")
        line = round(float(readout.trajectory[0, 1]) / self.line_step)
        if not -(self.matrix[0] // 2) <= line < self.matrix[0] - self.matrix[0] // 2:
            return None
        whole = _filled(readout.data, readout.center_sample, self.n_full)
        noise = readout.noise
        if self.n_cropped:
            whole = _cropped(whole, self.n_cropped)
            noise = _quieter(noise, self.n_cropped / self.n_full)
        kept = min(whole.shape[1], self.matrix[1])
        first = whole.shape[1] // 2 - kept // 2
        along = np.arange(kept) - kept // 2
        return replace(
            readout,
            data=np.ascontiguousarray(whole[:, first : first + kept]),
            trajectory=np.stack([along, np.full_like(along, line)], -1).astype(np.float32),
            center_sample=kept // 2,
            noise=noise,
            matrix=self.matrix,
        )


def _sample_step(readout: Readout) -> float:
    places = np.zeros((2, 2)) if readout.trajectory is None else readout.trajectory
    return float(places[-1, 0] - places[0, 0]) / max(len(places) - 1, 1) or 1.0


def _is_embedded(head: list[Readout]) -> bool:
    return all(readout.raw_trajectory is not None for readout in head)


def _is_whole(readout: Readout) -> bool:
    """Whether a line has as many samples on one side of the centre as on the other, and all were measured."""
    before, after = readout.center_sample, readout.n_samples - 1 - readout.center_sample
    return abs(before - after) <= 1 and bool(readout.data[:, 1:-1].any(0).all() or not readout.data.any())


def _wide(n_pixels: int, step: float) -> int:
    return n_pixels if step > 1 - _WHOLE else math.floor(n_pixels / step + 0.5)


def _filled(data: np.ndarray, centre: int, n_full: int) -> np.ndarray:
    """A line (coil, readout) with its centre in the middle of ``n_full`` samples."""
    whole = np.zeros((len(data), n_full), np.complex64)
    start = n_full // 2 - centre
    source = slice(max(-start, 0), min(data.shape[1], n_full - start))
    whole[:, max(start, 0) : source.stop + start] = data[:, source]
    return whole


def _cropped(lines: np.ndarray, n_kept: int) -> np.ndarray:
    """Lines (coil, readout) of the middle of their field of view, ``n_kept`` of their pixels wide."""
    n_full = lines.shape[1]
    profiles = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(lines, -1)), -1)
    first = n_full // 2 - n_kept // 2
    kept = np.fft.ifftshift(profiles[:, first : first + n_kept], -1)
    cropped: np.ndarray = np.fft.fftshift(np.fft.fft(kept), -1).astype(np.complex64)
    # What was not measured has no counterpart: the ends of a late partial echo stay empty.
    places = np.rint((np.arange(n_kept) - n_kept // 2) * (n_full / n_kept)).astype(int) + n_full // 2
    return cropped * lines[:, np.clip(places, 0, n_full - 1)].any(0)


def _quieter(noise: NoiseLevel | None, share: float) -> NoiseLevel | None:
    """Of the noise, what lies within the field of view."""
    return None if noise is None else replace(noise, std=noise.std * math.sqrt(share))
