"""A whole study written without this harness: Optuna around PML's trainer and tester.

Search over folds, repeats of the best trial, their ensembles, models of everything and the
untrained network, each trained and scored as the harness does it: same seeds, same batches, same
two phases, same rule to stop. What differs is who loads, trains, scores and keeps the books.
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.commands.bench import by_hand
from harness.commands.bench.agreement import Table
from harness.commands.bench.pml_training import LOADER_BATCH, Inputs, Trained, train_one
from harness.data import named_options
from harness.data.datasets import load
from harness.protocol import search, splits
from harness.protocol.final import fold_runs
from harness.schema import UNTRAINED, Run
from harness.seeds import seed_from
from harness.training import network, search_space

Scores = dict[str, float]


def study(inputs: Inputs, trials: list[dict[str, Any]]) -> Table:
    """Test scores per repeat by loss and "category metric", of a search over the given trials."""
    winner = _search(inputs, trials)
    return {
        inputs.loss: _final(inputs, winner, trials[winner]),
        UNTRAINED: _final(replace(inputs, loss=UNTRAINED), 0, {}),
    }


def _search(inputs: Inputs, trials: list[dict[str, Any]]) -> int:
    """The number of the best trial; an Optuna study in SQLite runs the trials in their order."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    optuna_study = optuna.create_study(
        storage=f"sqlite:///{inputs.folder / 'optuna.db'}", sampler=sampler, direction="maximize"
    )
    space = search_space.of_loss(inputs.study, inputs.loss)
    for params in trials:
        optuna_study.enqueue_trial(params)
    for number in range(len(trials)):
        trial = optuna_study.ask(dict(space))
        params = search.fixed_params(inputs.study, inputs.loss) | trial.params
        scores = []
        for fold in range(inputs.study.folds):
            seed = seed_from(inputs.study.name, inputs.dataset, "search", number, fold)
            run = inputs.run("search", seed=seed, trial=number, params=params, fold=fold)
            scores.append(train_one(run, inputs).score)
        optuna_study.tell(trial, math.fsum(scores) / len(scores))
    return int(optuna_study.best_trial.number)


def _final(inputs: Inputs, trial: int, params: dict[str, Any]) -> dict[str, list[float]]:
    """Aggregate, ensemble and complete scores of one configuration, a value per repeat."""
    study = inputs.study
    scores: dict[str, list[Scores]] = {"aggregate": [], "ensemble": [], "complete": []}
    labels = torch.from_numpy(inputs.test.labels).to(inputs.device)
    fold_epochs: list[tuple[int, int]] = []
    for repeat in range(study.repeats):
        unit_embeddings, fold_scores = [], []
        ensemble = inputs.run("ensemble", seed=0, trial=trial, params=params, repeat=repeat)
        for run in fold_runs(ensemble):
            embeddings, epochs = _test_embeddings(run, inputs)
            fold_scores.append(_scores(embeddings, labels))
            unit_embeddings.append(F.normalize(embeddings))
            fold_epochs.append(epochs)
        scores["aggregate"].append(_mean(fold_scores))
        scores["ensemble"].append(_scores(torch.cat(unit_embeddings, dim=1), labels))
    epochs = _rounded(fold_epochs, study.complete_epochs_multiple)
    for repeat in range(study.repeats):
        seed = seed_from(study.name, inputs.dataset, "complete", repeat)
        run = inputs.run(
            "complete", seed=seed, trial=trial, params=params, repeat=repeat, epochs=epochs
        )
        scores["complete"].append(_scores(_test_embeddings(run, inputs)[0], labels))
    return {
        f"{category} {metric}": [of_one[metric] for of_one in of_repeats]
        for category, of_repeats in scores.items()
        for metric in by_hand.METRICS
    }


def _test_embeddings(run: Run, inputs: Inputs) -> tuple[Tensor, tuple[int, int]]:
    """Embeddings of the test classes by a newly trained (or untrained) model, and its epochs."""
    if run.loss == UNTRAINED:
        torch.manual_seed(seed_from(run.seed, "network"))
        parts = by_hand.models(run.study, run.dim, 1 if network.trunk_of(run.study).grey else 3)
        on_device = {name: part.to(inputs.device) for name, part in parts.items()}
        trained = Trained(on_device, 0.0, (0, 0))
        unit = True
    else:
        trained = train_one(run, inputs)
        unit = importlib.import_module(f"losses.{run.loss}").RETRIEVAL == "cosine"
    tester = by_hand.tester(
        unit=unit, device=inputs.device, batch=LOADER_BATCH, loaders=inputs.loaders
    )
    embeddings, _ = tester.get_all_embeddings(inputs.images(inputs.test), *trained.parts.values())
    return embeddings, trained.epochs


def _scores(embeddings: Tensor, labels: Tensor) -> Scores:
    accuracies = by_hand.calculator(embeddings.device).get_accuracy(embeddings, labels)
    return {name: float(accuracies[pml_name]) for name, pml_name in by_hand.METRICS.items()}


def _mean(scores: list[Scores]) -> Scores:
    return {name: math.fsum(s[name] for s in scores) / len(scores) for name in by_hand.METRICS}


def _rounded(epochs: list[tuple[int, int]], multiple: int) -> tuple[int, int]:
    """Mean epochs, total and of the second phase, each rounded up to a multiple."""

    def up(values: list[int]) -> int:
        return math.ceil(sum(values) / len(values) / multiple) * multiple

    followup = up([pair[1] for pair in epochs])
    return up([sum(pair) for pair in epochs]) - followup, followup


def child(path: str) -> None:
    """Run the study that the JSON file describes; the main function of a measurement's process."""
    description = json.loads(Path(path).read_text())
    declared = importlib.import_module(f"studies.{description['study']}").STUDY
    dataset = load(description["dataset"], Path(description["data"]), declared.resize)
    of_dataset = declared.for_dataset(named_options.read(description["dataset"]).name)
    inputs = Inputs(
        study=of_dataset,
        dataset=description["dataset"],
        loss=description["loss"],
        files=[(Path(file), label) for file, label in description["files"]],
        trainval=splits.trainval_part(dataset, of_dataset.halves),
        test=splits.test_part(dataset, of_dataset.halves),
        device=torch.device(description["device"]),
        folder=Path(path).parent,
        loaders=description["loaders"],
    )
    Path(description["scores"]).write_text(json.dumps(study(inputs, description["trials"])))
