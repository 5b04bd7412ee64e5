"""From scans to a model file."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from python_recon.config import Config
from python_recon.errors import DataError
from python_recon.fitting.tracking import Track, untracked
from python_recon.fitting.trained_model import Card, Ranges, load_model, read_card, save_model
from python_recon.networks.component_network import ComponentNetwork
from python_recon.resources.device import set_up
from python_recon.resources.schedule import ProgressReport, silent
from python_recon.training.cache import Cache, Cached, ScanSource
from python_recon.training.examples import ExampleOptions
from python_recon.training.features import learn_features, recall_of
from python_recon.training.splitting import split_scans
from python_recon.training.state import State, load_state, save_state
from python_recon.training.team import Team, joined
from python_recon.training.trainer import LOSS, Plan, Trainer, TrainOptions

_log = logging.getLogger(__name__)
STATE = ".training"
"""Ends the name of the file beside a model from which its training can be resumed."""
_VIEWS = 4


@dataclass(frozen=True)
class Files:
    """What a training reads and writes."""

    model: Path
    cache: Path
    start: Path | None = None
    """Model to begin with."""
    is_resumed: bool = False

    @property
    def state(self) -> Path:
        return self.model.with_name(self.model.name + STATE)


def train(
    sources: Sequence[ScanSource],
    files: Files,
    config: Config,
    options: TrainOptions,
    version: str,
    report: ProgressReport = silent,
    track: Track = untracked,
) -> Card:
    """Train a network on scans; the file of the model holds the best one whenever this ends.

    Parameters
    ----------
    config
        How slices are prepared, and where the network is trained (``device``).
    version
        Of the program, for the card.

    Raises
    ------
    DataError
        If there are too few scans, or the training to resume is another one.
    ConfigError
        If a file cannot be written.
    BackendError
        If the training diverged.
    """
    device = set_up(config)
    with joined(device) as team:
        cached = _examples(sources, files, config, options, team, report)
        learned, judges = _split(cached, options.validation)
        training = _Training(files, options, version, Plan(learned, judges, device, team))
        return training.run(report if team.is_first else silent, track if team.is_first else untracked)


def _examples(
    sources: Sequence[ScanSource],
    files: Files,
    config: Config,
    options: TrainOptions,
    team: Team,
    report: ProgressReport,
) -> list[Cached]:
    """The first process prepares, the others wait and read."""
    views = _VIEWS if options.method == "ssfl" else 0
    # Where the network is trained does not change the examples.
    neutral = config.model_copy(update={"threads": None, "method": "subspace", "options": {}})
    cache = Cache(files.cache, neutral, ExampleOptions(views=views))
    if team.is_first:
        found = cache.examples(sources, report)
        team.wait()
        return _one_encoding(found)
    team.wait()
    return _one_encoding(cache.examples(sources))


def _one_encoding(cached: Sequence[Cached]) -> list[Cached]:
    """Those of the encoding that most have: a network learns one."""
    counts = Counter(one.facts.encoding for one in cached)
    chosen, _ = counts.most_common(1)[0]
    for encoding, count in counts.items():
        if encoding != chosen:
            _log.warning(
                "%d slices of the encoding %s are left out, most are %s: train a model of their own on a "
                "folder with them alone",
                count,
                encoding,
                chosen,
            )
    return [one for one in cached if one.facts.encoding == chosen]


def _split(cached: Sequence[Cached], share: float) -> tuple[list[Cached], list[Cached]]:
    learned, _ = split_scans([one.scan for one in cached], share)
    return (
        [one for one in cached if one.scan in learned],
        [one for one in cached if one.scan not in learned],
    )


@dataclass
class _Training:
    """One training, with its files."""

    files: Files
    options: TrainOptions
    version: str
    plan: Plan

    def run(self, report: ProgressReport, track: Track) -> Card:
        state = load_state(self.files.state, self._settings) if self.files.is_resumed else State()
        network = self._network()
        if self.options.method == "ssfl" and not state.tensors:
            state.features = self._learn_features(network, report)
        trainer = Trainer(
            network,
            self.plan,
            self.options,
            keep=lambda now: self._keep(network, now),
            save=lambda now: save_state(now, self.files.state, self._settings),
            report=report,
            track=track,
            state=state,
        )
        trainer.run()
        self.plan.team.wait()
        return read_card(self.files.model)

    @property
    def _settings(self) -> str:
        """What has to be the same for a training to be resumed; it may be made longer."""
        return self.options.model_copy(update={"epochs": 1, "hours": 1.0}).model_dump_json()

    def _network(self) -> ComponentNetwork:
        generator = torch.Generator().manual_seed(self.options.seed)
        network = ComponentNetwork(self.options.architecture, generator)
        if self.files.start is not None:
            other, card = load_model(self.files.start)
            if card.architecture != network.architecture:
                raise DataError(
                    f"{self.files.start} is of another architecture ({card.architecture}) than the network "
                    f"to train ({network.architecture}): give the same method, width and unrolls"
                )
            network.load_state_dict(other.state_dict())
        return network.to(self.plan.device)

    def _learn_features(self, network: ComponentNetwork, report: ProgressReport) -> str:
        """The first stage, by every process alike; what the model's card says of it."""
        if network.encoder is None or self.files.start is not None:
            return f"as in {self.files.start.name}" if self.files.start is not None else ""
        options = self.options
        head = learn_features(
            network.encoder, self.plan.learned, options.features, options.feature_epochs, options.seed, report
        )
        judges = self.plan.judges if len(self.plan.judges) > 1 else self.plan.learned
        found = recall_of(network.encoder, head, judges)
        return f"{options.features}, recall at 1 of {found:.2f} among {2 * len(judges)} views"

    def _keep(self, network: ComponentNetwork, state: State) -> None:
        card = Card(
            method=self.options.method,
            architecture=self.options.architecture,
            version=self.version,
            ranges=Ranges.of([one.facts for one in self.plan.learned]),
            scans=tuple(sorted({one.scan for one in self.plan.learned})),
            validation_scans=tuple(sorted({one.scan for one in self.plan.judges})),
            loss=LOSS,
            validation=tuple(filter(math.isfinite, state.validation)),
            features=state.features,
        )
        save_model(network, card, self.files.model)
