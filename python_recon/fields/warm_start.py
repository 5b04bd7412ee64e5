"""Fits that begin where former ones ended."""

from __future__ import annotations

import logging
from pathlib import Path

from python_recon.data import KSpace
from python_recon.errors import DataError
from python_recon.fields.building import FieldOptions
from python_recon.fields.checkpoint import Checkpoint, Origin, load
from python_recon.fields.field import KSpaceField
from python_recon.fields.fitted import FittedField

_SAME_SCALE = 1e-3
"""Relative difference of the largest samples of one scan, prepared twice in the same way."""

_log = logging.getLogger(__name__)


def take_over(net: KSpaceField, former: FittedField) -> bool:
    """Begin with the parameters of a former fit; False where it was of another kind or size."""
    weights, own = former.net.state_dict(), net.state_dict()
    fits = {n: w.shape for n, w in weights.items()} == {n: w.shape for n, w in own.items()}
    if fits:
        net.load_state_dict(weights)
        _log.info("the fit starts from the former one")
    else:
        _log.info("the former fit is of another kind or size; this one starts anew")
    return fits


def resume(net: KSpaceField, path: Path, kspace: KSpace, scale: float) -> None:
    """Begin with a checkpoint of the same scan.

    Parameters
    ----------
    kspace
        Prepared.
    scale
        Its largest sample.

    Raises
    ------
    DataError
        If the file is no checkpoint, or one of another scan, preparation, kind or size.
    """
    checkpoint = load(path, next(net.parameters()).device)
    require_scan(checkpoint, kspace, scale)
    if not take_over(net, checkpoint.fitted):
        made = {key: value for key, value in checkpoint.options.items() if key in FieldOptions.model_fields}
        raise DataError(
            f"the field in {path} is of another kind or size than the options ask for: fit with those that "
            f"it was made with, {made}"
        )


def require_scan(checkpoint: Checkpoint, kspace: KSpace, scale: float) -> None:
    """Refuse a checkpoint of another scan, naming all that differs; raises DataError.

    The largest sample tells scans without identity apart, and other preparations of the same scan.
    """
    saved, found, fitted = checkpoint.origin, Origin.of(kspace), checkpoint.fitted
    pairs = {
        "measurement": (saved.measurement_id, found.measurement_id),
        "slice, contrast, set": (saved.slice_key, found.slice_key),
        "matrix": (fitted.matrix, kspace.matrix),
        "virtual coils": (fitted.net.n_coils, kspace.n_coils),
    }
    faults = [f"{name} {old!r}, not {new!r}" for name, (old, new) in pairs.items() if old != new]
    if not faults and abs(fitted.scale - scale) > _SAME_SCALE * scale:
        faults = [f"a largest sample of {fitted.scale:g}, not {scale:g}"]
    if faults:
        raise DataError(
            f"the checkpoint is of another scan or preparation: it has {', '.join(faults)}; leave "
            "options.resume empty to begin anew"
        )
