"""What is done, what is done anew, and what is left alone; tasks run in the test's own process."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from gadgets.files.mrd_file import CONFIG
from gadgets.many.batch import Batch
from gadgets.many.plan import Entry, find_scans
from gadgets.many.task import Result, from_json, perform, to_json
from gadgets.replay.config_xml import find_config
from gadgets.replay.job import Job
from gadgets.replay.views import Views
from gadgets.wire.pump import Timeouts
from python_recon.errors import ConfigError


def in_process(tasks):
    """Performs tasks here; each has been text in between, as it is on its way to another process."""
    for task in tasks:
        text = to_json(task)
        yield task, from_json(Result, to_json(perform(from_json(type(task), text))))


def noting(done: list[int | None], failing: int | None = None):
    """Performs tasks, notes their slices, and lets one of them fail."""

    def runner(tasks):
        for task in tasks:
            done.append(task.record.slice_number)
            yield task, Result(error="a fly") if task.record.slice_number == failing else perform(task)

    return runner


def n_images(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return sum(len(series["data"]) for name, series in file["dataset"].items() if name.startswith("im"))


@pytest.fixture
def entry(one_slice, tmp_path) -> Entry:
    """A scan of its own for the test."""
    return Entry(Path(shutil.copy2(one_slice, tmp_path / "scan.h5")), tmp_path / "out" / "images.h5")


@pytest.fixture
def new_job(entry, tmp_path):
    """Jobs for the scan."""

    def new(config: object, **changes: object) -> Job:
        job = Job(
            scan=entry.scan, config=str(config), local_config=None, output=entry.output, group="dataset",
            out_group="dataset", server=None, loops=1, timeouts=Timeouts(), use_stdin=False, use_stdout=False,
            settings={}, views=Views(), overwrite=False,
        )  # fmt: skip
        return replace(job, **changes)

    return new


@pytest.fixture
def run(entry):
    """Runs a job's batch of one scan and returns its line."""

    def run_one(job: Job, runner=in_process, views=Views(), *, splits: bool = False):  # noqa: B008
        (line,) = Batch(job, [entry], views, splits=splits).lines(runner)
        return line

    return run_one


@pytest.fixture
def job(new_job, write_config, tmp_path) -> Job:
    return new_job(write_config("counts", diary=tmp_path))


