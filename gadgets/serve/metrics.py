"""What the daemon counts, in the text format of Prometheus.

Format: https://prometheus.io/docs/instrumenting/exposition_formats (version 0.0.4).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    "gadgetron_reconstruction_start_total": "Scans that were begun.",
    "gadgetron_reconstruction_finish_total": "Scans that ended, with images or an error.",
    "gadgetron_pisco_readouts_total": "Readouts and waveforms received.",
    "gadgetron_pisco_frames_total": "Images sent.",
    "gadgetron_pisco_previews_skipped_total": "Previews left out to keep up with the scan.",
}
_CAPTURES = "gadgetron_pisco_captures_total"
_FAILURES = "gadgetron_pisco_failures_total"
_IMAGES = "gadgetron_pisco_images_total"
_SECONDS = "gadgetron_pisco_stage_seconds_total"
_LABELLED = {
    _CAPTURES: (("outcome",), "Captures of scans: those kept, and those that were not, by the reason."),
    _FAILURES: (("kind",), "Scans and connections that failed, by kind."),
    _IMAGES: (("method", "asked"), "Images, by the method that made them (the rung) and the one asked for."),
    _SECONDS: (("stage",), "Time of scans by stage; stages overlap."),
}
"""Labels and meaning."""
_LATENCY = "gadgetron_pisco_latency_seconds"
_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """Counters and one histogram; most gauges are given when the text is asked for."""

    gpu_peak_bytes: int = 0
    """Of the last scan."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._labelled: dict[str, defaultdict[tuple[str, ...], float]] = {
            name: defaultdict(float) for name in _LABELLED
        }
        self._latencies = [0] * (len(_BOUNDS_S) + 1)
        self._latency_sum_s = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """A scan begins."""
        self._add("gadgetron_reconstruction_start_total", 1)

    def finish(self) -> None:
        """A scan has ended."""
        self._add("gadgetron_reconstruction_finish_total", 1)

    def add_readouts(self, count: int) -> None:
        self._add("gadgetron_pisco_readouts_total", count)

    def add_frame(self) -> None:
        self._add("gadgetron_pisco_frames_total", 1)

    def add_skipped_previews(self, count: int) -> None:
        self._add("gadgetron_pisco_previews_skipped_total", count)

    def add_capture(self, outcome: str) -> None:
        """A scan was kept, or why it was not; a :class:`~gadgets.capture.recorder.CaptureOutcome`."""
        self._add_labelled(_CAPTURES, (outcome,), 1)

    def fail(self, kind: str) -> None:
        """A scan, or a connection, came to nothing."""
        self._add_labelled(_FAILURES, (kind,), 1)

    def add_images(self, made: str, asked: str, count: int) -> None:
        """Images of a scan: the method that made them, and the one that was asked for."""
        self._add_labelled(_IMAGES, (made, asked), count)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """What a stage of a scan took."""
        self._add_labelled(_SECONDS, (stage,), seconds)

    def observe_latency(self, seconds: float) -> None:
        """Time from the last readout to the last image."""
        bucket = sum(seconds > bound for bound in _BOUNDS_S)
        with self._lock:
            self._latencies[bucket] += 1
            self._latency_sum_s += seconds

    def _add(self, name: str, count: int) -> None:
        with self._lock:
            self._counts[name] += count

    def _add_labelled(self, name: str, labels: tuple[str, ...], amount: float) -> None:
        with self._lock:
            self._labelled[name][labels] += amount

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Everything; a gauge has a help text and a value."""
        with self._lock:
            lines = [*self._counter_lines(), *self._latency_lines()]
        for name, (meaning, value) in gauges.items():
            lines += [*_heading(name, "gauge", meaning), f"{name} {value:.17g}"]
        return "\n".join(lines) + "\n"

    def _counter_lines(self) -> Iterator[str]:
        for name, meaning in _COUNTERS.items():
            yield from _heading(name, "counter", meaning)
            yield f"{name} {self._counts[name]}"
        for name, (labels, meaning) in _LABELLED.items():
            yield from _heading(name, "counter", meaning)
            for values, amount in sorted(self._labelled[name].items()):
                pairs = ",".join(
                    f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True)
                )
                yield f"{name}{{{pairs}}} {amount:.17g}"

    def _latency_lines(self) -> Iterator[str]:
        yield from _heading(_LATENCY, "histogram", "Time from the last readout to the last image.")
        total = 0
        for bound, count in zip((*_BOUNDS_S, "+Inf"), self._latencies, strict=True):
            total += count
            yield f'{_LATENCY}_bucket{{le="{bound}"}} {total}'
        yield f"{_LATENCY}_sum {self._latency_sum_s:.6f}"
        yield f"{_LATENCY}_count {total}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _heading(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
