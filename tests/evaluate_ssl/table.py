"""The published tables beside ours, and what a logarithmic scale of the loss gains or loses."""

from __future__ import annotations

import numpy as np

LOSSES = ("usual", "log", "combined")
COLUMNS = ("SENSE", *(f"{name} {loss}" for name in ("zs_ssl", "zero_mirid") for loss in LOSSES))
PUBLISHED = {
    ("1D", "nrmse"): (13.74, 10.28, 7.58, 7.47, 8.83, 8.84, 8.36),
    ("2D CAIPI", "nrmse"): (11.78, 6.77, 7.64, 7.32, 7.81, 6.66, 7.65),
    ("1D", "ssim"): (0.8585, 0.9154, 0.9477, 0.9485, 0.9302, 0.9496, 0.9465),
    ("2D CAIPI", "ssim"): (0.7896, 0.9288, 0.9472, 0.9470, 0.9421, 0.9485, 0.9508),
    ("1D", "hfen"): (0.1571, 0.1185, 0.0765, 0.0700, 0.0843, 0.1017, 0.0879),
    ("2D CAIPI", "hfen"): (0.1107, 0.0731, 0.0994, 0.0882, 0.0885, 0.0882, 0.0836),
}
"""Cho, Diagnostics 15:2993, 2025: another object and other undersampling; one image each."""
MEASURES = {
    "nrmse": "NRMSE %",
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "fsim": "FSIM",
    "hfen": "HFEN",
    "gmsd": "GMSD",
}
FALLS = ("nrmse", "hfen", "gmsd")


def table(done: dict[str, dict]) -> str:
    """Markdown."""
    parts = [_still(done, kind) for kind in ("1D", "2D CAIPI")]
    return "\n".join([*parts, _radial(done), _truth_of_the_log(done)])


def values(done: dict[str, dict], kind: str, label: str, measure: str) -> np.ndarray:
    """(seed,) of a method; empty where it was not measured."""
    found = [row[measure] for key, row in done.items() if key.split("|")[:2] == [kind, label]]
    return np.array([value * (100 if measure == "nrmse" else 1) for value in found if value is not None])


def _cell(found: np.ndarray, measure: str) -> str:
    digits = 2 if measure in ("nrmse", "psnr") else 4
    return f"{found.mean():.{digits}f}" if found.size else "–"


def _still(done: dict[str, dict], kind: str) -> str:
    columns = ("SENSE", "subspace", *COLUMNS[1:])
    lines = [f"### {kind}", "", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for measure, name in {**MEASURES, "lpips": "LPIPS", "seconds": "seconds"}.items():
        found = [values(done, kind, column, measure) for column in columns]
        if any(each.size for each in found):
            lines.append(f"| {name} | {' | '.join(_cell(each, measure) for each in found)} |")
        if (kind, measure) in PUBLISHED:
            published = PUBLISHED[kind, measure]
            cells = (published[0], "–", *published[1:])
            lines.append(f"| *{name}, published* | {' | '.join(map(str, cells))} |")
    n_seeds = len(values(done, kind, "SENSE", "psnr"))
    return "\n".join([*lines, "", f"Means over {n_seeds} scene(s).", ""])


def _radial(done: dict[str, dict]) -> str:
    labels = dict.fromkeys(key.split("|")[1] for key in done if key.startswith("radial cine|"))
    lines = ["### Radial cine", "", f"| | {' | '.join(MEASURES.values())} | seconds |", "|---" * 8 + "|"]
    for label in labels:
        cells = [_cell(values(done, "radial cine", label, m), m) for m in (*MEASURES, "seconds")]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _truth_of_the_log(done: dict[str, dict]) -> str:
    """In how many scenes each scaled loss is better than the usual one, by every measure."""
    lines = [
        "### Where the log helps",
        "",
        f"| than usual | {' | '.join(MEASURES.values())} |",
        "|---" * 7 + "|",
    ]
    for kind in ("1D", "2D CAIPI"):
        for name in ("zs_ssl", "zero_mirid"):
            for loss in LOSSES[1:]:
                cells = [_better(done, kind, name, loss, measure) for measure in MEASURES]
                lines.append(f"| {kind}, {name} {loss} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Scenes in which the loss gave the better image.", ""])


def _better(done: dict[str, dict], kind: str, name: str, loss: str, measure: str) -> str:
    ours, usual = (values(done, kind, f"{name} {each}", measure) for each in (loss, "usual"))
    n_scenes = min(len(ours), len(usual))
    gained = (usual[:n_scenes] - ours[:n_scenes]) * (1 if measure in FALLS else -1)
    return f"{(gained > 0).sum()} of {n_scenes}"
