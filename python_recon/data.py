"""The nouns: what flows through the reconstruction.

Conventions, stated here once and meant everywhere:

- Axes are called and ordered *frame, coil, spoke, readout*; images are *frame, y, x*. ``readout`` is
  the axis of the samples of one spoke.
- k-space and images are complex64. Images are centred: index ``n // 2`` is the isocentre of the axis.
- A trajectory is in cycles per field of view (1/FOV), so a matrix of N needs -N/2..N/2. Its last axis
  is (kx, ky); kx belongs to the image's x axis (the read direction, last axis of an image), ky to y.
- The signal of an image m at k is ``sum_yx m[y, x] exp(-2 pi i (kx x / Nx + ky y / Ny)) / sqrt(Nx Ny)``
  with x, y counted from the isocentre: fully sampled on the Cartesian grid this is the unitary FFT.
- Times are seconds; lengths are millimetres in patient coordinates (LPS).

The arrays of :class:`KSpace`, :class:`CoilMaps` may be NumPy arrays or Torch tensors (``to_torch``); a
:class:`Readout` and an :class:`ImageSeries` hold NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from python_recon.arrays import Array, to_numpy
from python_recon.errors import ShapeError
from python_recon.physiology import Physiology

Vector: TypeAlias = tuple[float, float, float]

PREVIEW_SERIES, FINAL_SERIES, COIL_MAP_SERIES = 1, 2, 3
"""Indices of the series of previews, of the method's images and of coil maps, in the first run of frames."""
SERIES_OF_A_RUN = 10
"""A new run of frames begins new series, whose indices are this much higher."""


@dataclass(frozen=True)
class Geometry:
    """Where a slice lies in the patient (LPS, mm)."""

    position_mm: Vector = (0.0, 0.0, 0.0)
    """Centre of the slice."""
    read_dir: Vector = (1.0, 0.0, 0.0)
    """Direction of the image's x axis."""
    phase_dir: Vector = (0.0, 1.0, 0.0)
    """Direction of the image's y axis."""
    slice_dir: Vector = (0.0, 0.0, 1.0)
    table_position_mm: Vector = (0.0, 0.0, 0.0)
    field_of_view_mm: Vector = (0.0, 0.0, 0.0)
    """Extent along x, y and z of the reconstructed volume."""


@dataclass(frozen=True)
class Counters:
    """The encoding counters of a readout, as the sequence counted them."""

    kspace_encode_step_1: int = 0
    kspace_encode_step_2: int = 0
    average: int = 0
    slice: int = 0
    contrast: int = 0
    phase: int = 0
    repetition: int = 0
    set: int = 0
    segment: int = 0


@dataclass(frozen=True)
class NoiseLevel:
    """The noise of k-space that is white: of one variance in all coils, and independent."""

    std: float
    """Standard deviation of the real part of a sample, and of its imaginary part."""
    is_measured: bool
    """Whether a noise scan told it; False: it was estimated from the data themselves."""

    @property
    def variance(self) -> float:
        """Of a complex sample."""
        return 2 * self.std**2


@dataclass(frozen=True)
class Readout:
    """One readout of all coils, trimmed of discarded samples and in forward order."""

    data: np.ndarray
    """(coil, readout) complex64."""
    counters: Counters = Counters()
    geometry: Geometry = Geometry()
    center_sample: int = 0
    """Index of the sample at the centre of k-space."""
    sample_time_us: float = 0.0
    """Dwell time of a sample; 0 when unknown."""
    time_s: float = 0.0
    """Acquisition time stamp."""
    arrived_s: float | None = None
    """When it was received, by the monotonic clock; None: unknown."""
    physiology_s: Vector = (0.0, 0.0, 0.0)
    """Physiology time stamps; the first is the time since the last R wave."""
    scan_counter: int = 0
    user_float: tuple[float, ...] = ()
    channel_mask: tuple[int, ...] = ()
    """Bits of the receive channels that are in use; empty when unknown."""
    noise: NoiseLevel | None = None
    """After whitening; None: not known."""
    is_noise: bool = False
    is_calibration: bool = False
    """For coil maps only, not for images."""
    is_reversed: bool = False
    """Acquired from the far end; the samples are in forward order already."""
    raw_trajectory: np.ndarray | None = None
    """(readout, dimension) float32 as it was embedded, its unit unknown; None when there was none."""
    trajectory: np.ndarray | None = None
    """(readout, 2) float32 in cycles per field of view; None until located."""
    encoding: str = "radial"
    """A name of :mod:`python_recon.acquisition.encoding`; told where it is located."""
    matrix: tuple[int, int] | None = None
    """Matrix (y, x) on whose grid it lies, which may be wider than the images; None: that of the images."""
    spoke_index: int | None = None
    """Running number of the spoke in the sequence's own order, gaps kept; None until located."""
    origin: Any = None
    """What the readout was made of, for those who hand it on; computation does not look at it."""

    @property
    def n_coils(self) -> int:
        return int(self.data.shape[0])

    @property
    def n_samples(self) -> int:
        return int(self.data.shape[1])


