"""Volumes of a point in the patient, as readouts; its Fourier transform is a plane wave."""

from __future__ import annotations

import itertools

import numpy as np

from python_recon.data import Counters, Geometry, Readout, Scan

FOV_MM = (160.0, 160.0, 48.0)
N, PARTITIONS, SPOKES = 16, 8, 24
CENTRE_MM = (12.0, -20.0, 35.0)
GOLDEN_DEG = 111.246117975
PLANES = {
    "transverse": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
    "oblique": ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8), (0.48, -0.64, 0.6)),
}
"""Read, phase and slice direction (LPS)."""


def header(kind="radial", **changes):
    """Of a volume; lines have twice as many samples over twice the field of view."""
    is_grid = kind == "cartesian"
    known = {
        "matrix": (N, N),
        "encoded_matrix": (N, 2 * N if is_grid else N),
        "field_of_view_mm": FOV_MM,
        "encoded_field_of_view_mm": ((1 + is_grid) * FOV_MM[0], *FOV_MM[1:]),
        "partitions": PARTITIONS,
        "trajectory_kind": kind,
        "limits": {
            "kspace_encode_step_1": (N if is_grid else SPOKES) - 1,
            "kspace_encode_step_2": PARTITIONS - 1,
            "repetition": 0,
        },
        "centres": {"kspace_encode_step_1": N // 2, "kspace_encode_step_2": PARTITIONS // 2},
        "n_coils": 2,
    }
    return Scan(**{**known, **changes})


def stars(point_mm=CENTRE_MM, plane="transverse", n_spokes=SPOKES):
    """The readouts of a stack of stars: every spoke in all partitions, trajectories embedded."""
    along = np.arange(2 * N) / 2 - N / 2
    found = []
    for spoke, partition in itertools.product(range(n_spokes), range(PARTITIONS)):
        angle = np.deg2rad(spoke * GOLDEN_DEG)
        places = np.outer(along, (np.cos(angle), np.sin(angle)))
        k = np.column_stack([places, np.full(2 * N, partition - PARTITIONS // 2)])
        found.append(_readout(k, point_mm, plane, len(found), (spoke, partition), places / N))
    return found


def lines(point_mm=CENTRE_MM, plane="transverse"):
    """The readouts of a full Cartesian volume."""
    along = np.arange(2 * N) / 2 - N / 2
    found = []
    for line, partition in itertools.product(range(N), range(PARTITIONS)):
        k = np.column_stack(
            [along, np.full(2 * N, line - N // 2), np.full(2 * N, partition - PARTITIONS // 2)]
        )
        found.append(_readout(k, point_mm, plane, len(found), (line, partition), None))
    return found


def _readout(k, point_mm, plane, number, steps, trajectory):
    read, phase, normal = (np.array(direction, float) for direction in PLANES[plane])
    offset = np.subtract(point_mm, CENTRE_MM)
    place = np.array([read @ offset, phase @ offset, normal @ offset]) / FOV_MM
    wave = np.exp(-2j * np.pi * (k @ place))
    return Readout(
        data=np.stack([wave, 0.5j * wave]).astype(np.complex64),
        counters=Counters(*steps),
        geometry=Geometry(CENTRE_MM, *PLANES[plane], field_of_view_mm=FOV_MM),
        center_sample=N,
        sample_time_us=2.0,
        time_s=0.003 * number,
        scan_counter=number,
        raw_trajectory=None if trajectory is None else trajectory.astype(np.float32),
    )