class TestResuming:
    def test_what_is_done_is_skipped_until_the_scan_changes(self, run, job, entry):
        first = run(job)
        assert (first.outcome, first.n_images, first.note) == ("done", 1, "")
        assert (run(job).outcome, run(job).n_images) == ("skipped", 1)
        entry.scan.touch()
        again = run(job)
        assert (again.outcome, again.note) == ("done", "anew: the scan has changed")

    def test_another_configuration_is_done_anew(self, run, job):
        run(job)
        assert run(replace(job, settings={"extra": "1"})).note == "anew: the configuration has changed"

    def test_overwriting_does_all_anew(self, run, job):
        run(job)
        assert run(replace(job, overwrite=True)).outcome == "done"

    def test_another_version_is_done_anew(self, run, job, entry):
        run(job)
        with h5py.File(entry.output, "r+") as file:
            text = file.attrs["gadgetron_pisco_record"]
            file.attrs["gadgetron_pisco_record"] = text.replace('"version": "', '"version": "0.0.')
        assert "made by version 0.0." in run(job).note

    @pytest.mark.parametrize("content", ["half", "precious"])
    def test_a_file_without_a_record_is_left_alone(self, run, job, entry, content):
        run(job)
        whole = entry.output.read_bytes()
        entry.output.write_bytes(whole[: len(whole) // 2] if content == "half" else b"precious")
        before = entry.output.read_bytes()
        line = run(job)
        assert line.outcome == "failed"
        assert "--overwrite" in line.note
        assert entry.output.read_bytes() == before

    def test_what_a_killed_run_has_left_is_removed(self, run, job, entry, left_over):
        (entry.output.parent / f".{entry.output.name}.left.part").mkdir(parents=True)
        assert run(job).outcome == "done"
        assert not left_over(entry.output.parent)

    def test_images_before_an_error_are_kept_and_done_anew(self, run, new_job, entry, write_config, tmp_path):
        job = new_job(write_config("fails_once", diary=tmp_path))
        line = run(job)
        assert (line.outcome, line.n_images, n_images(entry.output)) == ("failed", 1, 1)
        assert "fly in the bore" in line.note
        line = run(job)
        assert (line.outcome, line.n_images, n_images(entry.output)) == ("done", 2, 2)
        assert "fly in the bore" in line.note

    def test_what_is_wanted_later_is_made_of_the_images(self, run, new_job, tmp_path):
        job, wanted = new_job("radial_preview"), Views(nifti=tmp_path / "nii", report=tmp_path / "reports")
        run(job)
        line = run(job, views=wanted)
        assert line.outcome == "skipped"
        nifti, report = tmp_path / "nii/images.nii.gz", tmp_path / "reports/images.html"
        assert line.note == f"it is done; made {nifti}, {report}"
        assert nifti.exists()
        assert "spokes_per_frame" in report.read_text()
        assert run(job, views=wanted).note == "it is done"

    def test_scans_of_one_name_have_views_of_their_own(self, new_job, one_slice, tmp_path):
        job = new_job("radial_preview")
        for day in ("monday", "tuesday"):
            (tmp_path / day).mkdir()
            shutil.copy2(one_slice, tmp_path / day / "a.h5")
        entries = find_scans([tmp_path / "*day/*.h5"], tmp_path / "out")
        lines = list(Batch(job, entries, Views(report=tmp_path / "reports"), splits=False).lines(in_process))
        assert [line.outcome for line in lines] == ["done", "done"]
        assert all((tmp_path / "reports" / day / "a.html").exists() for day in ("monday", "tuesday"))

    def test_a_captured_scan_brings_its_own_configuration(self, run, new_job, entry):
        job = new_job("radial_preview")
        with h5py.File(entry.scan, "r+") as file:
            file["dataset"][CONFIG] = find_config(job.config).read_text()
        own = replace(job, config=None)
        assert run(own).outcome == "done"
        assert run(job).outcome == "skipped"


class TestRefusals:
    def test_a_missing_scan_is_a_line(self, run, job, entry):
        entry.scan.unlink()
        assert run(job).outcome == "failed"

    def test_a_wrong_setting_is_told_at_once(self, new_job, entry):
        job = new_job("radial_preview", settings={"binning.spoke_per_frame": "5"})
        with pytest.raises(ConfigError, match="did you mean"):
            Batch(job, [entry], Views(), splits=False)

    def test_one_checkpoint_for_all_is_refused(self, new_job, entry):
        job = new_job("radial_nik", settings={"options.checkpoint": "field.safetensors"})
        other = replace(entry, output=entry.output.with_name("other.h5"))
        with pytest.raises(ConfigError, match="each scan needs its own"):
            Batch(job, [entry, other], Views(), splits=False)

    def test_foreign_gadgets_are_not_split(self, job, entry):
        with pytest.raises(ConfigError, match="patient_gadgets"):
            Batch(job, [entry], Views(), splits=True)


class TestSlices:
    """Slices as tasks of their own give the images of the whole."""

    @pytest.fixture
    def entry(self, two_slices, tmp_path) -> Entry:
        return Entry(two_slices, tmp_path / "out" / "images.h5")

    @pytest.fixture
    def job(self, new_job) -> Job:
        return new_job("radial_cg_sense")

    def test_a_slice_that_fails_costs_no_other_and_in_the_end_all_are_as_of_the_whole(
        self, run, job, entry, tmp_path, left_over
    ):
        done = []
        line = run(job, noting(done, failing=1), splits=True)
        assert (line.outcome, line.n_images, line.note) == ("failed", 4, "slice 1: a fly")
        assert (done, n_images(entry.output)) == ([0, 1], 4)

        done.clear()
        line = run(job, noting(done), Views(preview=tmp_path / "views"), splits=True)
        assert (line.outcome, line.n_images, done) == ("done", 8, [1])
        assert not left_over(entry.output.parent)
        assert list((tmp_path / "views" / "images").glob("*.png"))

        (whole,) = _tasks(replace(job, output=tmp_path / "whole.h5"), entry)
        perform(whole)
        with h5py.File(entry.output) as ours, h5py.File(whole.output) as theirs:
            one, other = ours["dataset/image_2"], theirs["dataset/image_2"]
            assert one["data"].dtype == other["data"].dtype == "uint16"
            assert abs(one["data"][:].astype(int) - other["data"][:]).max() <= 1
            for field in set(one["header"].dtype.names) - {"attribute_string_len"}:
                assert (one["header"][field] == other["header"][field]).all(), field
            previews = [sorted(file["dataset/image_1/header"]["slice"]) for file in (ours, theirs)]
        assert previews[0] == previews[1]


def _tasks(job: Job, entry: Entry):
    """The tasks of a batch that is not split, at the place of the job."""
    found, there = [], replace(entry, output=job.output)
    list(Batch(job, [there], Views(), splits=False).lines(lambda tasks: found.extend(tasks) or ()))
    return found
