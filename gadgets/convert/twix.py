"""Siemens raw data (twix, ``.dat``) as an ISMRMRD file, read by twixtools."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd.hdf5 import acquisition_header_dtype

from gadgets.convert.twix_header import Angles, Settings, header_xml, text_at
from gadgets.files.headers import channel_mask
from gadgets.files.tables import readout_rows, write_scan
from gadgets.translate.flags import PHASE_STABILISATION, PHASE_STABILISATION_REFERENCE, mask
from python_recon.errors import BackendError, DataError

_BLOCK = 256
"""Readouts read at a time."""
_FLAGS = {
    "NOISEADJSCAN": ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
    "PATREFSCAN": ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,
    "PATREFANDIMASCAN": ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING,
    "REFLECT": ismrmrd.ACQ_IS_REVERSE,
    "PHASCOR": ismrmrd.ACQ_IS_PHASECORR_DATA,
    "RTFEEDBACK": ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    "HPFEEDBACK": ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    "RETRO_DUMMYSCAN": ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    "REFPHASESTABSCAN": PHASE_STABILISATION_REFERENCE,
    "PHASESTABSCAN": PHASE_STABILISATION,
    "FIRSTSCANINSLICE": ismrmrd.ACQ_FIRST_IN_SLICE,
    "LASTSCANINSLICE": ismrmrd.ACQ_LAST_IN_SLICE,
    "LASTSCANINMEAS": ismrmrd.ACQ_LAST_IN_MEASUREMENT,
}
_COUNTERS = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
    "segment": "Seg",
}
_NOISE_DWELL_US = {"AdjCoilSens": 5.0, "AdjQuietCoilSens": 4.0}
"""By the name of the adjustment's protocol."""
_NOISE_READOUT_US = 7680.0
"""Length of a noise readout within a measurement of its own sequence."""
_log = logging.getLogger(__name__)


def convert_twix(source: Path, target: Path, angles: Angles, *, overwrite: bool = False) -> int:
    """Write the last measurement of a twix file, with all noise readouts before it.

    Names and birth dates of patients stay behind.

    Returns
    -------
    Number of readouts.

    Raises
    ------
    BackendError
        Where twixtools is not installed.
    DataError
        Where the file is none, or holds no readouts.
    """
    measurements = _read(source)
    readouts, header = _noise(measurements), measurements[-1]["hdr"]
    imaging = [readout for readout in measurements[-1]["mdb"] if not _is_passed_by(readout)]
    if not imaging:
        raise DataError(f"the last measurement of {source} holds no readouts")
    if not readouts:
        _log.warning("%s holds no noise scan: the coils cannot be whitened", source)
    dwell_us = Settings(header).dwell_time_us
    readouts += [(readout, dwell_us) for readout in imaging]
    xml = header_xml(header, _limits(imaging), int(imaging[0].mdh.UsedChannels), angles)
    with source.open("rb") as file:
        for readout, _ in readouts:
            readout.fid = file  # otherwise twixtools opens the file anew for each of them
        return write_scan(target, xml, _blocks(readouts), overwrite=overwrite)


def _noise(measurements: Sequence[Mapping[str, Any]]) -> list[tuple[Any, float]]:
    """The noise readouts of all measurements, with their dwell times."""
    return [
        (readout, _noise_dwell_us(measurement, readout))
        for measurement in measurements
        for readout in measurement["mdb"]
        if readout.is_flag_set("NOISEADJSCAN")
    ]


def _read(source: Path) -> list[dict[str, Any]]:
    try:
        import twixtools
    except ImportError as error:
        cure = "pip install 'gadgetron-pisco[twix]'"
        raise BackendError(f"Siemens twix files need twixtools, which is missing: {cure}") from error
    if not source.is_file():
        raise DataError(f"there is no file {source}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            measurements = twixtools.read_twix(
                str(source), parse_pmu=False, parse_geometry=False, keep_syncdata=False, verbose=False
            )
    except Exception as error:  # twixtools raises whatever the bytes lead it to
        raise DataError(f"{source} cannot be read as a Siemens twix file: {error!r}") from error
    for line in said.getvalue().splitlines():
        _log.warning("twixtools: %s", line)
    if not measurements:
        raise DataError(f"{source} holds no measurement")
    return list(measurements)


