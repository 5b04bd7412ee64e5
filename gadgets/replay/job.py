"""What ``replay`` does with its options."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import ismrmrd
from ismrmrd.xsd import ismrmrdHeader

from gadgets.console import errors, progress
from gadgets.files.mrd_file import ImageFile, ScanFile
from gadgets.files.slice_file import SliceFile
from gadgets.files.stream_file import StreamFile, is_stream
from gadgets.replay.client import Server, open_server
from gadgets.replay.coil_maps import CoilMapSieve
from gadgets.replay.config_xml import StreamConfig
from gadgets.replay.host import open_chain
from gadgets.replay.patience import patient
from gadgets.replay.replay import Outcome, PipeSource, Source, collected_warnings, replay
from gadgets.replay.route import Choice, effective_settings, embedded_config, promised_series, server_at
from gadgets.replay.views import Facts, Views
from gadgets.wire.pump import Peer, Timeouts
from gadgets.wire.wire import Wire
from python_recon.errors import ConfigError, ReconError
from python_recon.resources.schedule import ProgressReport


@dataclass(frozen=True)
class Job:
    """The options of ``replay``."""

    scan: Path | None
    config: str | None
    local_config: Path | None
    output: Path | None
    group: str
    out_group: str
    server: tuple[str, int] | None
    loops: int
    timeouts: Timeouts
    use_stdin: bool
    use_stdout: bool
    settings: Mapping[str, str]
    views: Views
    overwrite: bool
    slice_number: int | None = None
    """The only slice that is sent; None: all."""

    def __post_init__(self) -> None:
        if (self.scan is None) != self.use_stdin:
            raise ConfigError("give the scan once: -f FILE or --stdin")
        if self.output is None and not self.use_stdout:
            raise ConfigError("give the images a place: -o FILE or --stdout")
        if self.scan is not None and self.output is not None and self.scan.resolve() == self.output.resolve():
            raise ConfigError(f"the images would replace the scan {self.scan}: give -o another name")
        if self.use_stdin and self.loops > 1:
            raise ConfigError("a stream from --stdin can be sent only once: leave out --loops")
        self.views.check(self.overwrite)


def run(job: Job) -> None:
    """Replay, store, show.

    Raises
    ------
    ReconError
        What kept images from coming, after those that came before it were stored.
    """
    pipes = _pipes(job)
    with ExitStack() as stack:
        warnings = stack.enter_context(collected_warnings())
        source = _source(job, pipes, stack)
        target = _target(job, source)
        images = stack.enter_context(_image_file(job))
        sieve = CoilMapSieve(target, is_report_wanted=job.views.report is not None)
        outcome = _send(job, source, sieve, images, pipes)
        if images.n_images:
            images.commit()
            facts = _facts(job, target, outcome, warnings)
            _show(job, images.path, source.header, replace(facts, coil_maps=sieve.series), outcome)
    _conclude(job, outcome, images)


def _pipes(job: Job) -> Wire | None:
    if not (job.use_stdin or job.use_stdout):
        return None
    return Wire.from_files(sys.stdin.buffer, sys.stdout.buffer, job.timeouts.idle_s)


_Source: TypeAlias = "ScanFile | StreamFile | PipeSource"


def _source(job: Job, pipes: Wire | None, stack: ExitStack) -> _Source:
    if job.scan is not None and job.slice_number is None and is_stream(job.scan):
        return StreamFile(job.scan)
    if job.scan is not None:
        return stack.enter_context(_scan_file(job.scan, job))
    if pipes is None:
        raise ConfigError("there is no scan: give -f FILE or --stdin")
    return PipeSource(pipes)


def _scan_file(path: Path, job: Job) -> ScanFile:
    return (
        ScanFile(path, job.group)
        if job.slice_number is None
        else SliceFile(path, job.group, job.slice_number)
    )


def _target(job: Job, source: _Source) -> StreamConfig | Server:
    choice = Choice(job.config, job.local_config, source.session, job.settings)
    return embedded_config(choice) if job.server is None else server_at(*job.server, choice)


def _open(
    target: StreamConfig | Server, source: Source, timeouts: Timeouts, report: ProgressReport
) -> AbstractContextManager[list[Peer]]:
    if isinstance(target, Server):
        return open_server(target, source.header_xml, timeouts)
    return open_chain(target, source.header_xml, timeouts, report=report)


@contextmanager
def _image_file(job: Job) -> Iterator[ImageFile]:
    with (
        tempfile.TemporaryDirectory() as folder,
        ImageFile(job.output or Path(folder) / "images.h5", job.overwrite) as file,
    ):
        yield file


def _send(job: Job, source: Source, sieve: CoilMapSieve, images: ImageFile, pipes: Wire | None) -> Outcome:
    """Send the scan as often as is wanted, or up to the first error."""
    outcome = Outcome()
    for loop in range(1, job.loops + 1):
        group = job.out_group if loop == 1 else f"{job.out_group}_{loop}"
        images.write_header(group, source.header_xml)

        def keep(image: ismrmrd.Image, group: str = group) -> None:
            if not sieve.passes(image):
                return
            images.append(group, image)
            if pipes is not None and job.use_stdout:
                pipes.send(image)

        with (
            progress() as report,
            _open(sieve.target, source, job.timeouts, report.fit) as peers,
            patient(peers),
        ):
            promised = promised_series(sieve.target)
            outcome = replay(source, peers, keep, job.timeouts.idle_s, report, promised)
        if outcome.error is not None:
            break
    if pipes is not None and job.use_stdout:
        pipes.send_close()
    return outcome


def _facts(job: Job, target: StreamConfig | Server, outcome: Outcome, warnings: list[str]) -> Facts:
    config: dict[str, Any] = {"server": target.name}
    if isinstance(target, StreamConfig):
        config = {node.name: effective_settings(node) for node in target.nodes}
    scan: dict[str, str] = {}
    if job.scan is not None and job.views.report is not None and not is_stream(job.scan):
        from gadgets.files.info import describe

        info = describe(job.scan, job.group)
        scan, warnings = info.facts, [*warnings, *info.surprises]
    if outcome.error is not None:
        warnings = [f"incomplete: {outcome.error}", *warnings]
    return Facts(scan, config, warnings, outcome.milestones)


def _show(job: Job, path: Path, header: ismrmrdHeader, facts: Facts, outcome: Outcome) -> None:
    """Everything beside the images; what keeps it from being made ends up in the outcome."""
    if not job.views.places:
        return
    from gadgets.translate.series import read_series

    series = list(read_series(path, job.out_group))
    for write in (partial(job.views.write_report, series, facts), partial(job.views.write, series, header)):
        try:
            write()
        except ReconError as error:
            outcome.error = outcome.error or error


def _conclude(job: Job, outcome: Outcome, images: ImageFile) -> None:
    places = [place for place in (job.output, *job.views.places) if place is not None]
    if images.n_images:
        counts = ", ".join(f"{count} in {name}" for name, count in images.counts.items())
        kind = "images" if outcome.error is None else "images that came before the error"
        text = f"{images.n_images} {kind} ({counts}) in {outcome.seconds:.1f} s"
        where = f" -> {', '.join(map(str, places))}" if places else ""
        errors.print(text + where, markup=False, highlight=False, soft_wrap=True)
    if outcome.error is not None:
        raise outcome.error
