"""What ``python_recon`` hands out, and what it does not load before it is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

import python_recon
from python_recon.config import load_preset, preset_names

PUBLIC = ["CoilMaps", "Config", "ImageSeries", "KSpace", "methods", "reconstruct"]


def test_the_public_names():
    assert python_recon.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(python_recon))
    for name in PUBLIC:
        assert getattr(python_recon, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'reconstrukt'"):
        _ = python_recon.reconstrukt


@pytest.mark.parametrize("first", ["", "import python_recon.methods.gridding; "])
def test_methods_can_be_called_whatever_was_imported_before(first):
    """``methods`` is a package, too, and importing one of its modules sets it as an attribute."""
    code = f"{first}from python_recon import methods; print(methods()['grasp'])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == load_preset("grasp").description


def test_methods_are_those_of_the_presets():
    assert list(python_recon.methods()) == preset_names()


@pytest.mark.parametrize("code", ["import python_recon", "from python_recon import Config, KSpace, methods"])
def test_importing_loads_no_torch(code):
    subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"], check=True
    )
