"""``convert``: what is no ISMRMRD file becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gadgets.console import output
from gadgets.convert.protocol import Unit
from python_recon.errors import ConfigError

_Triple = tuple[float, float, float]


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Siemens .dat, BART .cfl, .npy, .npz, .mat or .h5.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.h5", help="ISMRMRD file for the scan.")],
    data: Annotated[str | None, typer.Option(help="Name of the k-space among several arrays.")] = None,
    trajectory: Annotated[
        str | None, typer.Option(help="Name of the trajectory in the same file, or a file of its own.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes of the k-space, such as 'frame coil spoke readout', which is the default; with kz, a "
            "stack of stars; with ky in place of spoke (and kz), Cartesian."
        ),
    ] = None,
    trajectory_axes: Annotated[
        str | None, typer.Option(help="Axes of the trajectory, such as 'spoke readout dimension'.")
    ] = None,
    unit: Annotated[
        Unit | None,
        typer.Option(help="Unit of the trajectory: -N/2..N/2 (BART), -0.5..0.5 or 1/mm (auto)."),
    ] = None,
    matrix: Annotated[int | None, typer.Option(min=2, help="Pixels along a side of the image.")] = None,
    field_of_view: Annotated[float | None, typer.Option(help="A side of the image, mm.")] = None,
    slice_thickness: Annotated[
        float | None, typer.Option(help="Thickness of the slices, and their distance, mm (5).")
    ] = None,
    repetition_time: Annotated[
        float | None, typer.Option(help="Time from readout to readout, ms (2.5).")
    ] = None,
    angle_increment: Annotated[
        float | None,
        typer.Option(help="Angle from spoke to spoke, degrees, if there is no trajectory (111.246)."),
    ] = None,
    angle_offset: Annotated[float | None, typer.Option(help="Angle of the first spoke, degrees (0).")] = None,
    center_sample: Annotated[int | None, typer.Option(min=0, help="Sample at the centre of k-space.")] = None,
    position: Annotated[_Triple | None, typer.Option(help="Centre of the slices, LPS, mm.")] = None,
    read_direction: Annotated[
        _Triple | None, typer.Option(help="Direction of kx and the image's x, LPS.")
    ] = None,
    phase_direction: Annotated[
        _Triple | None, typer.Option(help="Direction of ky and the image's y, LPS.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Make an ISMRMRD file of raw data in another format.

    Siemens twix files tell all but the angles. Of arrays, give --matrix, --field-of-view and what else is
    known; kx belongs to the image's x axis, its last one, and a complex trajectory is kx + i ky.
    """
    from gadgets.convert.dispatch import ArrayChoice, convert_file

    known = {
        "matrix": matrix, "field_of_view_mm": field_of_view, "slice_thickness_mm": slice_thickness,
        "repetition_time_ms": repetition_time, "angle_increment_deg": angle_increment,
        "angle_offset_deg": angle_offset, "center_sample": center_sample, "position_mm": position,
        "read_dir": read_direction, "phase_dir": phase_direction,
    }  # fmt: skip
    protocol: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    choice = ArrayChoice(data, trajectory, _words(axes), _words(trajectory_axes), unit)
    try:
        n_readouts = convert_file(source, target, choice, protocol, overwrite=overwrite)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"the scan is not described well: {faults}") from error
    output.print(f"{n_readouts} readouts -> {target}", markup=False, highlight=False, soft_wrap=True)


def _words(text: str | None) -> list[str] | None:
    return None if text is None else text.replace(",", " ").split()