@dataclass(frozen=True)
class Scan:
    """What the header says of one encoding space of a measurement."""

    matrix: tuple[int, int]
    """Reconstructed matrix (y, x)."""
    encoded_matrix: tuple[int, int]
    """Encoded matrix (y, x); its x may or may not count the readout oversampling."""
    field_of_view_mm: Vector
    """Reconstructed extent along x, y, z."""
    encoded_field_of_view_mm: Vector
    partitions: int = 1
    """Of the encoded volume; 1 for slices."""
    trajectory_kind: str = "radial"
    """cartesian, epi, radial, goldenangle, spiral or other."""
    trajectory_parameters: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the header's trajectoryDescription."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Largest value of each encoding counter that the header announces."""
    centres: Mapping[str, int] = field(default_factory=dict)
    """Value of each encoding counter at the centre of k-space, as far as the header tells."""
    n_coils: int | None = None
    noise_bandwidth_ratio: float = 1.0
    """relativeReceiverNoiseBandwidth."""
    measurement_id: str = ""
    protocol: str = ""
    user_parameters: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class KSpace:
    """k-space of one slice (one contrast, one set), cut into frames.

    A readout is called a spoke, whether it is one or a line of a grid.
    """

    data: Array
    """(frame, coil, spoke, readout) complex64; zero where ``spoke_mask`` is False."""
    trajectory: Array
    """(frame, spoke, readout, 2) float32, cycles per field of view."""
    matrix: tuple[int, int]
    """Matrix (y, x) on which it is reconstructed."""
    encoding: str = "radial"
    """A name of :mod:`python_recon.acquisition.encoding`: radial, cartesian or scattered."""
    image_matrix: tuple[int, int] | None = None
    """Matrix (y, x) to which the images are cut afterwards; None: they are not."""
    density: Array | None = None
    """(frame, spoke, readout) float32 density compensation, 0 for padding; None until computed."""
    spoke_mask: Array | None = None
    """(frame, spoke) bool, False where a frame is padded or a spoke was lost; None: all are there."""
    is_shared: Array | None = None
    """(frame, spoke) bool, True for spokes borrowed from neighbouring frames (view sharing): only their
    outer samples count, where the frame's own spokes are too sparse. None: no sharing."""
    calibration: KSpace | None = None
    """One frame of readouts that were measured for coil maps only; None: the maps come from these data."""
    noise: NoiseLevel | None = None
    """Of every sample; None: not known."""
    spoke_times_s: np.ndarray | None = None
    """(frame, spoke) float64, time of each spoke."""
    times_s: np.ndarray | None = None
    """(frame,) float64, mean time of each frame."""
    physiology_s: np.ndarray | None = None
    """(frame, 3) float64, physiology stamps at the middle of each frame."""
    geometry: Geometry = Geometry()
    counters: Counters = Counters()
    """Counters of the first readout; slice, contrast and set hold for all of them."""
    measurement_id: str = ""
    first_frame: int = 0
    """Number of the first frame within its series, for k-space that arrives frame by frame."""
    frame_states: np.ndarray | None = None
    """(frame,) int, respiratory state of each frame; None: not sorted."""
    is_periodic: bool = False
    """Whether the first frame follows the last: they are phases of one beat."""
    physiology: Physiology | None = None
    """Heart and breath during the whole scan; None: only the stamps are known."""
    comment: str = ""
    """What a reader of the images should know: beats that were left out, signals that were missing."""
    run: int = 0
    """Rises where geometry, coils or sample count change in mid-scan: frames of one run fit together."""

    def __post_init__(self) -> None:
        frames, _, spokes, readout = self.data.shape
        _require("trajectory", self.trajectory, (frames, spokes, readout, 2))
        _require("density", self.density, (frames, spokes, readout))
        _require("spoke_mask", self.spoke_mask, (frames, spokes))
        _require("is_shared", self.is_shared, (frames, spokes))

    @property
    def n_frames(self) -> int:
        return int(self.data.shape[0])

    @property
    def n_coils(self) -> int:
        return int(self.data.shape[1])

    @property
    def n_spokes(self) -> int:
        """Spokes per frame, padding included."""
        return int(self.data.shape[2])

    @property
    def n_samples(self) -> int:
        return int(self.data.shape[3])

    def to_torch(self, device: str = "cpu") -> KSpace:
        """The same k-space with Torch tensors on ``device``."""
        moved: dict[str, Any] = {name: _tensor(getattr(self, name), device) for name in _TENSORS}
        calibration = None if self.calibration is None else self.calibration.to_torch(device)
        return replace(self, **moved, calibration=calibration)

    def to_numpy(self) -> KSpace:
        """The same k-space with NumPy arrays."""
        held = {name: getattr(self, name) for name in _TENSORS}
        moved: dict[str, Any] = {name: None if a is None else to_numpy(a) for name, a in held.items()}
        calibration = None if self.calibration is None else self.calibration.to_numpy()
        return replace(self, **moved, calibration=calibration)

    def in_units_of(self, unit: float) -> KSpace:
        """The same k-space, samples and noise divided by a unit."""
        noise = None if self.noise is None else replace(self.noise, std=self.noise.std / unit)
        return replace(self, data=self.data / unit, noise=noise)

    def frames(self, index: slice) -> KSpace:
        """A view of some of the frames."""
        cut: dict[str, Any] = {name: _cut(getattr(self, name), index) for name in (*_TENSORS, *_PER_FRAME)}
        return replace(self, first_frame=self.first_frame + index.indices(self.n_frames)[0], **cut)


