"""Flags of readouts as bits of their headers, and what they tell of a readout's purpose."""

from __future__ import annotations

from collections.abc import Mapping

import ismrmrd

PHASE_STABILISATION_REFERENCE, PHASE_STABILISATION = 30, 31
"""Not named by ismrmrd 1.14."""


def mask(*flags: int) -> int:
    """The bits of flags, which ISMRMRD counts from 1."""
    return sum(1 << (flag - 1) for flag in set(flags))


NOISE = mask(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
NOT_IMAGING: Mapping[str, int] = {
    "navigator or real-time feedback": mask(
        ismrmrd.ACQ_IS_NAVIGATION_DATA, ismrmrd.ACQ_IS_RTFEEDBACK_DATA, ismrmrd.ACQ_IS_HPFEEDBACK_DATA
    ),
    "phase correction": mask(ismrmrd.ACQ_IS_PHASECORR_DATA),
    "phase stabilisation": mask(PHASE_STABILISATION_REFERENCE, PHASE_STABILISATION),
    "dummy": mask(ismrmrd.ACQ_IS_DUMMYSCAN_DATA),
    "surface coil correction": mask(ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA),
}
"""Masks of readouts that make no image, by what they are acquired for; noise is apart."""
