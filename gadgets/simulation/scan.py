"""Simulated scans: an ISMRMRD file of a scan of a phantom, and a file of the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gadgets.files.mrd_file import TRUTH
from gadgets.files.tables import NewScan, new_hdf5, readout_rows
from gadgets.simulation.objects import phantoms_of
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.physiology import waveform_rows
from gadgets.simulation.plan import Plan, plan_readouts
from gadgets.simulation.protocol import (
    NOISE_SAMPLES,
    header_xml,
    imaging_heads,
    noise_heads,
    noise_scan_gain,
)
from python_recon.errors import ConfigError
from python_recon.phantom import Phantom, SlabPhantom
from python_recon.resources.schedule import ProgressReport

__all__ = ["SimulateOptions", "simulate"]

_BATCH = 256
"""Readouts simulated and written at a time."""
_SHOTS = 16
"""Spokes or lines of a volume simulated at a time."""
_FRAMES = 16
"""Frames of the truth drawn at a time."""


@dataclass(frozen=True)
class _Experiment:
    """The phantoms of all slices (of a volume, its sheets), the readouts and the receivers' noise."""

    options: SimulateOptions
    phantoms: Sequence[Phantom]
    plan: Plan
    mixing: np.ndarray
    """(coil, coil) matrix that colours white noise."""

    @property
    def slab(self) -> SlabPhantom:
        """The object of a volume."""
        return SlabPhantom(self.phantoms, self.plan.thickness_mm)


def simulate(
    path: Path,
    options: SimulateOptions | None = None,
    truth_path: Path | None = None,
    *,
    overwrite: bool = False,
    report: ProgressReport = lambda _stage, _done: None,
) -> Path:
    """Write a simulated scan, and its truth to a file of its own.

    The truth file holds ``images`` (slice, frame, y, x) complex64 at the middle of each frame, at the scan's
    resolution (``Phantom.reference``, with the shading of whitened coils where the scan has a noise
    scan: what coil maps of unit root-sum-of-squares give), ``coil_maps`` (slice, coil, y, x)
    of unit root-sum-of-squares as received, ``times_s`` (slice, frame), ``r_waves_s`` (r_wave,) by the same
    clock, which starts with the first imaging readout, ``noise_covariance`` (coil, coil) of the real and of
    the imaginary part, and the options as JSON in the attribute ``options``.

    Parameters
    ----------
    path, truth_path
        The scan and the truth; None: beside the scan, ``NAME_truth.h5``.
    overwrite
        Whether existing files may be replaced. They appear only when they are whole.
    report
        Told the stage and the share of it that is done.

    Returns
    -------
    The path of the truth.

    Raises
    ------
    ConfigError
        When a file exists and may not be replaced, or cannot be written, or options exclude each other.
    DataError
        When the object's file cannot be read or holds no images.
    """
    path = Path(path)
    truth_path = Path(truth_path) if truth_path else path.with_name(f"{path.stem}{TRUTH}.h5")
    if path.resolve() == truth_path.resolve():
        raise ConfigError(f"scan and truth are both {path}; give the truth another name")
    experiment = _experiment(options or SimulateOptions())
    with (
        new_hdf5(truth_path, overwrite=overwrite) as truth_file,
        new_hdf5(path, overwrite=overwrite) as scan_file,
    ):
        _write_truth(truth_file, experiment, report)
        _write_scan(scan_file, experiment, report)
    return truth_path


def _experiment(options: SimulateOptions) -> _Experiment:
    plan = plan_readouts(options)
    phantoms = phantoms_of(options, plan)
    return _Experiment(options, phantoms, plan, _noise_mixing(phantoms[0], options))


def _noise_mixing(phantom: Phantom, options: SimulateOptions) -> np.ndarray:
    """Square root of the noise covariance of the real part, times sqrt(2): it mixes unit complex noise.

    Half of the noise comes from the body, shared by coils that see the same of it (Roemer et al.,
    doi 10.1002/mrm.1910160203), half from each receiver, whose gains differ.
    """
    generator = np.random.default_rng([options.seed, 3])
    fields = phantom.sensitivities((32, 32)).reshape(options.coils, -1)
    body = fields @ fields.conj().T
    gains = generator.uniform(0.7, 1.4, options.coils)
    covariance = (body / np.trace(body).real * options.coils + np.eye(options.coils)) * np.outer(gains, gains)
    covariance *= options.coils / np.trace(covariance).real
    return options.noise * np.sqrt(2) * np.linalg.cholesky(covariance)


