"""Readouts of the phantom as gadgets deliver them, with a noise scan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.data import Counters, Geometry, Readout, Scan
from python_recon.phantom import HeartPhantom

MATRIX, COILS, SPOKES, FRAMES = 48, 4, 13, 5
NOISE = 0.02
SCAN = Scan(
    matrix=(MATRIX, MATRIX),
    encoded_matrix=(MATRIX, MATRIX),
    field_of_view_mm=(300.0, 300.0, 8.0),
    encoded_field_of_view_mm=(300.0, 300.0, 8.0),
    trajectory_kind="goldenangle",
    limits={"kspace_encode_step_1": SPOKES - 1, "repetition": FRAMES - 1},
    measurement_id="test_1",
)


def readouts(slices=(0,), seed=0) -> Iterator[Readout]:
    """A noise scan and a golden-angle scan of the phantom, interleaved over slices."""
    rng = np.random.default_rng(seed)

    def noise(count: int) -> np.ndarray:
        parts = rng.standard_normal((2, COILS, count))
        return (NOISE * (parts[0] + 1j * parts[1])).astype(np.complex64)

    yield from (Readout(noise(256), is_noise=True, sample_time_us=5.0) for _ in range(4))
    phantom = HeartPhantom(n_coils=COILS)
    radius = np.arange(-MATRIX, MATRIX) / 2
    for number in range(FRAMES * SPOKES):
        angle = np.deg2rad(number * GOLDEN_ANGLE_DEG + 180)
        spoke = radius[:, None] * np.array([np.cos(angle), np.sin(angle)])
        signal = phantom.kspace(spoke[None], np.array([0.003 * number]))[:, 0] * MATRIX
        for index in slices:
            yield Readout(
                data=signal.astype(np.complex64) + noise(2 * MATRIX),
                counters=Counters(
                    kspace_encode_step_1=number % SPOKES, repetition=number // SPOKES, slice=index
                ),
                geometry=Geometry(position_mm=(0.0, 0.0, 10.0 * index), field_of_view_mm=(300.0, 300.0, 8.0)),
                center_sample=MATRIX,
                sample_time_us=5.0,
                time_s=1.0 + 0.003 * number,
                physiology_s=(0.1 + 0.003 * number, 0.0, 0.0),
                scan_counter=number,
            )
