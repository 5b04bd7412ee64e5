"""Phase congruency of an image: 1 where the Fourier components agree in phase, as they do at features.

Kovesi, "Image features from phase congruency" (Videre 1(3), 1999), with the settings of FSIM (Zhang et al.,
doi 10.1109/TIP.2011.2109730).
"""

from __future__ import annotations

import numpy as np

_SCALES = 4
_ORIENTATIONS = 4
_SHORTEST_WAVE = 6.0
"""Wavelength of the finest scale, pixels; it doubles from scale to scale."""
_BANDWIDTH = 0.55
"""Spread of the log-Gabor filters over their centre frequency."""
_ANGULAR_SPREAD = np.pi / _ORIENTATIONS / 1.2
_NOISE_DEVIATIONS = 2.0
_NOISE_RESCALE = 1.7
"""Empirical correction of the noise threshold."""
_EPSILON = 1e-4


def phase_congruency(image: np.ndarray) -> np.ndarray:
    """Phase congruency of an image (y, x), 0..1, of the same shape."""
    spectrum = np.fft.fft2(image)
    radial, angular = _radial_filters(image.shape), _angular_filters(image.shape)
    energy, amplitude = np.zeros(image.shape), np.zeros(image.shape)
    for direction in angular:
        filters = radial * direction
        responses = np.fft.ifft2(spectrum * filters)
        energy += _energy_above_noise(responses, filters)
        amplitude += np.abs(responses).sum(axis=0)
    return energy / (amplitude + _EPSILON)  # type: ignore[no-any-return]


def _frequencies(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]


def _radial_filters(shape: tuple[int, ...]) -> np.ndarray:
    """(scale, y, x) log-Gabor filters, cut off smoothly before the corners of k-space."""
    radius = np.hypot(*_frequencies(shape))
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1.0
    centres = 1 / (_SHORTEST_WAVE * 2.0 ** np.arange(_SCALES))
    filters = (
        np.exp(-(np.log(radius / centres[:, None, None]) ** 2) / (2 * np.log(_BANDWIDTH) ** 2)) * low_pass
    )
    filters[:, 0, 0] = 0.0
    return filters  # type: ignore[no-any-return]


def _angular_filters(shape: tuple[int, ...]) -> np.ndarray:
    """(orientation, y, x) one-sided Gaussians of the angle: their responses are analytic signals."""
    fy, fx = _frequencies(shape)
    angle = np.arctan2(-fy, fx)
    directions = np.arange(_ORIENTATIONS)[:, None, None] * np.pi / _ORIENTATIONS
    distance = np.abs(np.angle(np.exp(1j * (angle - directions))))
    return np.exp(-(distance**2) / (2 * _ANGULAR_SPREAD**2))  # type: ignore[no-any-return]


def _energy_above_noise(responses: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Local energy of one orientation, what noise explains taken off, not below 0."""
    total = responses.sum(axis=0)
    direction = total / (np.abs(total) + _EPSILON)
    aligned = responses * direction.conj()
    energy = (aligned.real - np.abs(aligned.imag)).sum(axis=0)
    return np.maximum(energy - _noise_threshold(responses[0], filters), 0.0)  # type: ignore[no-any-return]


def _noise_threshold(finest: np.ndarray, filters: np.ndarray) -> float:
    """Mean and deviations of the energy that noise alone would have, judged by the finest scale.

    The squared amplitude of noise is exponentially distributed, so its mean is its median over log 2; the
    energy is then Rayleigh distributed. Filters overlap, so their impulse responses are correlated.
    """
    power = np.median(np.abs(finest) ** 2) / np.log(2) / (filters[0] ** 2).sum()
    impulses = np.fft.ifft2(filters).real * np.sqrt(filters[0].size)
    gram = np.tensordot(impulses, impulses, axes=((1, 2), (1, 2)))
    squared = 2 * power * np.trace(gram) + 4 * power * np.triu(gram, 1).sum()
    tau = np.sqrt(squared / 2)
    threshold = tau * (np.sqrt(np.pi / 2) + _NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2))
    return float(threshold / _NOISE_RESCALE)
