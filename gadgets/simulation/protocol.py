"""The protocol of a simulated scan: its header, the order of its readouts and what each one says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ismrmrd
import numpy as np
from ismrmrd import xsd
from ismrmrd.hdf5 import acquisition_header_dtype
from pydantic import Field

from gadgets.files.headers import FIRST_TICK, angle_description, channel_mask, limit
from gadgets.translate.clock import TICK_S
from gadgets.translate.flags import NOISE, mask
from gadgets.wire.header import header_text
from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.config import Section
from python_recon.phantom import FIELD_OF_VIEW_MM, Phantom

NOISE_SAMPLES = 256
_NOISE_READOUTS = 32
_NOISE_DWELL_US = 5.0
_BANDWIDTH_RATIO = 0.793
"""Share of the noise scan's bandwidth that the receiver's filter passes."""
_READOUT_SHARE = 0.5
"""Share of the repetition time during which samples are taken."""
_SLICE_DISTANCE_MM, _HEART_LENGTH_MM = 10.0, 80.0
_FIRST_SPOKE_DEG = 180.0
"""Gadgetron's spokes start at the far end: spoke 0 runs towards -x."""
_CENTRE_MM = np.array([12.0, -20.0, 35.0])
_TABLE_MM = (0.0, 0.0, -1250.0)


