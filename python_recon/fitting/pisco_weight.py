"""The weight of PISCO: a number of the configuration, or what held-out spokes choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from python_recon.data import CoilMaps
from python_recon.fields.combining import image_signal
from python_recon.fields.field import KSpaceField
from python_recon.fitting.descent import FitReport
from python_recon.judging.judge import Judge

PiscoWeight = Annotated[float, Field(ge=0, le=1e6)] | Literal["held_out"]

_UNJUDGED = 0.02
"""Where no spokes can be held out."""


def number_of(weight: PiscoWeight) -> float:
    """The weight of a fit in which it is not chosen."""
    return _UNJUDGED if weight == "held_out" else weight


def weight_judge(
    weight: PiscoWeight, net: KSpaceField, maps: CoilMaps, judge: Judge | None
) -> Callable[[], float] | None:
    """Error of held-out spokes as the images predict them; None: the weight is not chosen.

    The error of the field itself is mostly in what no image shows. It asks for weights so large that they
    damp the images as well.
    """
    if weight != "held_out" or judge is None:
        return None
    return lambda: judge(image_signal(net, maps.maps))[0]


def weight_told(weight: PiscoWeight, report: FitReport, is_judged: bool) -> str:
    """How the weight came about, where it was to be chosen; nothing where it made no difference."""
    if weight != "held_out":
        return ""
    if not is_judged:
        return f"PISCO's weight is {_UNJUDGED:g}: no spokes are held out to choose it"
    chosen = report.chosen.get("consistency_weight")
    if chosen is None:
        return "the fit was too short to choose PISCO's weight"
    return f"PISCO's weight {chosen:g}, chosen by held-out spokes" if any(report.shares) else ""
