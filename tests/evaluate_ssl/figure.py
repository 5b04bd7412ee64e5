"""One figure: images and their errors, a row for each kind of undersampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from python_recon.evaluation.metrics import match_scale
from tests.evaluate_ssl.table import COLUMNS

_AMPLIFIED = 5


def draw(folder: Path, truths: dict[str, np.ndarray]) -> None:
    """``ssl.png`` of the images that lie in the folder."""
    from matplotlib.figure import Figure

    columns = ["truth", *(c for c in ("SENSE", "subspace", *COLUMNS[1:]) if _is_there(folder, truths, c))]
    figure = Figure((2.0 * len(columns), 4.0 * len(truths)), layout="constrained")
    axes = figure.subplots(2 * len(truths), len(columns))
    for row, (kind, truth) in enumerate(truths.items()):
        wanted = np.abs(truth)
        for column, label in enumerate(columns):
            path = folder / f"{kind}, {label}.npy"
            image = wanted if label == "truth" else match_scale(np.load(path), wanted)
            error = _AMPLIFIED * np.abs(image - wanted)
            for shown, axis in zip((image, error), axes[2 * row : 2 * row + 2, column], strict=True):
                axis.imshow(shown, cmap="gray", vmin=0, vmax=wanted.max())
                axis.set_axis_off()
            axes[2 * row, column].set_title(f"{kind}\n{label}" if column == 0 else label, fontsize=9)
    figure.savefig(folder / "ssl.png", dpi=100)


def _is_there(folder: Path, kinds: dict[str, np.ndarray], label: str) -> bool:
    return all((folder / f"{kind}, {label}.npy").exists() for kind in kinds)
