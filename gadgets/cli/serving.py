"""``serve``: the warm daemon."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gadgets.capture.recorder import (
    DEFAULT_QUOTA_GB,
    FOLDER_VARIABLE,
    NAMES_VARIABLE,
    QUOTA_VARIABLE,
    CaptureSettings,
)

if TYPE_CHECKING:
    from gadgets.serve.daemon import Daemon


def serve(
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Address to listen on; repeatable (loopback only).")
    ] = None,
    gadgetron_port: Annotated[
        int, typer.Option("--connect-port", min=0, max=65535, help="Port for <connect>; 0: none.")
    ] = 18000,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect", help="PORT=CONFIG, one more port for <connect> and its configuration; repeatable."
        ),
    ] = None,
    default: Annotated[
        str | None, typer.Option(help="Configuration of scans that bring none, at all other ports.")
    ] = None,
    mrd_port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Port for MRD clients; 0: none.")
    ] = 9002,
    health_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of /healthz, /readyz, /metrics; 0: none.")
    ] = 9003,
    health_host: Annotated[str, typer.Option(help="Address for that port.")] = "127.0.0.1",
    live: Annotated[
        Literal["on", "off"], typer.Option(help="Live page at that port: scans, frames, errors.")
    ] = "on",
    live_images: Annotated[
        bool,
        typer.Option("--live-images", help="Show images there even if other machines can reach it."),
    ] = False,
    allow: Annotated[
        list[str] | None, typer.Option(help="Address or network of peers that are served; repeatable (all).")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Fits that run at a time (CUDA: 1, else half the cores)."),
    ] = None,
    max_scans: Annotated[
        int,
        typer.Option(
            min=1, help="Largest number of scans in progress, those that wait included; others are refused."
        ),
    ] = 32,
    max_idle: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds within which a client has to send configuration and header."),
    ] = 60.0,
    fair_share: Annotated[
        float,
        typer.Option(
            min=0.1, help="Seconds after which a fit gives way, with what it has, to a waiting scan."
        ),
    ] = 60.0,
    grace: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds beyond max_recon_seconds after which a scan is ended by force."),
    ] = 30.0,
    most: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE: what a client may set it to at most; repeatable."),
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(envvar=FOLDER_VARIABLE, help="Folder in which scans are kept as they come (none)."),
    ] = None,
    capture_quota_gb: Annotated[
        float,
        typer.Option(
            envvar=QUOTA_VARIABLE,
            min=0.001,
            help="Size of that folder, GB; the oldest scans are removed for new ones.",
        ),
    ] = DEFAULT_QUOTA_GB,
    capture_names: Annotated[
        bool,
        typer.Option("--capture-names", envvar=NAMES_VARIABLE, help="Keep patient, staff and site in them."),
    ] = False,
) -> None:
    """Stay warm and serve scans: Gadgetron's <connect> nodes and direct MRD clients.

    SIGTERM, SIGHUP or Ctrl-C lets the scans in progress finish; a second Ctrl-C ends them.
    """
    from gadgets.serve import logs
    from gadgets.serve.daemon import Daemon, Options
    from gadgets.serve.defaults import Defaults
    from gadgets.serve.doors import parse_networks
    from gadgets.serve.health import is_loopback
    from gadgets.serve.most import parse_most

    log = logs.LogSettings(min(logging.getLogger().level, logging.INFO), not sys.stderr.isatty())
    options = Options(
        gadgetron_port=gadgetron_port,
        mrd_port=mrd_port,
        health_port=health_port,
        health_host=health_host,
        has_live=live == "on",
        shows_images=live_images or all(map(is_loopback, (health_host, *(host or ())))),
        allowed=parse_networks(allow or ()),
        n_jobs=jobs,
        max_scans=max_scans,
        max_idle_s=max_idle,
        fair_share_s=fair_share,
        grace_s=grace,
        most=parse_most(most or ()),
        log=log,
        defaults=Defaults.from_names(default, connect or ()),
        capture=CaptureSettings.checked(capture, capture_quota_gb, capture_names) if capture else None,
        **({"hosts": tuple(host)} if host else {}),
    )
    logs.configure(log)
    daemon = Daemon(options)
    _obey_signals(daemon)
    daemon.run()
    if daemon.is_abandoned:
        raise typer.Exit(128 + signal.SIGINT)


def _obey_signals(daemon: Daemon) -> None:
    def drain(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        daemon.abandon() if daemon.is_stopping else daemon.stop()

    signal.signal(signal.SIGTERM, drain)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, drain)
    signal.signal(signal.SIGINT, interrupt)
