"""``replay``: a scan through the gadgets of a configuration, or through a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gadgets.cli.many import Workforce, replay_many
from gadgets.console import parse_settings
from gadgets.many.plan import find_scans, is_several
from gadgets.replay.job import Job, run
from gadgets.replay.views import (
    DicomOption,
    Mp4Option,
    NiftiOption,
    PlainOption,
    PreviewOption,
    ReportOption,
    Views,
)
from gadgets.wire.pump import Timeouts
from python_recon.errors import ConfigError


def replay(
    scans: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            help="ISMRMRD file with the scan, a recorded stream, a folder, or a quoted pattern; repeatable.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config", "-c", help="A file or an installed name; with -a or -p the server's own name."
        ),
    ] = None,
    local_config: Annotated[
        Path | None, typer.Option("--local-config", "-C", help="A file, whose text is sent to a server.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="ISMRMRD file for the images, for many scans a folder."),
    ] = None,
    group: Annotated[str, typer.Option("--in-group", "-g", help="Group of the scan.")] = "dataset",
    out_group: Annotated[str, typer.Option("--out-group", "-G", help="Group of the images.")] = "dataset",
    address: Annotated[
        str | None, typer.Option("--address", "-a", help="Server (with -p: localhost).")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=1, max=65535, help="Its port (with -a: 9002).")
    ] = None,
    loops: Annotated[
        int,
        typer.Option("--loops", "-l", min=1, help="How many times to send; images in GROUP, GROUP_2, ..."),
    ] = 1,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", "-t", min=0.1, help="Seconds without any traffic after which the replay gives up."
        ),
    ] = Timeouts.idle_s,
    use_stdin: Annotated[bool, typer.Option("--stdin", help="Read the scan as an MRD stream.")] = False,
    use_stdout: Annotated[bool, typer.Option("--stdout", help="Write the images as an MRD stream.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value overrides a property; repeatable.")
    ] = None,
    preview: PreviewOption = None,
    mp4: Mp4Option = None,
    dicom: DicomOption = None,
    nifti: NiftiOption = None,
    report: ReportOption = None,
    plain: PlainOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output where it exists.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="How many of several scans run at a time (1).")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Dask scheduler, tcp://..., to do the work (an extra)."),
    ] = None,
    split_slices: Annotated[
        bool, typer.Option("--split-slices", help="Spread the slices of each scan over the workers, too.")
    ] = False,
) -> None:
    """Send a scan through the gadgets of a configuration, as Gadgetron would, and keep the images.

    Without -a and -p the gadgets run here, each in a process of its own; with them a Gadgetron or MRD
    server runs the configuration. The exit status is 0 only when images came and no error did.

    Of many scans, each has a file in the folder -o; what is done is skipped, what fails stops no other.
    """
    has_server = address is not None or port is not None
    workforce = Workforce(workers, scheduler, split_slices)
    are_many = is_several(scans or []) or workforce.is_wanted
    views = Views(preview, mp4, dicom, nifti, report, is_plain=plain)
    job = Job(
        scan=scans[0] if scans else None,
        config=config,
        local_config=local_config,
        output=output,
        group=group,
        out_group=out_group,
        server=(address or "localhost", port or 9002) if has_server else None,
        loops=loops,
        timeouts=Timeouts(idle_s=timeout),
        use_stdin=use_stdin,
        use_stdout=use_stdout,
        settings=parse_settings(settings or []),
        views=Views() if are_many else views,
        overwrite=overwrite,
    )
    if not are_many:
        run(job)
    elif scans is None or output is None or use_stdout:
        raise ConfigError("many scans come from files and go to files: give -f and -o, not --stdin, --stdout")
    else:
        replay_many(job, find_scans(scans, output), views, workforce)