_TENSORS = ("data", "trajectory", "density", "spoke_mask", "is_shared")
_PER_FRAME = ("spoke_times_s", "times_s", "physiology_s", "frame_states")


@dataclass(frozen=True)
class CoilMaps:
    """Coil sensitivities of one slice, normalised to unit root-sum-of-squares where there is signal."""

    maps: Array
    """(coil, y, x) complex64."""
    source: str
    """Name of the estimator."""
    comment: str = ""
    """What a reader of the images should know of them."""

    @classmethod
    def normalised(cls, maps: np.ndarray, source: str) -> CoilMaps:
        """Maps (coil, y, x) of any scale with a root-sum-of-squares of 1, and 0 where all coils are 0."""
        size = np.linalg.norm(maps, axis=0)
        return cls((maps / np.where(size > 0, size, 1)).astype(np.complex64), source)

    @property
    def n_coils(self) -> int:
        return int(self.maps.shape[0])

    def to_torch(self, device: str = "cpu") -> CoilMaps:
        return replace(self, maps=_tensor(self.maps, device))


@dataclass(frozen=True)
class ImageSeries:
    """Frames of one slice that belong to one kind of output."""

    images: np.ndarray
    """(frame, y, x) complex64."""
    method: str
    """Name of the method that made them."""
    series_index: int
    """1 for the preview, 2 for the configured method; of a second run of frames, 11 and 12."""
    geometry: Geometry = Geometry()
    counters: Counters = Counters()
    times_s: np.ndarray | None = None
    """(frame,) float64."""
    physiology_s: np.ndarray | None = None
    """(frame, 3) float64."""
    first_frame: int = 0
    """Number of the first frame within the slice's series."""
    comment: str = ""
    """What a reader of the image should know: the rung of the ladder, what was left out."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Seconds by stage, iterations, stop reason."""
    measurement_id: str = ""
    coil_maps: np.ndarray | None = None
    """(coil, y, x) complex64 of the coils after compression; None unless ``output.coil_maps`` is set."""

    @property
    def n_frames(self) -> int:
        return int(self.images.shape[0])


def _require(name: str, array: Array | None, shape: tuple[int, ...]) -> None:
    if array is not None and tuple(array.shape) != shape:
        raise ShapeError(f"{name} has shape {tuple(array.shape)}, but the data need {shape}")


def _cut(array: Array | None, index: slice) -> Array | None:
    return None if array is None else array[index]


def _tensor(array: Array | None, device: str) -> Array | None:
    import torch

    return None if array is None else torch.as_tensor(array, device=device)