class SimulateOptions(Section):
    """What is scanned, and how."""

    matrix: int = Field(128, ge=16, le=1024, description="Image matrix; readouts have twice as many samples.")
    coils: int = Field(8, ge=1, le=128, description="Receive coils.")
    frames: int = Field(24, ge=1, le=65535, description="Frames (repetitions) of each slice.")
    spokes_per_frame: int = Field(13, ge=1, le=65535, description="Spokes of each frame.")
    angle_increment: float = Field(
        GOLDEN_ANGLE_DEG, gt=0, lt=360, description="Angle between successive spokes of a slice, degrees."
    )
    repetition_time: float = Field(3.0, gt=0, le=10_000, description="Time between readouts, ms.")
    noise: float = Field(
        0.03,
        ge=0,
        le=1000,
        description="Noise of a k-space sample (standard deviation of real and of imaginary part, mean coil) "
        "relative to blood: its inverse is the SNR of blood in a fully sampled Cartesian image.",
    )
    noise_scan: bool = Field(True, description="Begin with a noise scan, where there is noise.")
    object: Path | None = Field(
        None,
        description="What is scanned in place of the built-in heart: a NumPy file (.npy, .npz), NIfTI, "
        "or a DICOM file or folder. One image is moved by beat and breath; a series brings its own motion.",
    )
    object_interval: float = Field(
        0.0,
        ge=0,
        le=3_600_000,
        description="Time between the images of a series, ms; it begins anew after its last. 0: they "
        "span the scan.",
    )
    texture: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Texture of the heart: standard deviation of a tissue relative to its intensity.",
    )
    slices: int = Field(1, ge=1, le=1024, description="Parallel slices of the object.")
    slice_order: Literal["sequential", "interleaved"] = Field(
        "sequential", description="One slice after the other, or a spoke of each in turn."
    )
    heart_rate: float = Field(72.0, gt=0, le=300, description="Heart beats per minute.")
    contraction: float = Field(
        0.3, ge=0, le=0.4, description="Shortening of the left ventricle's inner radius; 0: no beat."
    )
    breathing: float = Field(6.0, ge=0, le=12, description="Excursion of the diaphragm, mm; 0: breath-hold.")
    contrast: float = Field(0.3, ge=0, le=1000, description="Peak enhancement of blood by a bolus; 0: none.")
    arrhythmia: float = Field(
        0.0, ge=0, le=0.5, description="Share of the beats that come early, each followed by a late one."
    )
    cardiac_signal: Literal["stamps", "ecg", "both", "none"] = Field(
        "stamps", description="Where R waves come from: stamps of the readouts, an ECG waveform."
    )
    ecg_triggers: bool = Field(True, description="Whether the ECG has a channel of the scanner's triggers.")
    respiratory_signal: bool = Field(False, description="Whether there is a waveform of the breath.")
    embed_trajectory: bool = Field(
        True, description="Store k with each readout (-0.5..0.5); else it follows from header and counters."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of coils, phases and noise.")

    @property
    def n_noise_readouts(self) -> int:
        return _NOISE_READOUTS if self.noise_scan and self.noise else 0


@dataclass(frozen=True)
class Spokes:
    """All imaging readouts in the order of their acquisition."""

    options: SimulateOptions
    slices: np.ndarray
    """(readout,) slice of each."""
    numbers: np.ndarray
    """(readout,) running number of the spoke within its slice; the golden angle follows it."""
    slice_offsets_mm: np.ndarray
    """(slice,) distance from the middle of the stack."""

    @property
    def times_s(self) -> np.ndarray:
        """(readout,) time of each since the first."""
        return np.arange(len(self.slices)) * self.options.repetition_time * 1e-3

    @property
    def frames(self) -> np.ndarray:
        return self.numbers // self.options.spokes_per_frame

    @property
    def dwell_time_us(self) -> float:
        return _READOUT_SHARE * self.options.repetition_time * 1e3 / (2 * self.options.matrix)

    @property
    def noise_scan_gain(self) -> float:
        """Standard deviation of the noise scan's noise relative to that of the imaging readouts."""
        return float(np.sqrt(self.dwell_time_us / _NOISE_DWELL_US * _BANDWIDTH_RATIO))

    def frame_times_s(self) -> np.ndarray:
        """(slice, frame) middle of each frame."""
        order = np.lexsort((self.numbers, self.slices))
        shape = (self.options.slices, self.options.frames, self.options.spokes_per_frame)
        return self.times_s[order].reshape(shape).mean(axis=2)

    def trajectory(self, part: slice) -> np.ndarray:
        """(spoke, readout, 2) in cycles per field of view."""
        n = 2 * self.options.matrix
        radius = (np.arange(n) - n // 2) / 2
        angles = np.deg2rad(self.numbers[part] * self.options.angle_increment % 360 + _FIRST_SPOKE_DEG)
        return np.stack([np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius)], axis=-1)

    def embedded(self, part: slice) -> np.ndarray | None:
        """The trajectory as it is stored, -0.5..0.5; None where it is not."""
        return self.trajectory(part) / self.options.matrix if self.options.embed_trajectory else None


def plan_spokes(options: SimulateOptions) -> Spokes:
    """The order of the spokes."""
    n_spokes = options.frames * options.spokes_per_frame
    slices, numbers = (
        np.repeat(np.arange(options.slices), n_spokes),
        np.tile(np.arange(n_spokes), options.slices),
    )
    if options.slice_order == "interleaved":
        numbers, slices = np.divmod(np.arange(n_spokes * options.slices), options.slices)
    distance = min(_SLICE_DISTANCE_MM, _HEART_LENGTH_MM / max(1, options.slices - 1))
    return Spokes(options, slices, numbers, distance * (np.arange(options.slices) - (options.slices - 1) / 2))


def noise_heads(options: SimulateOptions) -> np.ndarray:
    """Headers of the noise scan's readouts."""
    heads = _heads(options.n_noise_readouts, options, np.zeros(1))
    heads["flags"] = NOISE
    heads["scan_counter"] = np.arange(len(heads))
    heads["acquisition_time_stamp"] = FIRST_TICK - len(heads) + np.arange(len(heads))
    heads["number_of_samples"] = NOISE_SAMPLES
    heads["center_sample"] = NOISE_SAMPLES // 2
    heads["sample_time_us"] = _NOISE_DWELL_US
    return heads


def imaging_heads(options: SimulateOptions, spokes: Spokes, part: slice, phantom: Phantom) -> np.ndarray:
    """Headers of some of the imaging readouts."""
    times, slices, numbers = spokes.times_s[part], spokes.slices[part], spokes.numbers[part]
    heads = _heads(len(times), options, spokes.slice_offsets_mm[slices])
    heads["flags"] = _flags(spokes)[part]
    heads["scan_counter"] = options.n_noise_readouts + np.arange(len(spokes.slices))[part]
    heads["acquisition_time_stamp"] = FIRST_TICK + np.round(times / TICK_S)
    if options.cardiac_signal in ("stamps", "both") and phantom.has_rhythm:
        heads["physiology_time_stamp"][:, 0] = np.round(phantom.time_since_r_wave_s(times) / TICK_S)
    heads["number_of_samples"] = 2 * options.matrix
    heads["center_sample"] = options.matrix
    heads["trajectory_dimensions"] = 2 if options.embed_trajectory else 0
    heads["sample_time_us"] = spokes.dwell_time_us
    heads["idx"]["slice"] = slices
    heads["idx"]["repetition"] = numbers // options.spokes_per_frame
    heads["idx"]["kspace_encode_step_1"] = numbers % options.spokes_per_frame
    return heads


def _heads(n: int, options: SimulateOptions, offsets_mm: np.ndarray) -> np.ndarray:
    """What all headers share."""
    heads = np.zeros(n, acquisition_header_dtype)
    heads["version"] = 1
    heads["available_channels"] = heads["active_channels"] = options.coils
    heads["channel_mask"] = channel_mask(options.coils)
    read, phase, normal = _directions()
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = read, phase, normal
    heads["position"] = _CENTRE_MM + offsets_mm[:, None] * normal
    heads["patient_table_position"] = _TABLE_MM
    return heads


def _directions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read, phase and slice direction (LPS) of a double-oblique plane near the transverse one."""
    tilt, turn = np.deg2rad(20.0), np.deg2rad(-10.0)
    read = np.array([np.cos(turn), np.sin(turn), 0.0])
    phase = np.array([-np.sin(turn) * np.cos(tilt), np.cos(turn) * np.cos(tilt), np.sin(tilt)])
    return read, phase, np.cross(read, phase)


def _flags(spokes: Spokes) -> np.ndarray:
    """(readout,) flags: the ends of each slice's frames, of the repetitions and of the measurement."""
    steps = spokes.numbers % spokes.options.spokes_per_frame
    new_repetition = np.diff(spokes.frames) != 0
    flags = np.zeros(len(steps), np.uint64)
    for flag, chosen in (
        (ismrmrd.ACQ_FIRST_IN_SLICE, steps == 0),
        (ismrmrd.ACQ_LAST_IN_SLICE, steps == spokes.options.spokes_per_frame - 1),
        (ismrmrd.ACQ_FIRST_IN_REPETITION, np.concatenate([[True], new_repetition])),
        (ismrmrd.ACQ_LAST_IN_REPETITION, np.concatenate([new_repetition, [True]])),
    ):
        flags[chosen] |= np.uint64(mask(flag))
    flags[-1] |= np.uint64(mask(ismrmrd.ACQ_LAST_IN_MEASUREMENT))
    return flags


def header_xml(options: SimulateOptions) -> bytes:
    """The ISMRMRD header.

    Its measurement id has four parts, as scanners write it: without a patient, Gadgetron's NoiseAdjust takes
    from them where it stores the noise.
    """
    scanned = "heart" if options.object is None else "object"
    header = xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            measurementID=f"simulated_radial_{scanned}_{options.seed}",
            patientPosition="HFS",
            protocolName=f"simulated_radial_{scanned}",
        ),
        acquisitionSystemInformation=_system(options),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_870_000),
        encoding=[_encoding(options)],
        sequenceParameters=xsd.sequenceParametersType(TR=[options.repetition_time]),
    )
    return header_text(header).encode()