def _write_scan(file: h5py.File, experiment: _Experiment, report: ProgressReport) -> None:
    options, plan = experiment.options, experiment.plan
    scan = NewScan(file, header_xml(plan))
    generator = np.random.default_rng([options.seed, 4])
    noise = noise_heads(options)
    white = _white((len(noise), options.coils, NOISE_SAMPLES), generator)
    scan.append_readouts(readout_rows(noise, noise_scan_gain(options) * experiment.mixing @ white))
    for start in range(0, len(plan.times_s), _BATCH):
        part = slice(start, start + _BATCH)
        data = _received(experiment, part)
        data = data + experiment.mixing @ _white(data.shape, generator)
        heads = imaging_heads(plan, part, experiment.phantoms[0])
        scan.append_readouts(readout_rows(heads, data, plan.embedded(part)))
        report("scanning", min(1.0, (start + _BATCH) / len(plan.times_s)))
    waveforms = waveform_rows(options, experiment.phantoms[0], float(plan.times_s[-1]))
    if len(waveforms):
        scan.append_waveforms(waveforms)


def _received(experiment: _Experiment, part: slice) -> np.ndarray:
    """(readout, coil, sample) signal of some readouts."""
    plan, options = experiment.plan, experiment.options
    if options.is_volume:
        return _received_from_slab(experiment, part)
    trajectory, times, slices = plan.trajectory(part), plan.times_s[part], plan.slices[part]
    data = np.empty((len(times), options.coils, trajectory.shape[1]), np.complex64)
    for index in np.unique(slices):
        chosen = slices == index
        signal = experiment.phantoms[index].kspace(trajectory[chosen], times[chosen])
        data[chosen] = options.matrix * np.moveaxis(signal, 1, 0)
    return data


def _received_from_slab(experiment: _Experiment, part: slice) -> np.ndarray:
    """The same of a volume: readouts of one number see the object at one moment, that of their first."""
    plan, options = experiment.plan, experiment.options
    _, first, which = np.unique(plan.numbers[part], return_index=True, return_inverse=True)
    places = np.arange(len(plan.numbers))[part][first]
    data = np.empty((len(which), options.coils, 2 * options.matrix), np.complex64)
    scale = options.matrix * np.sqrt(options.partitions)
    for start in range(0, len(places), _SHOTS):
        some = slice(start, start + _SHOTS)
        signal = experiment.slab.kspace(
            plan.trajectory(places[some]), plan.times_s[places[some]], options.partitions
        )
        held = np.flatnonzero((which >= start) & (which < start + _SHOTS))
        data[held] = scale * signal[:, which[held] - start, plan.partitions[part][held]].swapaxes(0, 1)
    return data


def _white(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Complex noise of variance 1."""
    return (generator.standard_normal((*shape, 2)) / np.sqrt(2)).view(np.complex128)[..., 0]


def _write_truth(file: h5py.File, experiment: _Experiment, report: ProgressReport) -> None:
    options, matrix = experiment.options, (experiment.options.matrix,) * 2
    times = np.broadcast_to(experiment.plan.frame_times_s(), (options.n_images, options.frames))
    images = file.create_dataset("images", (options.n_images, options.frames, *matrix), np.complex64)
    maps = file.create_dataset("coil_maps", (options.n_images, options.coils, *matrix), np.complex64)
    for index in range(options.n_images):
        maps[index] = _coils_of(experiment, index).coil_maps(matrix)
    shading = np.stack([np.broadcast_to(_whitened_shading(one, experiment), matrix) for one in maps])
    for start in range(0, options.frames, _FRAMES):
        part = slice(start, min(start + _FRAMES, options.frames))
        for index, drawn in _drawn(experiment, times[:, part]):
            images[index, part] = shading[index] * drawn
        report("drawing the truth", part.stop / options.frames)
    file.create_dataset("times_s", data=times)
    r_waves = experiment.phantoms[0].r_waves_until(float(experiment.plan.times_s[-1]))
    file.create_dataset("r_waves_s", data=r_waves)
    file.create_dataset("noise_covariance", data=experiment.mixing @ experiment.mixing.conj().T / 2)
    file.attrs["options"] = options.model_dump_json()


def _coils_of(experiment: _Experiment, index: int) -> Phantom:
    """The phantom of a slice, or one with the coils of a partition."""
    options = experiment.options
    return (
        experiment.slab.partition(index, options.partitions)
        if options.is_volume
        else experiment.phantoms[index]
    )


def _drawn(experiment: _Experiment, times_s: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each slice or partition and its images at times (slice, frame)."""
    options = experiment.options
    matrix, has_corners = (options.matrix,) * 2, options.is_cartesian
    if not options.is_volume:
        for index, phantom in enumerate(experiment.phantoms):
            yield index, phantom.reference(times_s[index], matrix, has_corners=has_corners)
        return
    volume = experiment.slab.reference(times_s[0], options.partitions, matrix, has_corners=has_corners)
    yield from enumerate(volume)


def _whitened_shading(coil_maps: np.ndarray, experiment: _Experiment) -> np.ndarray | float:
    """(y, x) root-sum-of-squares of the whitened maps, for noise of unit mean variance."""
    options = experiment.options
    if not options.n_noise_readouts:
        return 1.0
    mixing = experiment.mixing / (options.noise * np.sqrt(2))
    return np.linalg.norm(np.linalg.solve(mixing, coil_maps.reshape(options.coils, -1)), axis=0).reshape(
        coil_maps.shape[1:]
    )
