from __future__ import annotations

import os
from pathlib import Path

import pytest

from python_recon.errors import ConfigError
from python_recon.resources.new_files import new_file, part_path, require_free


def test_a_name_that_nobody_has_is_free(tmp_path):
    require_free(tmp_path / "images.h5", overwrite=False)


def test_a_file_may_be_replaced_if_that_is_asked(tmp_path):
    path = tmp_path / "images.h5"
    path.touch()
    with pytest.raises(ConfigError, match=r"images\.h5 exists; choose another name or say --overwrite"):
        require_free(path, overwrite=False)
    require_free(path, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_never_replaced(tmp_path, overwrite):
    with pytest.raises(ConfigError, match="is a folder; give a file name"):
        require_free(tmp_path, overwrite=overwrite)


def test_the_part_is_hidden_beside_the_file(tmp_path):
    part = part_path(tmp_path / "images.h5")
    assert part.parent == tmp_path
    assert part.name.startswith(".images.h5.")
    assert part.name.endswith(".part")


def _link(path):
    path.with_name("precious").write_text("precious")
    path.symlink_to("precious")


def _dangling_link(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [_link, _dangling_link, os.mkfifo])
def test_what_is_no_file_is_never_replaced(tmp_path, make):
    path = tmp_path / "report.html"
    make(path)
    before = path.lstat()
    with pytest.raises(ConfigError, match=r"is a link|is a device or a pipe"), new_file(path) as part:
        part.write_text("new")
    assert path.lstat().st_ino == before.st_ino
    assert not (tmp_path / "nowhere").exists()
    assert "new" not in [p.read_text() for p in tmp_path.glob("precious")]


def test_a_device_stays_a_device():
    with pytest.raises(ConfigError, match="/dev/null is a device"):
        require_free(Path("/dev/null"), overwrite=True)


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "images.h5"
    with new_file(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_stays_of_a_file_that_fails(tmp_path):
    path = tmp_path / "images.h5"
    path.write_text("old")

    def write():
        with new_file(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_lies_where_the_part_goes_is_not_written_through(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "images.h5"
    victim.write_text("precious")
    part_path(path).symlink_to(victim)
    with new_file(path) as part:
        part.write_text("whole")
    assert (victim.read_text(), path.read_text()) == ("precious", "whole")
