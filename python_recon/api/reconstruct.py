"""One call from k-space to images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from python_recon.api.own_arrays import check_samples, check_trajectory, kspace_from, maps_from
from python_recon.arrays import Array
from python_recon.config import Config, load_config
from python_recon.data import CoilMaps, ImageSeries, KSpace
from python_recon.errors import ConfigError
from python_recon.methods.registry import resolve
from python_recon.stream.chain import reconstruct_slice


def reconstruct(
    kspace: KSpace | Array,
    trajectory: Array | None = None,
    *,
    matrix: int | tuple[int, int] | None = None,
    method: str = "grasp",
    spokes_per_frame: int | None = None,
    coil_maps: CoilMaps | Array | None = None,
    density: Array | None = None,
    spoke_times_s: Array | None = None,
    config: Config | Mapping[str, Any] | None = None,
    **options: Any,
) -> ImageSeries:
    """Images of one slice, from arrays or from a :class:`~python_recon.data.KSpace`.

    Arrays may be of NumPy, Torch or CuPy. The work is done on the GPU where there is one, unless ``config``
    says ``{"device": "cpu"}``. What is not given is found from the data: density, coil maps, the time of the
    frames, the weight of the noise.

    Parameters
    ----------
    kspace
        (frame, coil, spoke, readout) complex, any scale. Coils with correlated noise are to be whitened
        before. Or a ``KSpace``, such as ``gadgets.files.load`` gives, which holds all that follows up to
        ``spokes_per_frame``.
    trajectory
        (frame, spoke, readout, 2) real, last axis (kx, ky), in cycles per field of view: -N/2..N/2 for a
        matrix of N. kx belongs to the last axis of the images.
    matrix
        Pixels of the images: N for N x N, or (y, x).
    method
        A name that ``methods()`` lists.
    spokes_per_frame
        For spokes without frames, k-space (coil, spoke, readout) and trajectory (spoke, readout, 2):
        consecutive spokes of a frame; density and times then have no frames either. Spokes at the end that
        fill no frame are left out.
    coil_maps
        (coil, y, x) complex sensitivities on ``matrix``, of any scale. The field of view is then not widened
        to hold what lies outside.
    density
        (frame, spoke, readout) real: the area of k-space, in (cycles per field of view) squared, that each
        sample stands for; a frame's areas add up to about pi N^2 / 4.
    spoke_times_s
        (frame, spoke) seconds. Without them, frames are taken to be equally long.
    config
        All other settings: a ``Config``, or names and values such as ``{"coils.maps": "espirit"}``.
    options
        Of the method, such as ``iterations=20``.

    Returns
    -------
        Images (frame, y, x) complex64 in NumPy arrays. ``method`` tells what made them: a simpler method
        takes over where the one that was asked for fails, and ``comment`` says why. ``details`` holds
        seconds by stage.

    Raises
    ------
    ShapeError
        If axes are missing or arrays do not fit together.
    DataError
        If values are not finite, k-space is not complex, or trajectory or density have another unit.
    ConfigError
        For an unknown method, option or setting, and for what is said twice or not at all.
    BackendError
        If every method failed.
    """
    settings = _settings(config, method, options)
    if isinstance(kspace, KSpace):
        _refuse_repetition(trajectory, matrix, spokes_per_frame, density, spoke_times_s)
        kspace = kspace.to_numpy()
        check_samples(kspace.data)
        check_trajectory(kspace.trajectory, kspace.data, kspace.matrix)
    else:
        kspace = kspace_from(kspace, trajectory, matrix, spokes_per_frame, density, spoke_times_s)
    maps = None if coil_maps is None else maps_from(coil_maps, kspace)
    return reconstruct_slice(kspace, settings, method, maps=maps)


def _settings(config: Config | Mapping[str, Any] | None, method: str, options: Mapping[str, Any]) -> Config:
    """The configuration; method and options have one place only."""
    given = config.model_dump(exclude_unset=True) if isinstance(config, Config) else dict(config or {})
    for key in ("method", "options"):
        if key in given or any(name.startswith(f"{key}.") for name in given):
            raise ConfigError(
                f"config has {key!r}: name the method by method=..., its options by their own names, as in "
                "reconstruct(..., method='grasp', iterations=20)"
            )
    resolve(method, options)
    return load_config(given, {"method": method, "options": dict(options)})


def _refuse_repetition(*arguments: object) -> None:
    if any(argument is not None for argument in arguments):
        raise ConfigError(
            "a KSpace holds its trajectory, matrix, frames, density and times: give arrays, or a KSpace alone"
        )
