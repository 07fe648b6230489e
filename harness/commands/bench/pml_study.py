"""A whole study written without this harness: Optuna around PML's trainer and tester.

Search over folds, repeats of the best trial, their ensembles, models of everything and the
untrained network, each trained and scored as the harness does it: same seeds, same batches, same
two phases, same rule to stop. What differs is who loads, trains, scores and keeps the books.
"""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.commands.bench import by_hand
from harness.commands.bench.pml_training import LOADER_BATCH, Bench, Trained, train_one
from harness.data.datasets import load
from harness.protocol import plan, search, splits
from harness.schema import UNTRAINED, Run
from harness.seeds import seed_from
from harness.training import network


def study(bench: Bench, trials: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean test scores by loss and "category metric", of a search over the given trials."""
    winner = _search(bench, trials)
    told = {bench.loss: _final(bench, winner, trials[winner])}
    untrained = Bench(**{**vars(bench), "loss": UNTRAINED})
    told[UNTRAINED] = _final(untrained, 0, {})
    return told


def _search(bench: Bench, trials: list[dict[str, Any]]) -> int:
    """The number of the best of the trials, which an Optuna study in SQLite is told to try."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    told = optuna.create_study(
        storage=f"sqlite:///{bench.folder / 'optuna.db'}", sampler=sampler, direction="maximize"
    )
    module = importlib.import_module(f"losses.{bench.loss}")
    space = search.space_of(bench.study, module, network.initial_norm(bench.study))
    for params in trials:
        told.enqueue_trial(params)
    for number in range(len(trials)):
        asked = told.ask(dict(space))
        scores = []
        for fold in range(bench.study.folds):
            seed = seed_from(bench.study.name, bench.dataset, "search", number, fold)
            run = bench.run("search", seed, number, asked.params, fold=fold)
            scores.append(train_one(run, bench).score)
        told.tell(asked, math.fsum(scores) / len(scores))
    return int(told.best_trial.number)


def _final(bench: Bench, trial: int, params: dict[str, Any]) -> dict[str, float]:
    """Aggregate, ensemble and complete scores of one configuration, means over the repeats."""
    values: dict[str, list[dict[str, float]]] = {"aggregate": [], "ensemble": [], "complete": []}
    labels = torch.from_numpy(bench.test.labels).to(bench.device)
    behind: list[tuple[int, int]] = []
    for repeat in range(bench.study.repeats):
        joined, singles = [], []
        ensemble = bench.run("ensemble", 0, trial, params, repeat=repeat)
        for run in plan.fold_runs(ensemble):
            embeddings, epochs = _test_embeddings(run, bench)
            singles.append(_scores(embeddings, labels))
            joined.append(F.normalize(embeddings))
            behind.append(epochs)
        values["aggregate"].append(_mean(singles))
        values["ensemble"].append(_scores(torch.cat(joined, dim=1), labels))
    epochs = _rounded(behind, bench.study.complete_epochs_multiple)
    for repeat in range(bench.study.repeats):
        seed = seed_from(bench.study.name, bench.dataset, "complete", repeat)
        run = bench.run("complete", seed, trial, params, repeat=repeat, epochs=epochs)
        values["complete"].append(_scores(_test_embeddings(run, bench)[0], labels))
    return {
        f"{category} {metric}": value
        for category, of_repeats in values.items()
        for metric, value in _mean(of_repeats).items()
    }


def _test_embeddings(run: Run, bench: Bench) -> tuple[Tensor, tuple[int, int]]:
    """Embeddings of the test classes by a newly trained (or untrained) model, and its epochs."""
    if run.loss == UNTRAINED:
        dim = run.study.complete_dim if run.stage == "complete" else run.study.dim
        torch.manual_seed(seed_from(run.seed, "network"))
        parts = by_hand.models(run.study, dim, 1 if network.trunk_of(run.study).grey else 3)
        trained = Trained({n: m.to(bench.device) for n, m in parts.items()}, 0.0, (0, 0))
        unit = True
    else:
        trained = train_one(run, bench)
        unit = importlib.import_module(f"losses.{run.loss}").RETRIEVAL == "cosine"
    tester = by_hand.tester(
        unit=unit, device=bench.device, batch=LOADER_BATCH, loaders=bench.loaders
    )
    embeddings, _ = tester.get_all_embeddings(bench.images(bench.test), *trained.parts.values())
    return embeddings, trained.epochs


def _scores(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    found = by_hand.calculator(embeddings.device).get_accuracy(embeddings, labels)
    return {name: float(found[theirs]) for name, theirs in by_hand.METRICS.items()}


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: math.fsum(s[name] for s in scores) / len(scores) for name in by_hand.METRICS}


def _rounded(epochs: list[tuple[int, int]], multiple: int) -> tuple[int, int]:
    """Mean epochs, total and of the second phase, each rounded up to a multiple."""

    def up(values: list[int]) -> int:
        return math.ceil(sum(values) / len(values) / multiple) * multiple

    followup = up([pair[1] for pair in epochs])
    return up([sum(pair) for pair in epochs]) - followup, followup


def child(path: str) -> None:
    """What the process of a measurement does: reads what to do, leaves the scores beside it."""
    told = json.loads(Path(path).read_text())
    declared = importlib.import_module(f"studies.{told['study']}").STUDY
    whole = load(told["dataset"], Path(told["data"]), declared.resize)
    own = declared.for_dataset(told["dataset"])
    bench = Bench(
        study=own,
        dataset=told["dataset"],
        loss=told["loss"],
        files=[(Path(file), label) for file, label in told["files"]],
        trainval=splits.trainval_part(whole, own.halves),
        test=splits.test_part(whole, own.halves),
        device=torch.device(told["device"]),
        folder=Path(path).parent,
        loaders=told["loaders"],
    )
    Path(told["scores"]).write_text(json.dumps(study(bench, told["trials"])))
