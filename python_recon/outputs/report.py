"""One HTML page that holds a whole reconstruction: images, maps, curves, times, settings. Opens offline."""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader

from python_recon.data import ImageSeries
from python_recon.evaluation.liveliest import liveliest_point, quietest
from python_recon.outputs import curves
from python_recon.outputs.coil_pictures import coil_pictures
from python_recon.outputs.effort import memory_rows, milestone_rows, stage_rows
from python_recon.outputs.grey import display_size, window_of
from python_recon.outputs.notice import NOTICE
from python_recon.outputs.orientation import as_on_screen, edge_letters, is_oriented
from python_recon.outputs.pixels import FULL_SCALE, finite_magnitude
from python_recon.outputs.series import evenly_taken, frame_interval_s, join_series, title
from python_recon.resources.new_files import new_file

PIXEL_BUDGET_BYTES = 32 * 2**20
"""Pixels of all series together, before base64: longer series are shown with fewer frames."""

_PACKAGES = ("gadgetron-pisco", "numpy", "scipy", "finufft", "torch", "ismrmrd", "gadgetron")


def write_report(
    path: Path,
    series: Sequence[ImageSeries],
    *,
    scan: Mapping[str, str],
    config: Mapping[str, Any],
    warnings: Sequence[str],
    milestones: Mapping[str, float],
    coil_maps: Sequence[ImageSeries] = (),
) -> Path:
    """Write the report; it needs no network and no other file.

    Parameters
    ----------
    path
        The HTML file. It is overwritten.
    series
        Whole series or pieces of them, in any order.
    scan
        Facts about the measurement, by the name a reader should see; ``Protocol`` becomes the heading.
    config
        The configuration that ran, shown as YAML.
    warnings
        What the reader must know before looking at the images.
    milestones
        What was reached when, in seconds from the start.
    coil_maps
        One series a slice, whose frames are the coils.
    """
    joined = sorted(join_series(series), key=_slice_first)
    page = _template().render(
        heading=scan.get("Protocol") or "Radial reconstruction",
        created=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"),
        warnings=warnings,
        remarks=_remarks_on(joined),
        notice=NOTICE,
        scan=scan,
        coil_maps=coil_pictures(coil_maps),
        milestones=milestone_rows(milestones),
        versions=_versions(),
        config=yaml.safe_dump(json.loads(json.dumps(config, default=str)), sort_keys=False),
        **_shown(joined),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        part.write_text(page, encoding="utf-8")
    return path


def _shown(joined: Sequence[ImageSeries]) -> dict[str, Any]:
    """What the page shows of the series."""
    budget = PIXEL_BUDGET_BYTES // max(1, len(joined))
    return {
        "viewers": [
            _viewer(each, budget, point) for each, point in zip(joined, _points(joined), strict=True)
        ],
        "fits": [fit for each in joined if (fit := _fit(each))],
        "plot": curves,
        "stages": stage_rows(joined),
        "memory": memory_rows(joined),
    }


def _points(joined: Sequence[ImageSeries]) -> list[tuple[int, int]]:
    """Where the lines of each series cross: equal series share what the least noisy of them shows."""
    groups: dict[tuple[int, ...], list[np.ndarray]] = {}
    turned = [as_on_screen(each).images for each in joined]
    keys = [(each.counters.slice, *images.shape) for each, images in zip(joined, turned, strict=True)]
    for key, images in zip(keys, turned, strict=True):
        groups.setdefault(key, []).append(images)
    points = {key: liveliest_point(group[quietest(group)]) for key, group in groups.items()}
    return [points[key] for key in keys]


def _remarks_on(joined: Sequence[ImageSeries]) -> list[str]:
    """What the series say of themselves, each remark once, with the series that it is about."""
    titles: dict[str, list[str]] = {}
    for series in joined:
        if series.comment:
            titles.setdefault(series.comment, []).append(title(series))
    return [f"{', '.join(dict.fromkeys(names))}: {remark}" for remark, names in titles.items()]


def _slice_first(series: ImageSeries) -> tuple[int, ...]:
    """So that the preview and the method's images of a slice stand side by side."""
    counters = series.counters
    return counters.slice, counters.contrast, counters.set, series.series_index


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("python_recon.outputs"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")


def _fit(series: ImageSeries) -> dict[str, Any] | None:
    """The curves of a fit and why it ended; None for methods that are none."""
    charts = curves.charts_of(series)
    told = {key: series.details[key] for key in ("stopped", "steps", "best_step") if key in series.details}
    shares = [float(share) for share in np.ravel(series.details.get("shares", ()))]
    if shares:
        told["network's share"] = f"{100 * fmean(shares):.2g} %"
    words = ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in told.items())
    return {"title": title(series), "charts": charts, "told": words} if charts else None


def _viewer(measured: ImageSeries, budget_bytes: int, point: tuple[int, int]) -> dict[str, Any]:
    series = as_on_screen(measured)
    height, width = series.images.shape[1:]
    shown = evenly_taken(series.n_frames, max(1, budget_bytes // (2 * height * width)))
    pixels, unit = quantise(series.images[shown])
    size_y, size_x = display_size(series, 256)
    return {
        "title": title(series),
        "series_index": series.series_index,
        "comment": series.comment,
        "n_frames": len(shown),
        "ratio": round(size_x / size_y, 4),
        "edges": edge_letters(series),
        "is_oriented": is_oriented(series),
        "facts": _facts(series, len(shown)) | _place(measured) | _flat(series.details),
        "numbers": _numbers(series, shown, unit, point),
        "pixels": base64.b64encode(pixels.astype("<u2").tobytes()).decode("ascii"),
    }


def quantise(images: np.ndarray) -> tuple[np.ndarray, float]:
    """Magnitude as uint16 and the magnitude of one step; the brightest finite voxel is 65535."""
    magnitude = finite_magnitude(images)
    unit = float(magnitude.max(initial=0.0)) / FULL_SCALE or 1.0
    return np.round(magnitude / unit).astype(np.uint16), unit


def _numbers(series: ImageSeries, shown: np.ndarray, unit: float, point: tuple[int, int]) -> dict[str, Any]:
    """What the script of the page needs to draw a series; lengths in pixels, magnitudes in steps."""
    height, width = series.images.shape[1:]
    window = window_of(series.images)
    y, x = point
    interval_s = (frame_interval_s(series) or 0.1) * (series.n_frames / len(shown))
    return {
        "frames": len(shown),
        "height": height,
        "width": width,
        "y": y,
        "x": x,
        "unit": unit,
        "window": {"level": window.centre / unit, "width": window.width / unit},
        "interval_ms": float(np.clip(interval_s * 1000, 20, 2000)),
        "times": _times(series, shown),
        "numbers": (shown + series.first_frame).tolist(),
    }


def _times(series: ImageSeries, shown: np.ndarray) -> list[float] | None:
    # JSON has no word for what is not a number, so times are given only if all are known.
    if series.times_s is None or not np.isfinite(series.times_s).all():
        return None
    return [float(time) for time in series.times_s[shown] - series.times_s[0]]


def _facts(series: ImageSeries, n_shown: int) -> dict[str, str]:
    height, width = series.images.shape[1:]
    facts = {"Frames": str(series.n_frames), "Matrix (x × y)": f"{width} × {height}"}
    if n_shown < series.n_frames:
        facts["Frames"] += f", {n_shown} of them shown here, evenly taken, to keep this file small"
    size_x, size_y, size_z = series.geometry.field_of_view_mm
    if size_x > 0 and size_y > 0:
        facts["Field of view"] = f"{size_x:.4g} × {size_y:.4g} × {size_z:.4g} mm"
        facts["Pixel"] = f"{size_x / width:.3g} × {size_y / height:.3g} mm"
    interval_s = frame_interval_s(series)
    if interval_s is not None:
        facts["Time between frames"] = f"{interval_s * 1000:.4g} ms"
    return facts


def _place(series: ImageSeries) -> dict[str, str]:
    if not is_oriented(series):
        return {"Orientation": "unknown"}
    position = ", ".join(f"{value:.4g}" for value in series.geometry.position_mm)
    return {"Position (L, P, S)": f"{position} mm"}


def _flat(details: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in details.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}: ")
        elif np.size(value) <= 8:
            flat[name] = _short(value)
        else:
            flat[name] = f"{np.size(value)} values, last {_short(np.ravel(value)[-1])}"
    return flat


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "System": platform.platform()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
