"""Formats beside the ISMRMRD file: what is refused before the work, and what fails after it."""

from __future__ import annotations

import h5py
import pytest
from typer.testing import CliRunner

from gadgets.cli import app

N_ITEMS = 45


@pytest.fixture
def error_of_replay(scan_path, tmp_path, write_config):
    """Replays into ``images.h5``, by a gadget whose images have no position; the error."""

    def run(*options):
        config = write_config("image_per_readout")
        command = ["replay", "-f", scan_path, "-o", tmp_path / "images.h5", "-c", config, *options]
        result = CliRunner().invoke(app, [str(item) for item in command])
        assert result.exit_code == 1, result.output
        assert result.stderr.count("error: ") == 1
        return result.stderr

    return run


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--nifti", "x.h5"], "ends in .nii.gz or .nii"),
        (["--dicom", "taken"], "is a file; expected a folder"),
        (["--mp4", "taken"], "is a file; expected a folder"),
        (["--report", "."], "is a folder; give a file name"),
    ],
)
def test_places_that_cannot_be_are_refused_before_the_work(
    options, reason, error_of_replay, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("precious")
    assert reason in error_of_replay(*options)
    assert not (tmp_path / "images.h5").exists()
    assert (tmp_path / "taken").read_text() == "precious"


def test_a_format_that_cannot_be_written_costs_no_other(error_of_replay, tmp_path):
    views = tmp_path / "views"
    places = ("--dicom", tmp_path / "dicom", "--nifti", tmp_path / "x.nii", "--preview", views)
    message = error_of_replay(*places)
    assert message.count("the position of the images is not known") == 2
    assert list(views.glob("*.gif"))
    with h5py.File(tmp_path / "images.h5") as file:
        assert len(file["dataset/image_1/data"]) == N_ITEMS


def test_a_report_that_cannot_be_written_costs_no_other(error_of_replay, tmp_path):
    (tmp_path / "file").write_text("precious")
    report = tmp_path / "file" / "report.html"
    assert f"the report {report} cannot be written" in error_of_replay(
        "--report", report, "--preview", tmp_path / "v"
    )
    assert list((tmp_path / "v").glob("*.gif"))
