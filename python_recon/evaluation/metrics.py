"""How far images are from a reference.

Images are magnitudes, (y, x) or (frame, y, x); complex input counts by its magnitude. Nothing is rescaled
behind the caller's back: :func:`match_scale` does that where it is wanted. The *peak* that some scores need
is the largest value of the reference over the whole series, unless it is given. Scores that are defined for
one image are averaged over the frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import convolve

from python_recon.errors import ShapeError
from python_recon.evaluation.phase_congruency import phase_congruency

_LEVELS = 255.0
"""FSIM and GMSD are defined for images of this peak."""


def match_scale(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The magnitude of the images times the one real factor that brings them closest to the truth."""
    given, wanted = _pair(images, truth)
    energy = float((given**2).sum())
    factor = float((given * wanted).sum()) / energy if energy else 0.0
    return np.abs(images) * factor  # type: ignore[no-any-return]


def nrmse(images: np.ndarray, truth: np.ndarray) -> float:
    """Norm of the error over the norm of the truth, over the whole series; 0 is best."""
    images, truth = _pair(images, truth)
    return _ratio(np.linalg.norm(images - truth), np.linalg.norm(truth))


def psnr(images: np.ndarray, truth: np.ndarray, peak: float | None = None) -> float:
    """Peak of the truth over the root-mean-square error of the whole series, in dB; infinite if equal."""
    images, truth = _pair(images, truth)
    error = float(np.sqrt(((images - truth) ** 2).mean()))
    return float(20 * np.log10(_peak(truth, peak) / error)) if error else float("inf")


def ssim(images: np.ndarray, truth: np.ndarray, peak: float | None = None) -> float:
    """Structural similarity (doi 10.1109/TIP.2003.819861), 11 x 11 Gaussian of sigma 1.5; 1 is best.

    Data range: the peak. Frame by frame, averaged.
    """
    from skimage.metrics import structural_similarity

    images, truth = _pair(images, truth)
    data_range = _peak(truth, peak)

    def similarity(image: np.ndarray, reference: np.ndarray) -> float:
        return float(
            structural_similarity(  # type: ignore[no-untyped-call]
                image,
                reference,
                data_range=data_range,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )

    return _mean_over_frames(similarity, images, truth)


def hfen(images: np.ndarray, truth: np.ndarray) -> float:
    """High-frequency error norm: NRMSE of the Laplacian of Gaussian (15 x 15, sigma 1.5); 0 is best.

    Ravishankar and Bresler, doi 10.1109/TMI.2010.2090538.
    """
    images, truth = _pair(images, truth)
    kernel = _laplacian_of_gaussian()[None]
    edges = convolve(truth, kernel, mode="nearest")
    return _ratio(np.linalg.norm(convolve(images, kernel, mode="nearest") - edges), np.linalg.norm(edges))


def gmsd(images: np.ndarray, truth: np.ndarray, peak: float | None = None) -> float:
    """Gradient magnitude similarity deviation (doi 10.1109/TIP.2013.2293423); 0 is best.

    With the peak at 255, frame by frame, averaged.
    """
    return _mean_over_frames(_gmsd, *_to_levels(images, truth, peak))


def fsim(images: np.ndarray, truth: np.ndarray, peak: float | None = None) -> float:
    """Feature similarity of phase congruency and gradient (doi 10.1109/TIP.2011.2109730); 1 is best.

    With the peak at 255, frame by frame, averaged.
    """
    return _mean_over_frames(_fsim, *_to_levels(images, truth, peak))


def time_profiles(series: np.ndarray, *, x: int | None = None, y: int | None = None) -> np.ndarray:
    """A line through every frame: (frame, x) along the row ``y``, or (frame, y) along the column ``x``."""
    if (x is None) == (y is None):
        raise ValueError("give either x or y")
    return np.abs(series[:, y, :] if x is None else series[:, :, x])  # type: ignore[no-any-return]


def _pair(images: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.shape != truth.shape or images.ndim not in (2, 3):
        raise ShapeError(
            f"images have shape {images.shape}, the reference {truth.shape}; expected the same, "
            "(y, x) or (frame, y, x)"
        )
    frames = (-1, *images.shape[-2:])
    return tuple(np.abs(array).astype(np.float64).reshape(frames) for array in (images, truth))  # type: ignore[return-value]


def _ratio(error: np.floating, norm: np.floating) -> float:
    if norm == 0:
        raise ValueError("the reference is zero everywhere: there is nothing to relate the error to")
    return float(error / norm)


def _mean_over_frames(
    metric: Callable[[np.ndarray, np.ndarray], float], images: np.ndarray, truth: np.ndarray
) -> float:
    return float(np.mean([metric(image, reference) for image, reference in zip(images, truth, strict=True)]))


def _peak(truth: np.ndarray, given: float | None) -> float:
    return float(truth.max()) if given is None else given


def _to_levels(images: np.ndarray, truth: np.ndarray, peak: float | None) -> tuple[np.ndarray, np.ndarray]:
    images, truth = _pair(images, truth)
    scale = _LEVELS / _peak(truth, peak)
    return images * scale, truth * scale


def _laplacian_of_gaussian(size: int = 15, sigma: float = 1.5) -> np.ndarray:
    """The kernel with a mean of zero, so that a constant has no edges."""
    axis = np.arange(size) - size // 2
    squared = axis[:, None] ** 2 + axis**2
    gaussian = np.exp(-squared / (2 * sigma**2))
    kernel = gaussian * (squared - 2 * sigma**2) / (sigma**4 * gaussian.sum())
    return kernel - kernel.mean()  # type: ignore[no-any-return]


def _similarity(first: np.ndarray, second: np.ndarray, constant: float) -> np.ndarray:
    return (2 * first * second + constant) / (first**2 + second**2 + constant)  # type: ignore[no-any-return]


def _gradient(image: np.ndarray, across: tuple[float, float, float]) -> np.ndarray:
    """Gradient magnitude: differences along one axis, weights ``across`` the other."""
    kernel = np.outer(across, (1.0, 0.0, -1.0))
    return np.hypot(convolve(image, kernel, mode="constant"), convolve(image, kernel.T, mode="constant"))  # type: ignore[no-any-return]


def _gmsd(image: np.ndarray, reference: np.ndarray) -> float:
    weights = (1 / 3, 1 / 3, 1 / 3)
    first, second = (_gradient(_shrink(array, 2), weights) for array in (image, reference))
    return float(_similarity(first, second, 170.0).std())


def _fsim(image: np.ndarray, reference: np.ndarray) -> float:
    factor = max(1, round(min(image.shape) / 256))
    image, reference = _shrink(image, factor), _shrink(reference, factor)
    weights = (3 / 16, 10 / 16, 3 / 16)
    features = phase_congruency(image), phase_congruency(reference)
    gradients = _gradient(image, weights), _gradient(reference, weights)
    similarity = _similarity(*features, 0.85) * _similarity(*gradients, 160.0)
    weight = np.maximum(*features)
    return float((similarity * weight).sum() / weight.sum()) if weight.any() else 1.0


def _shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Mean of blocks of factor x factor pixels; an incomplete last row or column is left out."""
    rows, columns = (n // factor for n in image.shape)
    blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return blocks.mean(axis=(1, 3))  # type: ignore[no-any-return]
