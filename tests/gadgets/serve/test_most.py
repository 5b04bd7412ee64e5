"""What an operator allows at most."""

from __future__ import annotations

import pytest

from gadgets.serve.most import limited, parse_most
from python_recon.config import load_config
from python_recon.errors import ConfigError


def test_larger_values_are_cut_and_told(caplog):
    most = parse_most(
        ["max_recon_seconds=300", "density.iterations=20", "options.steps=1e3", "max_host_gb=2.5"]
    )
    asked = load_config(
        {"method": "nik", "max_recon_seconds": 4e4, "density.iterations": 5, "options.steps": 5000}
    )
    config = limited(asked, most)
    assert (config.max_recon_seconds, config.density.iterations, config.max_host_gb) == (300, 5, 2.5)
    assert config.options["steps"] == 1000
    assert config.method == "nik"
    assert "max_recon_seconds is 40000.0, the operator of the daemon allows 300" in caplog.text


def test_smaller_values_stay():
    asked = load_config({"max_recon_seconds": 7, "max_host_gb": 1, "threads": 1})
    assert limited(asked, parse_most(["max_recon_seconds=300", "max_host_gb=2", "threads=3"])) == asked


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("max_recon=3", "did you mean 'max_recon_seconds'"),
        ("max_recon_seconds", "expected a number"),
        ("max_recon_seconds=long", "expected a number"),
        ("max_recon_seconds=-1", "greater than 0"),
        ("method=3", "method"),
    ],
)
def test_what_cannot_be_a_maximum(text, match):
    with pytest.raises(ConfigError, match=match):
        parse_most([text])
