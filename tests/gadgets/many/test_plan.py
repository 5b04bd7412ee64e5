"""Which scans files, folders and globs stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gadgets.many.plan import Entry, find_scans, is_several
from python_recon.errors import ConfigError


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in (
        "b.h5",
        "a.h5",
        "notes.txt",
        ".hidden.h5",
        "deep/a.h5",
        ".x.part/images.h5",
        "deep/out/a.h5",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def found(patterns, output) -> list[tuple[Path, Path]]:
    return [(entry.scan, entry.output) for entry in find_scans(patterns, output)]


def test_one_file_goes_to_one_file(folder):
    out = folder / "images.h5"
    assert find_scans([folder / "a.h5"], out) == [Entry(folder / "a.h5", out)]


def test_one_file_goes_into_a_folder_that_exists(folder):
    assert found([folder / "a.h5"], folder / "deep") == [(folder / "a.h5", folder / "deep" / "a.h5")]


def test_a_folder_is_its_hdf5_files_in_order(folder):
    out = folder / "out"
    assert found([folder], out) == [(folder / name, out / name) for name in ("a.h5", "b.h5")]


def test_a_glob_keeps_subfolders_and_leaves_hidden_files_and_the_output_out(folder):
    out = folder / "deep" / "out"
    pairs = found([folder / "**" / "*.h5"], out)
    assert sorted(pairs) == [(folder / name, out / name) for name in ("a.h5", "b.h5", "deep/a.h5")]


def test_the_truth_of_a_scan_is_no_scan_but_where_it_is_named(folder):
    for name in ("a_truth.h5", "gone_truth.h5"):
        (folder / name).touch()
    out = folder / "out"
    assert [scan.name for scan, _ in found([folder], out)] == ["a.h5", "b.h5", "gone_truth.h5"]
    named = [folder / "a_truth.h5", folder / "b.h5"]
    assert [scan for scan, _ in found(named, out)] == named


def test_files_keep_their_order_and_come_once(folder):
    out = folder / "out"
    files = [folder / "b.h5", folder / "a.h5", folder / "b.h5"]
    assert [scan.name for scan, _ in found(files, out)] == ["b.h5", "a.h5"]


def test_a_missing_file_is_an_entry_that_will_fail(folder):
    assert len(found([folder / "a.h5", folder / "gone.h5"], folder / "out")) == 2


def test_two_scans_of_one_name_are_refused(folder):
    with pytest.raises(ConfigError, match="would both be"):
        find_scans([folder / "a.h5", folder / "deep" / "a.h5"], folder / "out")


def test_a_glob_without_scans_is_refused(folder):
    with pytest.raises(ConfigError, match="names no scan"):
        find_scans([folder / "*.dat"], folder / "out")


def test_several_scans_need_a_folder(folder):
    with pytest.raises(ConfigError, match="give -o FOLDER"):
        find_scans([folder / "a.h5", folder / "b.h5"], folder / "notes.txt")


def test_a_file_with_glob_characters_in_its_name_is_a_file(folder):
    path = folder / "scan[1].h5"
    path.touch()
    assert not is_several([path])
    assert is_several([folder / "scan*.h5"])
    assert is_several([folder])
