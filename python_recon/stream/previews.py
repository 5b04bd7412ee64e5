"""Previews: images of single frames, at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from python_recon.acquisition.binning.binning import stack_frames
from python_recon.acquisition.coil_compression import apply_compression, compression_matrix
from python_recon.acquisition.field_of_view import narrow
from python_recon.coil_maps import estimate
from python_recon.config import Config
from python_recon.data import PREVIEW_SERIES, CoilMaps, ImageSeries, KSpace
from python_recon.operators.density import fill_density
from python_recon.resources.parallel import one_thread
from python_recon.resources.scan_context import PREVIEW_SKIPPED, tally, timed, working_on
from python_recon.resources.schedule import Budget
from python_recon.stream.arrivals import Arrivals
from python_recon.stream.slice_fit import labelled
from python_recon.stream.slice_queue import SliceKey, raise_failures

_log = logging.getLogger(__name__)


class Previews:
    """Those of all slices of a scan.

    Where data come at the pace of a scanner, previews keep up with it: frames that are older than
    ``preview_deadline_s`` when their turn comes are left out, so that the next one shown is the newest. An
    iterative preview ends at that age.

    Parameters
    ----------
    arrivals
        Tells how old a frame is.
    may_skip
        Whether other images of the frames follow.
    """

    def __init__(self, config: Config, arrivals: Arrivals, *, may_skip: bool) -> None:
        self._config, self._arrivals, self._may_skip = config, arrivals, may_skip
        self._slices: dict[SliceKey, Preview] = {}
        self.n_skipped = 0

    def show(self, frame: KSpace) -> Iterator[ImageSeries]:
        """The frame's image; nothing where it is too late for it, where it fails or where none is wanted."""
        if self._config.preview == "none":
            return
        if self._may_skip and self._arrivals.age_s > self._config.preview_deadline_s:
            self.n_skipped += 1
            tally(PREVIEW_SKIPPED)
            return
        key = SliceKey.of(frame)
        preview = self._slices.setdefault(key, Preview(self._config))
        with timed("previews"), working_on(slice=str(key), method=self._config.preview), one_thread():
            series = preview.of(frame, self._budget())
        if series is not None:
            yield replace(series, details={**series.details, "previews_skipped": self.n_skipped})

    def conclude(self) -> None:
        """To be called after the last frame.

        Raises
        ------
        ReconError
            Where no other images follow and slices had no preview.
        """
        if self.n_skipped:
            _log.warning("%d previews were left out to keep up with the scan", self.n_skipped)
        if self._may_skip:
            return
        failures = {key: each.last_error for key, each in self._slices.items() if not each.n_shown}
        raise_failures({key: error for key, error in failures.items() if error}, len(self._slices))

    def _budget(self) -> Budget:
        if not self._arrivals.is_live:
            return Budget(self._config.max_recon_seconds)
        return Budget(self._config.preview_deadline_s)


class Preview:
    """Images of single frames of one slice, at once.

    Virtual coils are chosen by the first frame. The coil maps come from the frames so far, anew whenever
    their number has doubled: rough at first, and soon good, at a cost that does not grow.
    """

    _FRAMES_FOR_MAPS = 16

    def __init__(self, config: Config) -> None:
        coils = config.coils.model_copy(update={"maps": "low_resolution"})
        self._config = config.model_copy(update={"coils": coils})
        self._recent: list[KSpace] = []
        self._matrix: np.ndarray | None = None
        self._maps: CoilMaps | None = None
        self.n_shown = 0
        self.last_error: Exception | None = None

    def of(self, frame: KSpace, budget: Budget) -> ImageSeries | None:
        """The frame's image; None, and a line in the log, where it cannot be made."""
        from python_recon.stream.ladder import SURVIVABLE

        try:
            series = self._image(frame, budget)
        except SURVIVABLE as error:
            self.last_error = error.with_traceback(None)  # which would keep the memory of what failed
            _log.warning("no preview of frame %d: %s", frame.first_frame, str(error))
            return None
        self.n_shown += 1
        return series

    def _image(self, frame: KSpace, budget: Budget) -> ImageSeries:
        from python_recon.resources.device import computer, set_up
        from python_recon.stream.ladder import climb_down

        started = time.monotonic()
        config = self._config
        if self._matrix is None:
            self._matrix = compression_matrix(frame, config.coils)
        frame = apply_compression(frame, self._matrix)
        maps = self._current_maps(frame)
        prepared = fill_density(frame, config.density, budget.share(0.25)).to_torch(set_up(config))
        outcome = climb_down(prepared, maps, config.preview, {}, budget)
        series = ImageSeries(
            narrow(outcome.reconstruction.images.cpu().numpy(), frame.image_matrix or frame.matrix),
            outcome.method,
            PREVIEW_SERIES,
            comment=outcome.comment,
            details={"seconds_method": time.monotonic() - started, **computer()},
        )
        return labelled(series, frame)

    def _current_maps(self, frame: KSpace) -> CoilMaps:
        self._recent = [*self._recent, frame][-self._FRAMES_FOR_MAPS :]
        count = len(self._recent)
        if self._maps is None or (count < self._FRAMES_FOR_MAPS and count & (count - 1) == 0):
            self._maps = estimate(stack_frames(self._recent).to_torch(), self._config.coils)
        return self._maps
