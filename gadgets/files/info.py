"""What a scan holds, and what is odd about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np

from gadgets.files.mrd_file import ScanFile
from gadgets.translate.clock import DAY
from gadgets.translate.flags import mask
from python_recon.config import load_config
from python_recon.errors import ReconError

_FLAGS = {
    name.removeprefix("ACQ_").lower(): value
    for name, value in vars(ismrmrd).items()
    if name.startswith("ACQ_") and isinstance(value, int)
}
_COUNTERS = (
    "kspace_encode_step_1", "kspace_encode_step_2", "slice", "contrast", "phase", "repetition", "set",
    "average", "segment",
)  # fmt: skip
_WRAP = 60000
"""A 16-bit counter that falls from above this to below a tenth of it has wrapped."""
_NO_IMAGING = ("is_noise_measurement", "is_navigation_data", "is_phasecorr_data", "is_dummyscan_data")
_NO_IMAGING_BITS = mask(*(_FLAGS[name] for name in _NO_IMAGING))


@dataclass(frozen=True)
class ScanInfo:
    """The result of :func:`describe`."""

    facts: dict[str, str]
    surprises: list[str]


def describe(path: Path, group: str = "dataset") -> ScanInfo:
    """Facts and surprises of a scan; raises DataError where the file cannot be read."""
    with ScanFile(path, group) as scan:
        header = scan.header
        heads = scan.heads()
        sums = _Sums()
        for acquisition in scan.acquisitions():
            sums.add(acquisition)
        imaging = heads[(heads["flags"] & np.uint64(_NO_IMAGING_BITS)) == 0]
        surprises = [*scan.skipped, *sums.surprises(), *_header_surprises(header, heads)]
        frames = _frames(scan, "spokes" if _is_radial(header) else "lines") if len(imaging) else ""
        facts = {**_header_facts(header), **_data_facts(heads, imaging), "Waveforms": str(scan.n_waveforms)}
    if not len(imaging):
        surprises.append("no imaging readouts: noise or calibration only")
    else:
        facts |= {**_trajectory_facts(sums, is_radial=_is_radial(header)), "Frames": frames}
        surprises += _counting_surprises(heads, imaging)
    return ScanInfo(facts, surprises)


def _is_radial(header: ismrmrd.xsd.ismrmrdHeader) -> bool:
    """Whether an encoding is none of a grid."""
    kinds = {getattr(encoding.trajectory, "value", encoding.trajectory) for encoding in header.encoding}
    return not kinds <= {"cartesian", "epi"}


def _frames(scan: ScanFile, readouts: str) -> str:
    """What the default configuration would cut the scan into, by the name of its readouts."""
    from gadgets.files.slices import outline_frames

    sizes: dict[tuple[int, int, int, int], list[int]] = {}
    try:
        for frame in outline_frames(scan, load_config()):
            counters = frame.counters
            key = (counters.slice, counters.contrast, counters.set, frame.run)
            sizes.setdefault(key, []).append(frame.n_spokes)
    except ReconError as error:
        return f"none: {error}"
    counts = Counter(f"{len(spokes)} of {_values(np.array(spokes))} {readouts}" for spokes in sizes.values())
    return "; ".join(text if n == 1 else f"{n} times {text}" for text, n in counts.items())


class _Sums:
    """What can only be seen in the samples."""

    def __init__(self) -> None:
        self.n_bad = 0
        self.n_zero = 0
        self.largest_radius = 0.0
        self.n_embedded = 0
        self.dimensions: set[int] = set()
        self.coil_energy = np.zeros(0)

    def add(self, acquisition: ismrmrd.Acquisition) -> None:
        data, trajectory = acquisition.data, acquisition.traj
        finite = np.isfinite(data)
        energy = np.abs(np.where(finite, data, 0)).sum(axis=1, dtype=np.float64)
        self.n_bad += not finite.all()
        self.n_zero += not energy.any()
        if self.coil_energy.shape != energy.shape:
            self.coil_energy = np.zeros_like(energy)
        self.coil_energy += energy
        if trajectory.size:
            self.n_embedded += 1
            self.dimensions.add(trajectory.shape[1])
            radius = np.linalg.norm(trajectory[:, :2], axis=1).max()
            self.largest_radius = max(self.largest_radius, float(radius))

    def surprises(self) -> Iterator[str]:
        if self.n_bad:
            yield f"{self.n_bad} readouts hold NaN or infinite samples"
        if self.n_zero:
            yield f"{self.n_zero} readouts are zero throughout"
        dead = np.flatnonzero(self.coil_energy == 0)
        if 0 < dead.size < self.coil_energy.size:
            yield f"coils without signal: {', '.join(map(str, dead))}"


def _header_facts(header: Any) -> dict[str, str]:
    facts = {
        "Protocol": _text(header.measurementInformation, "protocolName"),
        "Measurement": _text(header.measurementInformation, "measurementID"),
        "System": " ".join(
            _text(header.acquisitionSystemInformation, name) for name in ("systemVendor", "systemModel")
        ).strip(),
        "Field strength (T)": _text(header.acquisitionSystemInformation, "systemFieldStrength_T"),
    }
    for number, encoding in enumerate(header.encoding):
        facts[f"Encoding {number}"] = _encoding(encoding)
        if acceleration := _acceleration(encoding):
            facts[f"Acceleration {number}"] = acceleration
    return {name: text for name, text in facts.items() if text}


def _encoding(encoding: Any) -> str:
    kind = getattr(encoding.trajectory, "value", encoding.trajectory)
    return f"{kind}, encoded {_space(encoding.encodedSpace)}, reconstructed {_space(encoding.reconSpace)}"


def _acceleration(encoding: Any) -> str:
    """What the header says of parallel imaging; empty where it is silent."""
    parallel = encoding.parallelImaging
    if parallel is None:
        return ""
    factor, mode = parallel.accelerationFactor, parallel.calibrationMode
    lines = f"{factor.kspace_encoding_step_1} x {factor.kspace_encoding_step_2} (lines x partitions)"
    return f"{lines}, calibration {getattr(mode, 'value', mode) or 'not told'}"


def _space(space: Any) -> str:
    matrix, extent = space.matrixSize, space.fieldOfView_mm
    return f"{matrix.x}x{matrix.y}x{matrix.z} over {extent.x:g}x{extent.y:g}x{extent.z:g} mm"


def _text(section: Any, name: str) -> str:
    value = getattr(section, name, None)
    return "" if value is None else str(value)


def _data_facts(heads: np.ndarray, imaging: np.ndarray) -> dict[str, str]:
    noise = _with_flag(heads, "is_noise_measurement")
    facts = {
        "Readouts": f"{len(heads)}, of which {len(imaging)} imaging",
        "Noise scan": f"{noise} readouts" if noise else "none: the coils cannot be whitened",
        "Flags": ", ".join(f"{name} {count}" for name, count in _flag_counts(heads)) or "none",
    }
    if len(imaging):
        facts["Coils"] = _values(imaging["active_channels"])
        facts["Samples"] = _values(imaging["number_of_samples"])
        facts["Centre sample"] = _values(imaging["center_sample"])
        facts["Dwell time"] = f"{_values(imaging['sample_time_us'])} us"
        if partitions := _partitions(imaging["idx"]):
            facts["Partitions"] = partitions
        if calibration := _calibration(imaging):
            facts["Calibration lines"] = calibration
        facts |= {name: _range(imaging["idx"][name]) for name in _COUNTERS if imaging["idx"][name].any()}
    return facts


def _partitions(idx: np.ndarray) -> str:
    """Of a volume: how many, and whether each has as many readouts; empty without any."""
    numbers, counts = np.unique(idx["kspace_encode_step_2"], return_counts=True)
    if len(numbers) == 1:
        return ""
    text = f"{len(numbers)}, of {_values(counts)} readouts each"
    missing = numbers[-1] + 1 - len(numbers)
    return f"{text}; {missing} of 0..{numbers[-1]} did not come" if missing else text


def _calibration(imaging: np.ndarray) -> str:
    """Extent of the lines that are flagged for coil maps (ACS); empty without any."""
    both = _is_flagged(imaging, "is_parallel_calibration_and_imaging")
    only = _is_flagged(imaging, "is_parallel_calibration") & ~both
    if not (both | only).any():
        return ""
    counts = f"{both.sum()} readouts for images as well, {only.sum()} flagged for calibration alone"
    return f"{_extent(imaging['idx'][both | only])}; {counts}"


def _extent(idx: np.ndarray) -> str:
    """From which step to which readouts go along either axis, and how many steps there are."""
    lines = f"kspace_encode_step_1 {_range(idx['kspace_encode_step_1'])}"
    if not idx["kspace_encode_step_2"].any():
        return lines
    return f"{lines}, kspace_encode_step_2 {_range(idx['kspace_encode_step_2'])}"


def _trajectory_facts(sums: _Sums, *, is_radial: bool) -> dict[str, str]:
    if not sums.n_embedded:
        if not is_radial:
            return {
                "Trajectory": "not embedded: lines come from kspace_encode_step_1 and the header's limits"
            }
        return {"Trajectory": "not embedded: angles come from user_float, the header or the configuration"}
    dimensions = ", ".join(map(str, sorted(sums.dimensions)))
    return {
        "Trajectory": f"embedded in {sums.n_embedded} readouts, dimensions {dimensions}, "
        f"largest radius {sums.largest_radius:g}"
    }


def _with_flag(heads: np.ndarray, name: str) -> int:
    return int(np.count_nonzero(_is_flagged(heads, name)))


def _is_flagged(heads: np.ndarray, name: str) -> np.ndarray:
    """(readout,) bool."""
    flagged: np.ndarray = (heads["flags"] & np.uint64(mask(_FLAGS[name]))) != 0
    return flagged


def _flag_counts(heads: np.ndarray) -> Iterator[tuple[str, int]]:
    for name in _FLAGS:
        if count := _with_flag(heads, name):
            yield name, count


def _values(column: np.ndarray) -> str:
    counts = Counter(column.tolist())
    if len(counts) == 1:
        return f"{next(iter(counts)):g}"
    return ", ".join(f"{value:g} ({count} times)" for value, count in counts.most_common(4))


def _range(column: np.ndarray) -> str:
    return f"{column.min()}..{column.max()} ({np.unique(column).size} values)"


def _header_surprises(header: Any, heads: np.ndarray) -> Iterator[str]:
    n_encodings = len(header.encoding)
    if (highest := int(heads["encoding_space_ref"].max())) >= n_encodings:
        yield f"readouts name encoding {highest}, the header describes {n_encodings}"
    for number, encoding in enumerate(header.encoding):
        if encoding.encodingLimits is not None:
            yield from _limit_surprises(encoding.encodingLimits, heads[heads["encoding_space_ref"] == number])


def _limit_surprises(limits: Any, heads: np.ndarray) -> Iterator[str]:
    for name in _COUNTERS:
        limit = getattr(limits, name, None)
        highest = int(heads["idx"][name].max()) if len(heads) else 0
        if limit is not None and highest > limit.maximum > 0:
            yield f"{name} reaches {highest}, the header announces at most {limit.maximum}"


def _counting_surprises(heads: np.ndarray, imaging: np.ndarray) -> Iterator[str]:
    if not _with_flag(heads, "last_in_measurement"):
        yield "no readout is flagged as the last of the measurement"
    for name in ("active_channels", "number_of_samples"):
        if np.unique(imaging[name]).size > 1:
            yield f"{name} changes during the scan: {_values(imaging[name])}"
    counters = np.unique(heads["scan_counter"].astype(np.int64))
    if counters.size > 1 and (missing := int(np.sum(np.diff(counters) - 1))):
        yield f"{missing} readouts are missing (gaps of scan_counter)"
    step = imaging["idx"]["kspace_encode_step_1"].astype(np.int64)
    wraps = np.count_nonzero((step[:-1] > _WRAP) & (step[1:] < _WRAP // 10))
    if wraps:
        yield f"kspace_encode_step_1 wraps at 65536 ({wraps} times)"
    yield from _time_surprises(imaging["acquisition_time_stamp"].astype(np.int64))


def _time_surprises(stamps: np.ndarray) -> Iterator[str]:
    ahead = np.diff(stamps)
    if np.any(ahead < -DAY // 2):
        yield "the scan runs over midnight, where time stamps start anew"
    elif np.any(ahead < 0):
        yield "time stamps run backwards"
    elif len(stamps) > 1 and not stamps.any():
        yield "no time stamps"
