"""The protocol of a simulated scan: its header, the order of its readouts and what each one says."""

from __future__ import annotations

import ismrmrd
import numpy as np
from ismrmrd import xsd
from ismrmrd.hdf5 import acquisition_header_dtype

from gadgets.files.headers import FIRST_TICK, angle_description, channel_mask, limit
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.plan import Plan
from gadgets.translate.clock import TICK_S
from gadgets.translate.flags import NOISE, mask
from gadgets.wire.header import header_text
from python_recon.phantom import FIELD_OF_VIEW_MM, Phantom

NOISE_SAMPLES = 256
_NOISE_DWELL_US = 5.0
_BANDWIDTH_RATIO = 0.793
"""Share of the noise scan's bandwidth that the receiver's filter passes."""
_READOUT_SHARE = 0.5
"""Share of the repetition time during which samples are taken."""
_SLICE_THICKNESS_MM = 8.0
_CENTRE_MM = np.array([12.0, -20.0, 35.0])
_TABLE_MM = (0.0, 0.0, -1250.0)


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


def dwell_time_us(options: SimulateOptions) -> float:
    """Time of a sample of an imaging readout."""
    return _READOUT_SHARE * options.repetition_time * 1e3 / (2 * options.matrix)


def noise_scan_gain(options: SimulateOptions) -> float:
    """Standard deviation of the noise scan's noise relative to that of the imaging readouts."""
    return float(np.sqrt(dwell_time_us(options) / _NOISE_DWELL_US * _BANDWIDTH_RATIO))


def imaging_heads(plan: Plan, part: slice, phantom: Phantom) -> np.ndarray:
    """Headers of some of the imaging readouts."""
    options, times, slices = plan.options, plan.times_s[part], plan.slices[part]
    heads = _heads(len(times), options, plan.slice_offsets_mm[slices])
    heads["flags"] = _flags(plan)[part]
    heads["scan_counter"] = options.n_noise_readouts + np.arange(len(plan.slices))[part]
    heads["acquisition_time_stamp"] = FIRST_TICK + np.round(times / TICK_S)
    if options.cardiac_signal in ("stamps", "both") and phantom.has_rhythm:
        heads["physiology_time_stamp"][:, 0] = np.round(phantom.time_since_r_wave_s(times) / TICK_S)
    heads["number_of_samples"] = 2 * options.matrix
    heads["center_sample"] = options.matrix
    heads["trajectory_dimensions"] = 0 if plan.embedded(part) is None else 2
    heads["sample_time_us"] = dwell_time_us(options)
    heads["idx"]["slice"] = slices
    heads["idx"]["repetition"] = plan.frames[part]
    heads["idx"]["kspace_encode_step_1"] = plan.lines[part]
    heads["idx"]["kspace_encode_step_2"] = plan.partitions[part]
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


def _flags(plan: Plan) -> np.ndarray:
    """(readout,) flags: the ends of each slice's frames, of the repetitions and of the measurement."""
    flags = np.zeros(len(plan.slices), np.uint64)
    begins, ends = _ends_of(plan.slices * plan.options.frames + plan.frames)
    new_repetition = np.diff(plan.frames) != 0
    for flag, chosen in (
        (ismrmrd.ACQ_FIRST_IN_SLICE, begins),
        (ismrmrd.ACQ_LAST_IN_SLICE, ends),
        (ismrmrd.ACQ_FIRST_IN_REPETITION, np.concatenate([[True], new_repetition])),
        (ismrmrd.ACQ_LAST_IN_REPETITION, np.concatenate([new_repetition, [True]])),
        (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, plan.is_calibration & ~plan.is_imaging),
        (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING, plan.is_calibration & plan.is_imaging),
    ):
        flags[chosen] |= np.uint64(mask(flag))
    flags[-1] |= np.uint64(mask(ismrmrd.ACQ_LAST_IN_MEASUREMENT))
    return flags


