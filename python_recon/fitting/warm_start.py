"""Fits that begin where former ones ended."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from python_recon.config import Section
from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.fields.corrected import CorrectedField
from python_recon.fields.field import KSpaceField
from python_recon.fields.fitted import FittedField
from python_recon.fields.image_field import ComponentField, Correction, ImageField
from python_recon.fitting.checkpoint import Checkpoint, Origin, load
from python_recon.fitting.keeping import KeepingOptions

_SAME_SCALE = 1e-3
"""Relative difference of the largest samples of one scan, prepared twice in the same way."""

_log = logging.getLogger(__name__)


def take_over(net: KSpaceField | ImageField, former: FittedField, t: torch.Tensor) -> bool:
    """Begin where a former fit ended; False where it was of another kind or size.

    Corrections are left behind: they are made anew. ``t`` (time,) are the moments at which the images of
    components are to agree, whose temporal bases differ.
    """
    source = former.net.field if isinstance(former.net, CorrectedField | Correction) else former.net
    if isinstance(net, ComponentField):
        fits = isinstance(source, ComponentField) and net.take_over(source, t)
    else:
        fits = source is not None and _shapes(source) == _shapes(net)
        if fits and source is not None:
            net.load_state_dict(source.state_dict())
    if fits:
        _log.info("the fit starts from the former one")
    else:
        _log.info("the former fit is of another kind or size; this one starts anew")
    return fits


def resume(
    net: KSpaceField | ImageField,
    path: Path,
    options: Section,
    kspace: KSpace,
    scale: float,
    t: torch.Tensor,
) -> None:
    """Begin with a checkpoint of the same scan.

    Parameters
    ----------
    options
        Of the fit that is to go on.
    kspace
        Prepared.
    scale
        Its largest sample.
    t
        As for :func:`take_over`.

    Raises
    ------
    DataError
        If the file is no checkpoint, or one of another scan, preparation, kind or size.
    """
    checkpoint = load(path, t.device)
    require_scan(checkpoint, kspace, scale)
    if checkpoint.fitted.net is None:
        raise DataError(f"{path} holds a start without a field: there is no fit to go on from")
    if not (_has_same_part(checkpoint, options) and take_over(net, checkpoint.fitted, t)):
        raise DataError(
            f"the field in {path} is of another kind or size than the options ask for: it was fitted by "
            f"{checkpoint.method} with {_differences(checkpoint, options)}; fit in the same way, or leave "
            "options.resume empty to begin anew"
        )


def _has_same_part(checkpoint: Checkpoint, options: Section) -> bool:
    """Whether both fields are what is added to the same kind of start, or stand alone."""
    return bool(checkpoint.options.get("start", "none") == getattr(options, "start", "none"))


def _differences(checkpoint: Checkpoint, options: Section) -> str:
    """The options that differ, as the checkpoint has them."""
    asked = options.model_dump()
    kept = {key: value for key, value in checkpoint.options.items() if key not in KeepingOptions.model_fields}
    told = [f"{key} {value!r}" for key, value in kept.items() if asked.get(key) != value]
    return ", ".join(told) or "the same options"


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def require_scan(checkpoint: Checkpoint, kspace: KSpace, scale: float) -> None:
    """Refuse a checkpoint of another scan, naming all that differs; raises DataError.

    The largest sample tells scans without identity apart, and other preparations of the same scan.
    """
    saved, found, fitted = checkpoint.origin, Origin.of(kspace), checkpoint.fitted
    pairs = {
        "measurement": (saved.measurement_id, found.measurement_id),
        "slice, contrast, set": (saved.slice_key, found.slice_key),
        "matrix": (fitted.matrix, kspace.matrix),
        "virtual coils": (len(fitted.maps), kspace.n_coils),
    }
    faults = [f"{name} {old!r}, not {new!r}" for name, (old, new) in pairs.items() if old != new]
    if not faults and abs(fitted.scale - scale) > _SAME_SCALE * scale:
        faults = [f"a largest sample of {fitted.scale:g}, not {scale:g}"]
    if faults:
        raise DataError(
            f"the checkpoint is of another scan or preparation: it has {', '.join(faults)}; leave "
            "options.resume empty to begin anew"
        )
