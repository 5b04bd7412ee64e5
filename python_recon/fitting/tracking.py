"""Optional run tracking: what a fit was like, in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from python_recon.errors import BackendError

Track = Callable[[int, Mapping[str, float]], None]
"""Called with a step and the figures of that step."""


def untracked(_step: int, _figures: Mapping[str, float]) -> None:
    """Keep nothing."""


def under(name: str, track: Track) -> Track:
    """The figures of one stage of several, under its name."""
    return lambda step, figures: track(step, {f"{name}/{key}": value for key, value in figures.items()})


def tensorboard(folder: str) -> Track:
    """Writes figures to a folder that ``tensorboard --logdir`` shows; a call makes a line of the plots.

    Raises
    ------
    BackendError
        If TensorBoard is not installed or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(folder)
    except (ImportError, OSError) as error:
        raise BackendError(
            f"no tracking in {folder}: {error}; pip install 'gadgetron-pisco[tensorboard]', or leave "
            "options.tensorboard empty"
        ) from error

    def track(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return track
