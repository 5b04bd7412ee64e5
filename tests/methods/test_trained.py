from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from python_recon.errors import BackendError, ConfigError, DataError
from python_recon.fitting.trained_model import Card, Facts, Ranges, load_model, read_card, save_model
from python_recon.methods.registry import resolve
from python_recon.networks.component_network import Architecture, ComponentNetwork
from python_recon.resources.schedule import Budget
from python_recon.stream.ladder import climb_down
from tests.methods.test_zs_ssl import known_noise
from tests.numerics import relative_error, run_method, scan_heart

ARCHITECTURE = Architecture(width=8, data_steps=1)
FACTS = Facts(encoding="radial", frames=4, spokes=8, matrix=32, coils=3)


def card_of(**changes):
    known = {
        "method": "ssdu", "architecture": ARCHITECTURE, "version": "1", "ranges": Ranges.of([FACTS]),
        "scans": ("a",), "validation_scans": ("b",), "loss": "some", "validation": (1.0, 0.9),
    }  # fmt: skip
    return Card(**{**known, **changes})


@pytest.fixture(scope="module")
def small():
    """4 frames of 8 spokes, matrix 32, 3 coils."""
    return known_noise(scan_heart(4, 8, 3, (32, 32), noise=0.1))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Of a network that changes images by chance."""
    generator = torch.Generator().manual_seed(0)
    network = ComponentNetwork(ARCHITECTURE, generator)
    torch.nn.init.normal_(network.last.weight, std=0.5, generator=generator)
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    save_model(network, card_of(), path)
    return path


def test_a_network_that_learned_nothing_has_no_share(small, path):
    """The risk asks for none of it, or next to none, and the images say so."""
    result = run_method("ssdu", small.kspace, small.maps, model=str(path))
    start = run_method("subspace", small.kspace, small.maps)
    assert result.details["shares"][0] < 0.2
    assert small.psnr(result.images) > small.psnr(start.images) - 0.1
    if not result.details["shares"][0]:
        assert result.made_by == "subspace"


def test_the_images_bear_the_name_of_the_model_that_changed_them(small, path, tmp_path):
    """A model of ssfl that is run as ssdu is told as ssfl."""
    network, card = load_model(path)
    torch.nn.init.zeros_(network.last.weight)
    other = tmp_path / "m.safetensors"
    save_model(network, card.model_copy(update={"method": "ssfl"}), other)
    result = run_method("ssdu", small.kspace, small.maps, model=str(other))
    assert result.made_by == ("ssfl" if result.details["shares"][0] else "subspace")


def test_it_adapts_to_the_scan(small, path):
    result = run_method("ssdu", small.kspace, small.maps, model=str(path), adapt_steps=3)
    assert "adapted to the scan in " in result.comment


def test_a_scan_unlike_those_of_the_training_goes_to_the_ladder(small, path, tmp_path):
    network, card = load_model(path)
    far = Facts(encoding="radial", frames=40, spokes=8, matrix=32, coils=3)
    other = tmp_path / "far.safetensors"
    save_model(network, card.model_copy(update={"ranges": Ranges.of([far])}), other)
    with pytest.raises(BackendError, match=r"far.safetensors learned from: 4 frames, trained with 40 to 40"):
        run_method("ssdu", small.kspace, small.maps, model=str(other))
    kspace, maps = small.kspace.to_torch(), small.maps.to_torch()
    outcome = climb_down(kspace, maps, "ssdu", {"model": str(other)}, Budget())
    assert outcome.name == "subspace"
    assert "unlike those that far.safetensors learned from" in outcome.comment
    expected = run_method("subspace", small.kspace, small.maps).images
    assert relative_error(outcome.reconstruction.images, expected) < 1e-5


def test_ranges_say_in_what_a_scan_departs():
    ranges = Ranges.of([FACTS, FACTS.model_copy(update={"spokes": 16})])
    assert not ranges.departures(FACTS.model_copy(update={"spokes": 12, "frames": 5}))
    assert ranges.departures(FACTS.model_copy(update={"spokes": 40})) == ["40 spokes, trained with 8 to 16"]
    cartesian = FACTS.model_copy(update={"encoding": "cartesian"})
    assert ranges.departures(cartesian) == ["its encoding is cartesian, that of the training radial"]


def test_without_a_model_it_says_how_to_get_one(small):
    with pytest.raises(DataError, match=r"options.model names no file: train a network"):
        run_method("ssfl", small.kspace, small.maps)


def damaged(path, target, *, metadata=None, **tensors):
    own = {"format": "gadgetron-pisco model", "format_version": "1", "card": card_of().model_dump_json()}
    save_file({**load_file(path), **tensors}, target, {**own, **(metadata or {})})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"format_version": "99"}}, "format version 99, this program reads 1"),
        ({"metadata": {"format": "other"}}, "is no model of ours"),
        ({"metadata": {"card": "{}"}}, "the card of the model .* is damaged"),
        ({"last.bias": torch.zeros(3)}, r"last.bias is \(3,\), expected \(16,\)"),
        ({"last.bias": torch.full((16,), torch.nan)}, "last.bias is torch.float32 or holds NaN"),
        ({"extra": torch.zeros(2)}, "extra is .*, expected None"),
    ],
)
def test_damaged_models_are_refused(path, tmp_path, change, message):
    target = tmp_path / "bad.safetensors"
    damaged(path, target, **change)
    with pytest.raises(DataError, match=message):
        load_model(target)


def test_what_is_no_file_of_this_kind_is_refused(path, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:200])
    for missing in (cut, tmp_path / "none.safetensors"):
        with pytest.raises(DataError, match="no model"):
            load_model(missing)
    with pytest.raises(DataError, match="no model"):
        read_card(cut)


@pytest.mark.parametrize("bad", [{"adapt_steps": -1}, {"adapt_rate": 0.0}, {"start_steps": 0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=f"options of method 'ssdu'.*{next(iter(bad))}"):
        resolve("ssdu", bad)
