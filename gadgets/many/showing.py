"""What is made of images that lie in a file already: pictures, films, DICOM, NIfTI, a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gadgets.files.info import describe
from gadgets.files.mrd_file import ScanFile
from gadgets.many.settings import settings_of_gadgets
from gadgets.replay.job import Job
from gadgets.replay.views import Facts, Views
from gadgets.translate.series import read_series
from python_recon.errors import ConfigError


def show(job: Job, path: Path, scan_file: ScanFile) -> None:
    """Make what is wanted of the images in ``path``; raises ReconError where they lack what it needs."""
    if not job.views.places:
        return
    series = list(read_series(path, job.out_group))
    job.views.write(series, scan_file.header)
    if job.views.report is not None:
        info = describe(scan_file.path, job.group)
        job.views.write_report(series, Facts(info.facts, settings_of_gadgets(job), info.surprises, {}))


def show_missing(job: Job) -> list[Path]:
    """Make what is wanted and not there yet of an output that is done; tells what that was."""
    if job.scan is None or job.output is None:
        raise ConfigError("give the scan and the images a place: -f and -o")
    wanted = {name: place for name, place in vars(job.views).items() if place and not place.exists()}
    if wanted:
        with ScanFile(job.scan, job.group) as scan_file:
            show(replace(job, views=Views(**wanted)), job.output, scan_file)
    return list(wanted.values())
