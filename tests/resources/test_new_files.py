from __future__ import annotations

import pytest

from python_recon.errors import ConfigError
from python_recon.resources.new_files import part_path, require_free


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
