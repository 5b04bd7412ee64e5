"""Angles of spokes by their number."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeAlias

from python_recon.config import TrajectoryConfig
from python_recon.data import Scan
from python_recon.errors import MissingTrajectoryError

logger = logging.getLogger(__name__)

AngleOfSpoke: TypeAlias = Callable[[int], float]
"""Direction of a spoke in degrees, from its number."""

GOLDEN_ANGLE_DEG = 180.0 * (math.sqrt(5.0) - 1.0) / 2.0
"""111.246... degrees: Gadgetron's mode 2 (Winkelmann et al., doi 10.1109/TMI.2006.885337)."""
SMALL_GOLDEN_ANGLE_DEG = 180.0 * (3.0 - math.sqrt(5.0)) / 2.0
"""68.754 degrees, its complement to 180: Gadgetron's mode 3."""

_FIRST_SPOKE_DEG = 180.0
"""Gadgetron's spokes start at the far end: spoke 0 runs towards -x."""
_ROUNDED_DEG = 0.005
"""An increment this close to a golden angle, but not equal, is one that was rounded."""
_NINE_DIGITS_DEG = 2e-6
"""What nine digits, or single precision, leave open of an increment in degrees."""

_INCREMENT_NAMES = ("angleincrement", "angularincrement", "angleincrementdeg", "anglestep", "angularstep")
_OFFSET_NAMES = ("angleoffset", "angleoffsetdeg", "startangle", "angularoffset", "firstangle")


def header_angles(scan: Scan) -> AngleOfSpoke | None:
    """Angles as the header's trajectoryDescription describes them (degrees); None where it does not."""
    named = {_plain(name): value for name, value in scan.trajectory_parameters.items()}
    increment = next((named[name] for name in _INCREMENT_NAMES if name in named), None)
    if increment is None:
        return None
    offset = next((named[name] for name in _OFFSET_NAMES if name in named), 0.0)
    logger.info("angles come from the header: increment %.10g deg, offset %.10g deg", increment, offset)
    return _progression(_unrounded(increment), offset)


def configured_angles(scan: Scan, config: TrajectoryConfig) -> AngleOfSpoke:
    """Angles as configured, or golden where the header says so and nothing is configured.

    Raises
    ------
    MissingTrajectoryError
        If there is neither.
    """
    offset = config.angle_offset_deg
    if config.angle_increment_deg is not None:
        if config.mode is not None:
            logger.warning("trajectory.angle_increment_deg takes precedence over trajectory.mode")
        _tell_of_rounding(config.angle_increment_deg)
        return _progression(config.angle_increment_deg, offset)
    mode = config.mode
    if mode is None and scan.trajectory_kind == "goldenangle":
        logger.info(
            "the header says goldenangle and no increment: taking mode 2 (%.10f deg)", GOLDEN_ANGLE_DEG
        )
        mode = 2
    if mode is None:
        raise MissingTrajectoryError(
            f"the data (trajectory {scan.trajectory_kind!r}) carry no trajectory, no angle in user_float and "
            "none in the header: set trajectory.mode (2 or 3 for golden angles, 0 or 1 for fixed ones) or "
            "trajectory.angle_increment_deg"
        )
    if mode >= 2:
        return _progression(GOLDEN_ANGLE_DEG if mode == 2 else SMALL_GOLDEN_ANGLE_DEG, offset)
    return _fixed_angles(scan, config, mode)


def _fixed_angles(scan: Scan, config: TrajectoryConfig, mode: int) -> AngleOfSpoke:
    limit = scan.limits.get("kspace_encode_step_1", 0)
    n_spokes = config.spokes_per_rotation or (limit + 1 if limit > 0 else None)
    if n_spokes is None:
        raise MissingTrajectoryError(
            f"trajectory.mode {mode} needs the number of spokes of a frame, and the header gives no limit of "
            "kspace_encode_step_1: set trajectory.spokes_per_rotation"
        )
    n_frames = config.frames_per_rotation if mode == 1 else 1

    def angle(number: int) -> float:
        frame, spoke = divmod(number, n_spokes)
        turn = (spoke + (frame % n_frames) / n_frames) / n_spokes
        return 180.0 * turn + config.angle_offset_deg + _FIRST_SPOKE_DEG

    return angle


def _progression(increment_deg: float, offset_deg: float) -> AngleOfSpoke:
    return lambda number: number * increment_deg + offset_deg + _FIRST_SPOKE_DEG


def _unrounded(increment_deg: float) -> float:
    """The golden angle for what is that to nine digits: as many have headers that Gadgetron writes anew."""
    angles = (GOLDEN_ANGLE_DEG, SMALL_GOLDEN_ANGLE_DEG)
    return next((each for each in angles if abs(each - increment_deg) < _NINE_DIGITS_DEG), increment_deg)


def _tell_of_rounding(increment_deg: float) -> None:
    for golden in (GOLDEN_ANGLE_DEG, SMALL_GOLDEN_ANGLE_DEG):
        error = abs(increment_deg - golden)
        if 1e-9 < error < _ROUNDED_DEG:
            logger.warning(
                "an increment of %.10g deg is used as given; the golden angle is %.10f deg, which is 1 deg "
                "away after %d spokes",
                increment_deg,
                golden,
                round(1 / error),
            )


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
