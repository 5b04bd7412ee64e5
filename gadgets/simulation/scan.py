"""Simulated scans: an ISMRMRD file of a golden-angle scan of a phantom, and a file of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gadgets.files.mrd_file import TRUTH
from gadgets.files.tables import NewScan, new_hdf5, readout_rows
from gadgets.simulation.objects import phantoms_of
from gadgets.simulation.physiology import waveform_rows
from gadgets.simulation.protocol import (
    NOISE_SAMPLES,
    SimulateOptions,
    Spokes,
    header_xml,
    imaging_heads,
    noise_heads,
    plan_spokes,
)
from python_recon.errors import ConfigError
from python_recon.phantom import Phantom
from python_recon.resources.schedule import ProgressReport

__all__ = ["SimulateOptions", "simulate"]

_BATCH = 256
"""Readouts simulated and written at a time."""
_FRAMES = 16
"""Frames of the truth drawn at a time."""


@dataclass(frozen=True)
class _Experiment:
    """The phantoms of all slices, their spokes and the receivers' noise."""

    options: SimulateOptions
    phantoms: list[Phantom]
    spokes: Spokes
    mixing: np.ndarray
    """(coil, coil) matrix that colours white noise."""


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
    spokes = plan_spokes(options)
    phantoms = phantoms_of(options, spokes)
    return _Experiment(options, phantoms, spokes, _noise_mixing(phantoms[0], options))


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
    options, spokes = experiment.options, experiment.spokes
    scan = NewScan(file, header_xml(options))
    generator = np.random.default_rng([options.seed, 4])
    noise = noise_heads(options)
    white = _white((len(noise), options.coils, NOISE_SAMPLES), generator)
    scan.append_readouts(readout_rows(noise, spokes.noise_scan_gain * experiment.mixing @ white))
    for start in range(0, len(spokes.times_s), _BATCH):
        part = slice(start, start + _BATCH)
        data = _received(experiment, part, generator)
        heads = imaging_heads(options, spokes, part, experiment.phantoms[0])
        scan.append_readouts(readout_rows(heads, data, spokes.embedded(part)))
        report("scanning", min(1.0, (start + _BATCH) / len(spokes.times_s)))
    waveforms = waveform_rows(options, experiment.phantoms[0], float(spokes.times_s[-1]))
    if len(waveforms):
        scan.append_waveforms(waveforms)


def _received(experiment: _Experiment, part: slice, generator: np.random.Generator) -> np.ndarray:
    """(spoke, coil, readout) data of some spokes, noise added."""
    spokes, options = experiment.spokes, experiment.options
    trajectory, times, slices = spokes.trajectory(part), spokes.times_s[part], spokes.slices[part]
    data = np.empty((len(times), options.coils, trajectory.shape[1]), np.complex64)
    for index in np.unique(slices):
        chosen = slices == index
        signal = experiment.phantoms[index].kspace(trajectory[chosen], times[chosen])
        data[chosen] = options.matrix * np.moveaxis(signal, 1, 0)
    return data + experiment.mixing @ _white(data.shape, generator)


def _white(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Complex noise of variance 1."""
    return (generator.standard_normal((*shape, 2)) / np.sqrt(2)).view(np.complex128)[..., 0]


def _write_truth(file: h5py.File, experiment: _Experiment, report: ProgressReport) -> None:
    options, matrix = experiment.options, (experiment.options.matrix,) * 2
    times = experiment.spokes.frame_times_s()
    images = file.create_dataset("images", (options.slices, options.frames, *matrix), np.complex64)
    maps = file.create_dataset("coil_maps", (options.slices, options.coils, *matrix), np.complex64)
    for index, phantom in enumerate(experiment.phantoms):
        maps[index] = phantom.coil_maps(matrix)
        shading = _whitened_shading(phantom.coil_maps(matrix), experiment)
        for start in range(0, options.frames, _FRAMES):
            part = slice(start, min(start + _FRAMES, options.frames))
            images[index, part] = shading * phantom.reference(times[index, part], matrix)
            report("drawing the truth", (index + part.stop / options.frames) / options.slices)
    file.create_dataset("times_s", data=times)
    r_waves = experiment.phantoms[0].r_waves_until(float(experiment.spokes.times_s[-1]))
    file.create_dataset("r_waves_s", data=r_waves)
    file.create_dataset("noise_covariance", data=experiment.mixing @ experiment.mixing.conj().T / 2)
    file.attrs["options"] = options.model_dump_json()


def _whitened_shading(coil_maps: np.ndarray, experiment: _Experiment) -> np.ndarray | float:
    """(y, x) root-sum-of-squares of the whitened maps, for noise of unit mean variance."""
    options = experiment.options
    if not options.n_noise_readouts:
        return 1.0
    mixing = experiment.mixing / (options.noise * np.sqrt(2))
    return np.linalg.norm(np.linalg.solve(mixing, coil_maps.reshape(options.coils, -1)), axis=0).reshape(
        coil_maps.shape[1:]
    )
