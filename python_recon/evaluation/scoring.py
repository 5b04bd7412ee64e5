"""How near the images of a method are to the truth, under a stated normalisation.

============== ===================================================================================
least_squares  one real factor brings the series closest to the truth; NRMSE and PSNR of the whole
               series; the peak is the largest value of the truth
percentile     as published with PISCO (doi 10.1016/j.media.2025.103890): the series and the truth
               are each clipped at their 99th percentile and stretched to 0..1, and the central half
               of the matrix is scored; NRMSE and PSNR frame by frame, averaged; the peak is 1
============== ===================================================================================

The same scores of time profiles tell how well motion is followed. A single line would decide by where it
happens to lie, so all lines of a band across the moving region count: an eighth of the image on either axis.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from python_recon.evaluation import metrics, perceptual
from python_recon.evaluation.liveliest import liveliest_point
from python_recon.evaluation.sharpness import edge_widths

Normalisation: TypeAlias = Literal["least_squares", "percentile"]

_CLIP_PERCENTILE = 99.0
_BAND_SHARE = 1 / 8
"""Width of the band of time profiles, as a share of the image."""


def truth_scores(
    images: np.ndarray, truth: np.ndarray, normalisation: Normalisation = "least_squares"
) -> dict[str, float]:
    """Scores by name: nrmse, psnr (dB), ssim, fsim, hfen, gmsd, and psnr and fsim of x-t and y-t profiles.

    ``psnr_profiles`` is the mean of the PSNR of both kinds of profiles; smearing over time costs it most.
    ``edge_width`` is that of moving edges in frames, ``edge_widening`` what it is more than that of the truth
    (see :func:`~python_recon.evaluation.sharpness.edge_widths`); both are there only where something moves.
    ``lpips`` is there as well where the package and its weights are.

    Parameters
    ----------
    images, truth
        (frame, y, x) of one shape, complex or magnitude.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If the truth is zero everywhere.
    """
    if normalisation == "percentile":
        images, truth = _central_half(_stretched(images)), _central_half(_stretched(truth))
        peak = 1.0
        pairs = list(zip(images, truth, strict=True))
        nrmse = float(np.mean([metrics.nrmse(*pair) for pair in pairs]))
        psnr = float(np.mean([metrics.psnr(*pair, peak) for pair in pairs]))
    else:
        images, truth = metrics.match_scale(images, truth), np.abs(truth)
        peak = float(truth.max())
        nrmse, psnr = metrics.nrmse(images, truth), metrics.psnr(images, truth, peak)
    found = {
        "nrmse": nrmse,
        "psnr": psnr,
        "ssim": metrics.ssim(images, truth, peak),
        "fsim": metrics.fsim(images, truth, peak),
        "hfen": metrics.hfen(images, truth),
        "gmsd": metrics.gmsd(images, truth, peak),
    }
    lpips = perceptual.distance(images / peak, truth / peak)
    return found | ({} if lpips is None else {"lpips": lpips}) | _profile_scores(images, truth, peak)


def _profile_scores(images: np.ndarray, truth: np.ndarray, peak: float) -> dict[str, float]:
    """PSNR and FSIM of the profiles: each line over time is a picture, and the pictures are averaged."""
    y, x = liveliest_point(truth)
    rows, columns = _band(y, truth.shape[1]), _band(x, truth.shape[2])
    found = {}
    for name, lines in (
        ("xt", [series[:, rows].swapaxes(0, 1) for series in (images, truth)]),
        ("yt", [series[:, :, columns].transpose(2, 0, 1) for series in (images, truth)]),
    ):
        found[f"psnr_{name}"] = metrics.psnr(lines[0], lines[1], peak)
        found[f"fsim_{name}"] = metrics.fsim(lines[0], lines[1], peak)
    found["psnr_profiles"] = (found["psnr_xt"] + found["psnr_yt"]) / 2
    both = (series[:, rows, columns].reshape(len(series), -1).T for series in (images, truth))
    widths = edge_widths(*both)
    edges = {} if widths is None else {"edge_width": widths.images, "edge_widening": widths.widening}
    return found | edges


def _band(centre: int, size: int) -> slice:
    half = round(size * _BAND_SHARE / 2)
    return slice(max(0, centre - half), centre + half + 1)


def _stretched(series: np.ndarray) -> np.ndarray:
    """The magnitude, clipped at its 99th percentile, from 0 to 1; zeros where it is constant."""
    magnitude = np.abs(series)
    magnitude = np.minimum(magnitude, np.percentile(magnitude, _CLIP_PERCENTILE))
    low, high = magnitude.min(), magnitude.max()
    return (magnitude - low) / (high - low or 1)  # type: ignore[no-any-return]


def _central_half(series: np.ndarray) -> np.ndarray:
    rows, columns = (slice(n // 2 - n // 4, n // 2 - n // 4 + n // 2) for n in series.shape[1:])
    return series[:, rows, columns]
