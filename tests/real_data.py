"""The measured heart of ``../shared/data`` as an ISMRMRD file (see the README there)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from ismrmrd.hdf5 import acquisition_dtype
from scipy.io import loadmat

HEART = Path(__file__).parents[1].parent / "shared" / "data" / "radial_cardiac_25_projections.mat"
N_COILS, N_SPOKES, N_SAMPLES, MATRIX = 12, 25, 256, 128

_HEADER = f"""<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <measurementInformation>
    <measurementID>real_heart</measurementID><patientPosition>HFS</patientPosition>
    <protocolName>radial_short_axis</protocolName>
  </measurementInformation>
  <acquisitionSystemInformation><receiverChannels>{N_COILS}</receiverChannels></acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123250000</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace>
      <matrixSize><x>{MATRIX}</x><y>{MATRIX}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>256</x><y>256</y><z>8</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>{MATRIX}</x><y>{MATRIX}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>256</x><y>256</y><z>8</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1>
        <minimum>0</minimum><maximum>{N_SPOKES - 1}</maximum><center>{N_SPOKES // 2}</center>
      </kspace_encoding_step_1>
    </encodingLimits>
    <trajectory>radial</trajectory>
  </encoding>
</ismrmrdHeader>
"""


def write_real_heart(path: Path) -> Path:
    """Write the heart to ``path``: 12 coils, one frame of 25 spokes, trajectory embedded.

    Every second spoke was acquired from the other end. Its k runs the same way as its samples, so neither is
    turned and ACQ_IS_REVERSE is not set: the stored k tells all. Skips the test where the data are absent.
    """
    if not HEART.is_file():
        pytest.skip(f"the measured heart is not at {HEART}")
    measured = loadmat(HEART)
    data = measured["rawdata"].transpose(1, 2, 0).astype(np.complex64)  # spoke, coil, readout
    k = measured["k"].T
    rows = np.zeros(N_SPOKES, acquisition_dtype)
    rows["head"] = _heads()
    for row, samples, positions in zip(rows, data, np.stack([k.real, k.imag], axis=-1), strict=True):
        row["data"] = np.ascontiguousarray(samples).view(np.float32).ravel()
        row["traj"] = positions.astype(np.float32).ravel()
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[_HEADER.encode()], dtype=h5py.special_dtype(vlen=bytes))
        group.create_dataset("data", data=rows, maxshape=(None,))
    return path


def _heads() -> np.ndarray:
    heads = np.zeros(N_SPOKES, acquisition_dtype["head"])
    heads["version"] = 1
    heads["scan_counter"] = heads["idx"]["kspace_encode_step_1"] = np.arange(N_SPOKES)
    heads["acquisition_time_stamp"] = 14_400_000 + np.arange(N_SPOKES)
    heads["number_of_samples"], heads["center_sample"] = N_SAMPLES, N_SAMPLES // 2
    heads["available_channels"] = heads["active_channels"] = N_COILS
    heads["channel_mask"][:, 0] = (1 << N_COILS) - 1
    heads["trajectory_dimensions"] = 2
    # As k is stored the chest wall lies at the bottom and the left side at the left: turned by half a circle.
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = np.diag([-1, -1, 1])
    heads["flags"][0] = 1 << 6 | 1 << 12  # first in slice, first in repetition
    heads["flags"][-1] = 1 << 7 | 1 << 13 | 1 << 24  # last in slice, in repetition, in measurement
    return heads