def _is_passed_by(readout: Any) -> bool:
    return any(readout.is_flag_set(name) for name in ("ACQEND", "SYNCDATA", "NOISEADJSCAN"))


def _noise_dwell_us(measurement: Mapping[str, Any], readout: Any) -> float:
    name = text_at(measurement["hdr"], "MeasYaps", "tProtocolName")
    return _NOISE_DWELL_US.get(name, _NOISE_READOUT_US / max(int(readout.mdh.SamplesInScan), 1))


def _limits(readouts: Sequence[Any]) -> dict[str, int]:
    """The largest value of each counter."""
    return {
        name: max(int(getattr(readout.mdh.Counter, field)) for readout in readouts)
        for name, field in _COUNTERS.items()
    }


def _blocks(readouts: Sequence[tuple[Any, float]]) -> Iterator[np.ndarray]:
    """Readouts of the same size together, some at a time."""

    def size(item: tuple[Any, float]) -> tuple[int, int]:
        return int(item[0].mdh.UsedChannels), int(item[0].mdh.SamplesInScan)

    for _, group in groupby(readouts, size):
        alike = list(group)
        for start in range(0, len(alike), _BLOCK):
            part = alike[start : start + _BLOCK]
            heads = np.stack([_head(readout.mdh, dwell_us) for readout, dwell_us in part])
            heads["flags"] = [_flags(readout) for readout, _ in part]
            yield readout_rows(heads, np.stack([readout.data for readout, _ in part]))


def _head(mdh: Any, dwell_us: float) -> np.ndarray:
    """The header of a readout."""
    head = np.zeros((), acquisition_header_dtype)
    head["version"] = 1
    head["measurement_uid"] = np.uint32(int(mdh.MeasUID) & 0xFFFFFFFF)
    head["scan_counter"], head["acquisition_time_stamp"] = mdh.ScanCounter, mdh.TimeStamp
    head["physiology_time_stamp"][0] = mdh.PMUTimeStamp
    head["number_of_samples"], head["center_sample"] = mdh.SamplesInScan, mdh.CenterCol
    head["discard_pre"], head["discard_post"] = mdh.CutOff.Pre, mdh.CutOff.Post
    head["available_channels"] = head["active_channels"] = mdh.UsedChannels
    head["channel_mask"] = channel_mask(int(mdh.UsedChannels))
    head["sample_time_us"] = dwell_us
    place = mdh.SliceData.SlicePos
    head["position"] = place.Sag, place.Cor, place.Tra
    head["phase_dir"], head["read_dir"], head["slice_dir"] = directions(mdh.SliceData.Quaternion)
    if hasattr(mdh, "PTABPosX"):  # from VD on
        head["patient_table_position"] = mdh.PTABPosX, mdh.PTABPosY, mdh.PTABPosZ
    for name, field in _COUNTERS.items():
        head["idx"][name] = getattr(mdh.Counter, field)
    return head


def directions(quaternion: Sequence[float]) -> np.ndarray:
    """Phase, read and slice direction (sagittal, coronal, transverse, which is LPS) as rows.

    The quaternion (w, x, y, z) is that of the rotation whose columns they are; where it is zero, as in
    readouts without a slice, the directions are those of a transverse slice.
    """
    from scipy.spatial.transform import Rotation

    w, x, y, z = (float(number) for number in quaternion)
    if not any((w, x, y, z)):
        return np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned: np.ndarray = Rotation.from_quat([x, y, z, w]).as_matrix().T
    return turned


def _flags(readout: Any) -> int:
    flags = mask(*(flag for name, flag in _FLAGS.items() if readout.is_flag_set(name)))
    if readout.is_flag_set("PATREFANDIMASCAN"):
        flags &= ~mask(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    return flags