def _ends_of(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(readout,) whether a readout is the first, and the last, of its group."""
    first, last = np.zeros(len(group), bool), np.zeros(len(group), bool)
    first[np.unique(group, return_index=True)[1]] = True
    last[len(group) - 1 - np.unique(group[::-1], return_index=True)[1]] = True
    return first, last


def header_xml(plan: Plan) -> bytes:
    """The ISMRMRD header.

    Its measurement id has four parts, as scanners write it: without a patient, Gadgetron's NoiseAdjust takes
    from them where it stores the noise.
    """
    options = plan.options
    scanned = "heart" if options.object is None else "object"
    header = xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            measurementID=f"simulated_{_name(options)}_{scanned}_{options.seed}",
            patientPosition="HFS",
            protocolName=f"simulated_{_name(options)}_{scanned}",
        ),
        acquisitionSystemInformation=_system(options),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_870_000),
        encoding=[_encoding(plan)],
        sequenceParameters=xsd.sequenceParametersType(TR=[options.repetition_time]),
    )
    return header_text(header).encode()


def _system(options: SimulateOptions) -> xsd.acquisitionSystemInformationType:
    labels = [xsd.coilLabelType(coilNumber=i, coilName=f"loop_{i + 1}") for i in range(options.coils)]
    return xsd.acquisitionSystemInformationType(
        systemVendor="simulation", systemFieldStrength_T=1.5, relativeReceiverNoiseBandwidth=_BANDWIDTH_RATIO,
        receiverChannels=options.coils, coilLabel=labels,
    )  # fmt: skip


def _name(options: SimulateOptions) -> str:
    """The encoding in one word: measurement ids have four parts."""
    return options.encoding.replace("_", "-")


def _encoding(plan: Plan) -> xsd.encodingType:
    options = plan.options
    n_lines = options.matrix if options.is_cartesian else options.spokes_per_frame
    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=limit(n_lines), slice=limit(options.slices), repetition=limit(options.frames),
        kspace_encoding_step_2=limit(options.partitions) if options.is_volume else None,
    )  # fmt: skip
    if options.is_cartesian:
        return _cartesian_encoding(plan, limits)
    turns = 360.0 / options.angle_increment
    is_golden = not np.isclose(turns, round(turns), rtol=0, atol=1e-6)
    return xsd.encodingType(
        encodedSpace=_space(plan), reconSpace=_space(plan), encodingLimits=limits,
        trajectory=xsd.trajectoryType("goldenangle" if is_golden else "radial"),
        trajectoryDescription=angle_description(
            options.angle_increment, identifier="golden_angle" if is_golden else "radial"
        ),
    )  # fmt: skip


def _cartesian_encoding(plan: Plan, limits: xsd.encodingLimitsType) -> xsd.encodingType:
    factor = round(plan.options.acceleration)
    return xsd.encodingType(
        encodedSpace=_space(plan, oversampling=2), reconSpace=_space(plan), encodingLimits=limits,
        trajectory=xsd.trajectoryType("cartesian"),
        parallelImaging=xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(
                kspace_encoding_step_1=factor, kspace_encoding_step_2=1
            ),
            calibrationMode=xsd.calibrationModeType("embedded" if plan.options.acs else "other"),
        ),
    )  # fmt: skip


def _space(plan: Plan, oversampling: int = 1) -> xsd.encodingSpaceType:
    """Matrix and field of view; readouts of lines cover twice the field of view."""
    n, options = plan.options.matrix, plan.options
    n_partitions = options.partitions if options.is_volume else 1
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=oversampling * n, y=n, z=n_partitions),
        fieldOfView_mm=xsd.fieldOfViewMm(
            x=oversampling * FIELD_OF_VIEW_MM, y=FIELD_OF_VIEW_MM,
            z=plan.thickness_mm if options.is_volume else _SLICE_THICKNESS_MM,
        ),
    )  # fmt: skip
