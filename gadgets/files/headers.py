"""What the headers of scans say that were simulated or converted."""

from __future__ import annotations

import ismrmrd
import numpy as np
from ismrmrd import xsd

from gadgets.translate.study import POSITION_MARK

FIRST_TICK = 36_000 * 400
"""Time stamp of the first imaging readout: ten o'clock."""
SCHEMA_POSITION = "HFS"
"""Patient position where it is not known: the schema demands one. See :func:`unknown_position`."""
_WORD_BITS = 64


def unknown_position() -> xsd.userParametersType:
    """Marks the header's patient position as one that nobody told."""
    name, value = POSITION_MARK
    return xsd.userParametersType(userParameterString=[xsd.userParameterStringType(name=name, value=value)])


def channel_mask(n_coils: int) -> np.ndarray:
    """(word,) uint64 with a bit for each of the first coils."""
    words = range(ismrmrd.CHANNEL_MASKS)
    masks = [(1 << min(_WORD_BITS, max(0, n_coils - _WORD_BITS * word))) - 1 for word in words]
    return np.array(masks, np.uint64)


def limit(count: int) -> xsd.limitType:
    """The range of a counter that takes ``count`` values."""
    return xsd.limitType(minimum=0, maximum=count - 1, center=count // 2)


def angle_description(
    increment_deg: float, offset_deg: float = 0.0, identifier: str = "golden_angle"
) -> xsd.trajectoryDescriptionType:
    """Angles that rise by the same step from spoke to spoke."""
    return xsd.trajectoryDescriptionType(
        identifier=identifier,
        userParameterDouble=[
            xsd.userParameterDoubleType(name="angle_increment_deg", value=increment_deg),
            xsd.userParameterDoubleType(name="angle_offset_deg", value=offset_deg),
        ],
    )