def _system(options: SimulateOptions) -> xsd.acquisitionSystemInformationType:
    labels = [xsd.coilLabelType(coilNumber=i, coilName=f"loop_{i + 1}") for i in range(options.coils)]
    return xsd.acquisitionSystemInformationType(
        systemVendor="simulation", systemFieldStrength_T=1.5, relativeReceiverNoiseBandwidth=_BANDWIDTH_RATIO,
        receiverChannels=options.coils, coilLabel=labels,
    )  # fmt: skip


def _encoding(options: SimulateOptions) -> xsd.encodingType:
    space = xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=options.matrix, y=options.matrix, z=1),
        fieldOfView_mm=xsd.fieldOfViewMm(x=FIELD_OF_VIEW_MM, y=FIELD_OF_VIEW_MM, z=8.0),
    )
    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=limit(options.spokes_per_frame), slice=limit(options.slices),
        repetition=limit(options.frames),
    )  # fmt: skip
    turns = 360.0 / options.angle_increment
    is_golden = not np.isclose(turns, round(turns), rtol=0, atol=1e-6)
    return xsd.encodingType(
        encodedSpace=space, reconSpace=space, encodingLimits=limits,
        trajectory=xsd.trajectoryType("goldenangle" if is_golden else "radial"),
        trajectoryDescription=angle_description(
            options.angle_increment, identifier="golden_angle" if is_golden else "radial"
        ),
    )  # fmt: skip
