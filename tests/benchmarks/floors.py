"""Operations and bytes that the algorithms need at least, counted from their sizes.

FFTs count 5 n log2 n, everything else its multiplications and additions. Bytes are those of the inputs and
outputs, each touched once: what a perfect cache would move.
"""

from __future__ import annotations

from tests.benchmarks.machine import Floor, fft_flop
from tests.benchmarks.scene import MATRIX, N_COILS, Scene

_PIXELS = MATRIX**2
_COMPLEX = 8
"""Bytes of a complex64, and about the operations of a complex multiplication and addition."""
_OVERSAMPLED = 240
"""Matrix of the least oversampled grid in use, 1.25."""
_TAPS = 16
"""Of a kernel that is 4 wide; real, so 4 operations each."""


def nufft(scene: Scene) -> Floor:
    """One transform of all frames and coils: FFT on a grid of 1.25, interpolation."""
    transforms = scene.n_frames * N_COILS
    points = _OVERSAMPLED * 2 * fft_flop(_OVERSAMPLED)
    arithmetic = _TAPS * 4 * scene.n_points + 2 * _PIXELS
    return Floor(points, arithmetic, _COMPLEX * (scene.n_points + _PIXELS)) * transforms


def sense_normal(n_images: int) -> Floor:
    """Toeplitz normal operator of some images, all coils.

    Rows and columns that are padding or are cut off are not transformed: 3 N FFTs of length 2 N each way.
    """
    ffts = 2 * 3 * MATRIX * fft_flop(2 * MATRIX)
    products = (6 + _COMPLEX) * _PIXELS + 2 * 4 * _PIXELS
    per_image = 2 * _COMPLEX * _PIXELS + 4 * 4 * _PIXELS
    return Floor(ffts, products) * (n_images * N_COILS) + Floor(moved_bytes=per_image) * n_images


def sense_setup(scene: Scene) -> Floor:
    """Right side, and point-spread functions with their spectra."""
    kernel = Floor(2 * 2 * MATRIX * fft_flop(2 * MATRIX), _TAPS * 4 * scene.n_points)
    return nufft(scene) + kernel * scene.n_frames


def cg_sense(scene: Scene, iterations: int) -> Floor:
    """Set-up and one normal operator an iteration."""
    return sense_setup(scene) + sense_normal(scene.n_frames) * iterations


def grasp(scene: Scene, iterations: int) -> Floor:
    """Set-up, the time average, and in each iteration a normal operator and soft thresholds of differences.

    The proximal map cannot do with less than one solve of the frames' dense system for each pixel.
    """
    proximal = Floor(other_flop=2 * 2 * scene.n_frames**2 * _PIXELS)
    steps = sense_normal(scene.n_frames) + proximal
    return sense_setup(scene) + nufft(scene) + steps * iterations


def subspace(scene: Scene, iterations: int, components: int) -> Floor:
    """Set-up, and in each iteration the FFTs of the components and their mixing in k-space."""
    components = min(components, scene.n_frames)
    mixing = Floor(other_flop=4 * components**2 * 4 * _PIXELS)
    steps = sense_normal(components) + mixing * N_COILS
    return sense_setup(scene) + steps * iterations


LOW_RESOLUTION = Floor(other_flop=0.2e9)
"""As counted in ``python_recon.coil_maps.low_resolution``."""
NLINV = Floor(fft_flop=3e9, other_flop=3e9)
"""As counted in ``python_recon.coil_maps.nlinv``."""
