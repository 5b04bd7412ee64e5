"""What the configuration of a job says of matters that concern many scans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gadgets.files.mrd_file import ScanFile
from gadgets.replay.config_xml import StreamConfig
from gadgets.replay.job import Job
from gadgets.replay.route import Choice, effective_settings, embedded_config
from python_recon.config import OutputConfig, load_config
from python_recon.errors import ConfigError

_FILES = ("checkpoint", "resume")
"""Options that name a file of one scan."""


def device_of(job: Job) -> Literal["auto", "cpu", "cuda"]:
    """``cuda`` where a gadget of ours insists on it, ``cpu`` where none may take a GPU, else ``auto``."""
    if job.server is not None:
        return "cpu"  # the server computes
    if not is_configured(job):
        return "auto"
    wanted = {str(settings.get("device", "auto")) for settings in _settings(_config(job))}
    if "cuda" in wanted:
        return "cuda"
    return "auto" if "auto" in wanted else "cpu"


def refuse_shared_files(job: Job) -> None:
    """Raise ConfigError where every scan would write, or go on from, the same checkpoint."""
    for settings in _settings(_config(job)) if job.server is None and is_configured(job) else ():
        options = settings.get("options")
        named = [key for key in _FILES if isinstance(options, Mapping) and options.get(key)]
        if named:
            raise ConfigError(
                f"options.{named[0]} names one file, but each scan needs its own: replay them one by one"
            )


def slice_settings(job: Job) -> dict[str, str]:
    """Settings by which the slices of a job, reconstructed one by one, differ from the whole.

    Their pixels get one scale when all of them are together.

    Raises
    ------
    ConfigError
        Where the job cannot be split: its images come from a server, from gadgets that are not ours, or go
        to several groups.
    """
    if job.server is not None or job.loops > 1:
        raise ConfigError("--split-slices goes with neither a server (-a, -p) nor --loops")
    if not is_configured(job):
        raise ConfigError("--split-slices needs a configuration: -c NAME or -C FILE")
    return {} if output_config(job).dtype == "complex64" else {"output.dtype": "float32"}


def output_config(job: Job) -> OutputConfig:
    """How the last gadget is to send its images; raises ConfigError where a gadget is not ours."""
    config = _config(job)
    foreign = [node.name for node in config.nodes if node.module.partition(".")[0] != "gadgets"]
    if foreign:
        raise ConfigError(
            "--split-slices: only gadgets of this project, started here, are known to take a slice by "
            f"itself; {config.name} has {', '.join(foreign)}"
        )
    return load_config(_settings(config)[-1]).output


def settings_of_gadgets(job: Job) -> dict[str, Any]:
    """What a report tells of the configuration: the settings of each gadget, or the server."""
    if job.server is not None:
        return {"server": ":".join(map(str, job.server))}
    return {node.name: effective_settings(node) for node in embedded_config(choice_of(job)).nodes}


def is_configured(job: Job) -> bool:
    """Whether one configuration was named for all scans; otherwise each scan holds its own."""
    return job.config is not None or job.local_config is not None


def choice_of(job: Job) -> Choice:
    """The configuration of a job's scan."""
    if is_configured(job) or job.scan is None:
        return Choice(job.config, job.local_config, None, job.settings)
    with ScanFile(job.scan, job.group) as scan:
        return Choice(None, None, scan.session, job.settings)


def _config(job: Job) -> StreamConfig:
    return embedded_config(choice_of(job))


def _settings(config: StreamConfig) -> list[dict[str, Any]]:
    return [effective_settings(node) for node in config.nodes]
