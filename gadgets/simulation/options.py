"""What a simulated scan is: the options of ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from python_recon.acquisition.radial.angles import GOLDEN_ANGLE_DEG
from python_recon.config import Section
from python_recon.methods.bounds import Seed

_NOISE_READOUTS = 32


class SimulateOptions(Section):
    """What is scanned, and how."""

    encoding: Literal["radial", "cartesian", "stack_of_stars", "cartesian_3d"] = Field(
        "radial", description="Where the readouts lie: spokes or lines of slices or of one volume."
    )
    matrix: int = Field(128, ge=16, le=1024, description="Image matrix; readouts have twice as many samples.")
    coils: int = Field(8, ge=1, le=128, description="Receive coils.")
    frames: int = Field(24, ge=1, le=65535, description="Frames (repetitions) of each slice.")
    spokes_per_frame: int = Field(
        13, ge=1, le=65535, description="Spokes of each frame (each partition of it), of radial encodings."
    )
    partitions: int = Field(
        16, ge=2, le=512, description="Partitions of a volume: spokes and lines are repeated for each."
    )
    acceleration: float = Field(
        1.0, ge=1, le=64, description="Cartesian: the share of the lines that is measured is its inverse."
    )
    acs: int = Field(
        0, ge=0, le=1024, description="Cartesian: lines around the centre that are measured in any case."
    )
    mask: Literal["uniform", "vista", "poisson", "caipi"] = Field(
        "uniform",
        description="Cartesian: which lines are measured. uniform: every R-th, another one in each frame; "
        "vista: dense in the middle and spread over time; poisson: dense in the middle and nowhere too "
        "near; caipi: every R-th, shifted from partition to partition.",
    )
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
    seed: Seed = Field(0, description="Seed of coils, phases and noise.")

    @property
    def is_volume(self) -> bool:
        return self.encoding in ("stack_of_stars", "cartesian_3d")

    @property
    def is_cartesian(self) -> bool:
        return self.encoding in ("cartesian", "cartesian_3d")

    @property
    def n_images(self) -> int:
        """Slices of the truth."""
        return self.partitions if self.is_volume else self.slices

    @property
    def n_noise_readouts(self) -> int:
        return _NOISE_READOUTS if self.noise_scan and self.noise else 0
