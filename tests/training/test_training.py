from __future__ import annotations

import pytest
import torch

from python_recon.errors import DataError
from python_recon.fitting.trained_model import load_model, read_card
from python_recon.networks.component_network import Architecture, ComponentNetwork
from python_recon.training.splitting import split_scans
from python_recon.training.state import State
from python_recon.training.train import Files, train
from python_recon.training.trainer import Trainer, TrainOptions, error_of
from tests.training.site import CONFIG, source

FEW = {"width": 8, "data_steps": 1, "epochs": 4, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def trained(folder):
    """Three epochs on six scans."""
    files = Files(folder / "m.safetensors", folder / "cache")
    options = TrainOptions(**{**FEW, "epochs": 3})
    return files, train([source(number) for number in range(6)], files, CONFIG, options, "1.2.3")


def test_a_network_can_learn_a_pair_by_heart(cached):
    example = cached[0].load()
    network = ComponentNetwork(Architecture(width=16), torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        error = error_of(network, example, 0)
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[0] == pytest.approx(1, abs=0.02), "it begins with the images of subspace"
    assert errors[-1] < errors[0] - 0.02


def test_scans_that_judge_are_not_learned_from(trained):
    _, card = trained
    assert len(card.validation) == 3
    assert card.best < 1.02
    assert not set(card.scans) & set(card.validation_scans)


def test_the_file_says_what_it_is(trained):
    files, card = trained
    network, read = load_model(files.model)
    assert read == card
    assert (read.method, read.version) == ("ssdu", "1.2.3")
    assert read.ranges.least.model_dump() == {
        "encoding": "radial", "frames": 6, "spokes": 6, "matrix": 32, "coils": 3,
    }  # fmt: skip
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_training_goes_on_where_it_was_stopped(trained, folder, monkeypatch):
    """Stopped by Ctrl-C in its third epoch, and resumed: the same network as without a stop."""
    files = Files(folder / "stopped.safetensors", folder / "cache")
    sources, options = [source(number) for number in range(6)], TrainOptions(**FEW)
    judged = Trainer.judged

    def interrupted(trainer):
        if trainer.state.epoch == 2:
            raise KeyboardInterrupt
        return judged(trainer)

    monkeypatch.setattr(Trainer, "judged", interrupted)
    stopped = train(sources, files, CONFIG, options, "1")
    assert len(stopped.validation) == len(read_card(files.model).validation) <= 2
    monkeypatch.undo()
    resumed = train(sources, Files(files.model, files.cache, is_resumed=True), CONFIG, options, "1")
    whole = train(sources, Files(folder / "whole.safetensors", files.cache), CONFIG, options, "1")
    assert resumed.validation == pytest.approx(whole.validation, rel=1e-5)


def test_a_training_of_other_settings_is_not_resumed(trained):
    files, _ = trained
    resumed = Files(files.model, files.cache, is_resumed=True)
    options = TrainOptions(**{**FEW, "width": 16})
    with pytest.raises(DataError, match="begun with other settings"):
        train([source(number) for number in range(6)], resumed, CONFIG, options, "1")


def test_a_training_can_begin_with_another_model(trained, folder):
    files, card = trained
    options = TrainOptions(**{**FEW, "epochs": 1, "learning_rate": 1e-6})
    begun = Files(folder / "begun.safetensors", files.cache, start=files.model)
    again = train([source(number) for number in range(6)], begun, CONFIG, options, "1")
    assert again.best == pytest.approx(card.best, abs=1e-3)


def test_features_tell_scans_apart_and_are_joined(folder):
    files = Files(folder / "f.safetensors", folder / "cache")
    options = TrainOptions(**{**FEW, "epochs": 2, "method": "ssfl", "feature_epochs": 8})
    card = train([source(number) for number in range(6)], files, CONFIG, options, "1")
    assert card.features.startswith("contrastive, recall at 1 of ")
    assert card.architecture.has_features
    network, _ = load_model(files.model)
    assert network.encoder is not None


def test_one_measurement_is_never_in_both_sets():
    names = [f"scan {number}" for number in range(10)] * 2
    learned, judges = split_scans(names, 0.2)
    assert len(judges) == 2
    assert len(learned) == 8
    assert sorted(learned + judges) == sorted(set(names))
    assert split_scans(names[::-1], 0.2) == (learned, judges)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_no_set_is_empty(share):
    assert all(split_scans(["a", "b", "c"], share))


def test_one_scan_is_too_few(folder):
    with pytest.raises(DataError, match=r"one measurement.*give more scans"):
        train(
            [source(0)], Files(folder / "one.safetensors", folder / "cache"), CONFIG, TrainOptions(**FEW), "1"
        )


def test_a_state_holds_all_that_goes_on():
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    state = State()
    state.take(layer, optimiser, 1.0)
    other = torch.nn.Linear(3, 2)
    moments = torch.optim.Adam(other.parameters())
    state.restore(other, moments)
    assert torch.equal(other.weight, layer.weight)
    assert torch.equal(moments.state[other.weight]["exp_avg"], optimiser.state[layer.weight]["exp_avg"])
