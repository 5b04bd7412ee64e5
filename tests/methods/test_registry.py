"""Methods by name, ours and those of other packages."""

from __future__ import annotations

import sys

import pytest
from pydantic import Field

from python_recon.config import METHOD_GROUP, Section, load_config, load_preset, preset_names
from python_recon.errors import ConfigError
from python_recon.methods.registry import load_method, resolve, validate


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves(name):
    method, options = resolve(name, {})
    assert callable(method.run)
    assert isinstance(options, method.options)
    assert all(field.description for field in method.options.model_fields.values())


def test_options_override_the_preset_and_are_checked():
    assert resolve("cg_sense", {"iterations": 3})[1].iterations == 3
    with pytest.raises(ConfigError, match="did you mean 'iterations'"):
        resolve("cg_sense", {"iteration": 3})
    with pytest.raises(ConfigError, match="iterations"):
        resolve("cg_sense", {"iterations": 0})


def test_validate_checks_method_options_and_preview():
    validate(load_config({"method": "cg_sense", "options.iterations": 2}))
    with pytest.raises(ConfigError, match="no option"):
        validate(load_config({"method": "gridding", "options.iterations": 2}))
    with pytest.raises(ConfigError, match="there is no method"):
        validate(load_config({"preview": "griding"}))


def test_unknown_implementations_are_named():
    with pytest.raises(ConfigError, match="did you mean 'subspace'"):
        load_method("subspce")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path that registers a method, as an installed one would."""
    (tmp_path / "foreign_method.py").write_text(
        "from python_recon.config import Section\n"
        "from python_recon.methods.registry import Method\n"
        "class Options(Section):\n    strength: float = 1.0\n"
        "METHOD = Method(lambda kspace, maps, options, budget: None, Options)\n"
    )
    info = tmp_path / "foreign-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{METHOD_GROUP}]\nforeign = foreign_method:METHOD\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("foreign_method", None)


@pytest.mark.usefixtures("package")
def test_a_method_of_another_package_is_found_by_its_entry_point():
    assert "foreign" in preset_names()
    assert "foreign" in load_preset("foreign").description
    assert resolve("foreign", {"strength": 2.0})[1].strength == 2.0
    validate(load_config({"method": "foreign"}))


def test_sections_do_not_take_unknown_keys():
    class Options(Section):
        number: int = Field(1, ge=1)

    with pytest.raises(ValueError, match="extra"):
        Options(nmber=2)
