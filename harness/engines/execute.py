"""One run to its record, in whatever process: load, train, score. The test classes enter here.

A training has ended before the test part is built, and a search run never builds it. The one
exception is the pool of the study `optimism`, whose models are scored on it between two epochs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.data import datasets
from harness.engines import alerts, diagnostics, endings, fold_embeddings, frozen_features, making
from harness.engines.final_scores import test_scores
from harness.files import replacing
from harness.protocol import splits
from harness.records import code, folder
from harness.schema import (
    BY_CLASS,
    POOL,
    TRIAL_STAGES,
    Dataset,
    Part,
    Problem,
    Record,
    Run,
    Stopped,
    record_of,
)
from harness.training import checkpoints, embeddings, precision, scored_on_test, train

CHECKPOINT_SECONDS = 30.0  # between two checkpoints of a run, at least
CHECKPOINT_COST = 50  # times the seconds that writing one took, at least
PROGRESS_SECONDS = 1.0  # between two words on how far it is
Stopping = Callable[[], bool]  # asked before a run and after every epoch: should it end early?


@dataclass(frozen=True)
class Places:
    """Where a run executes: folders, device, CPU threads, its share of a GPU's memory."""

    results: Path
    data: Path
    device: str = "cpu"
    threads: int = 1
    gpu_share: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a run has to show: the part of its record that is not known beforehand."""

    scores: Mapping[str, float] = field(default_factory=dict)
    by_class: Mapping[str, Sequence[float]] | None = None
    curve: Sequence[Mapping[str, Any]] = ()
    epochs: tuple[int, int] = (0, 0)
    epochs_run: tuple[int, int] | None = None
    capped: bool | None = None
    test_queries: Sequence[int] | None = None
    diagnostics: Mapping[str, float] | None = None
    failure: str | None = None


Execute = Callable[[Run, Places, Stopping], Record]  # what engines call: `execute` but in tests


def execute(run: Run, places: Places, stopping: Stopping = lambda: False) -> Record:
    """Train and score as `run` says; a failure of the training is a record that says so.

    Stopped where `stopping` is true before the run begins or after an epoch, with its checkpoint
    kept.
    """
    began, earlier_seconds = time.perf_counter(), 0.0
    if stopping():
        raise Stopped(f"{run.loss} {run.key} before it began")
    device = torch.device(places.device)
    precision.allow_tf32(run.study, device)
    base = run.study.base_of(run.loss)
    # now, because it is of the code that is about to be imported
    run_code = code.run_code(base, run.study.trunk)
    dataset = _dataset(run, places, device)
    checkpoint = folder.checkpoint_path(places.results, run)
    training: train.Training | None = None
    with alerts.nondeterministic_operations() as nondeterministic:
        try:
            if run.stage == "ensemble":
                outcome = _score_ensemble(run, dataset, places, stopping)
            else:
                training = _start(run, dataset, device)
                pool_test = _pool_test_part(run, dataset) if run.stage == POOL else None
                origin = f"{run_code} {dataset.fingerprint} {places.threads}"
                earlier_seconds = checkpoints.resume(checkpoint, training, origin)
                written, shown, rest = time.perf_counter(), -math.inf, CHECKPOINT_SECONDS
                for epoch in _epochs(training, pool_test):
                    now, stop = time.perf_counter(), stopping()
                    if now - shown > PROGRESS_SECONDS:
                        _write_progress(run, places, epoch)
                        shown = now
                    if stop or now - written > rest:
                        checkpoints.write(
                            checkpoint, training, earlier_seconds + now - began, origin
                        )
                        written = time.perf_counter()
                        rest = max(CHECKPOINT_SECONDS, CHECKPOINT_COST * (written - now))
                    if stop:
                        after = f"{epoch['phase']} epoch {epoch['epoch']}"
                        raise Stopped(f"{run.loss} {run.key} after {after}")
                outcome = _score(run, training, dataset, places, pool_test)
        except (Problem, Stopped):
            raise
        except (Exception, SystemExit) as error:  # what a loss raises must not end the other losses
            if endings.is_of_a_scheduler(error):
                raise
            outcome = Outcome(failure=endings.failure_of(error), curve=_curve_until(training))
    made_by = making.made_by(run.study, dataset.fingerprint, device, base)
    if nondeterministic:
        made_by["nondeterministic"] = sorted(nondeterministic)
    if device.type == "cuda":
        made_by["gpu_share"] = places.gpu_share
    seconds = earlier_seconds + time.perf_counter() - began
    record = record_of(run, **vars(outcome), seconds=seconds, provenance=made_by)
    checkpoint.unlink(missing_ok=True)
    folder.progress_path(places.results, run).unlink(missing_ok=True)
    return record


def _dataset(run: Run, places: Places, device: torch.device) -> Dataset:
    """The run's dataset, with features for images where the study freezes the trunk.

    Problem where it is no longer the dataset of the study's records.
    """
    dataset = datasets.load(run.dataset, places.data, run.study.resize)
    folder.check_fingerprint(places.results, run, dataset.fingerprint)
    return frozen_features.of_dataset(dataset, run.study, places.data, device)


def _start(run: Run, dataset: Dataset, device: torch.device) -> train.Training:
    """The run's training, on trainval classes alone."""
    trainval = splits.trainval_part(dataset, run.study.halves)
    start = scored_on_test.start if run.stage == POOL else train.start
    return start(run, trainval, device)


def _epochs(training: train.Training, pool_test: Part | None) -> Iterator[dict[str, Any]]:
    """The training, epoch by epoch; the one place where test classes can meet one that goes on."""
    if pool_test is None:
        return train.epochs(training)
    return scored_on_test.epochs(training, pool_test)


def _curve_until(training: train.Training | None) -> Sequence[Mapping[str, Any]]:
    """The epochs before a failure, where the study asks for more than scores in its curves."""
    return training.state.curve if training is not None and training.run.study.curve else ()


def _pool_test_part(run: Run, dataset: Dataset) -> Part:
    """The test images that the models of the pool are scored on."""
    test = splits.test_part(dataset, run.study.halves)
    if test.n_classes > BY_CLASS:
        raise Problem(
            f"{run.dataset} has {test.n_classes} test classes, and the study {run.study.name!r} "
            f"keeps scores by class, for at most {BY_CLASS}; give another --dataset"
        )
    return scored_on_test.thinned(test, run.study.pool_images_per_class)


def _score(
    run: Run, training: train.Training, dataset: Dataset, places: Places, pool_test: Part | None
) -> Outcome:
    """Held-out scores of a trial's run, test scores of a final run.

    `pool_test` are the test images that a run of the pool was scored on.
    """
    state = training.state
    scores, by_class, described = state.scores, None, None
    if run.stage not in TRIAL_STAGES:
        test = splits.test_part(dataset, run.study.halves)
        embedded = embeddings.for_retrieval(
            training.network, test, run, training.device, classes="test"
        )
        scores, by_class = test_scores(run, embedded, test, dataset)
        described = diagnostics.of_run(run, training, embedded, test)
        if run.stage == "repeat":
            owner = fold_embeddings.owner(run, dataset.fingerprint, places.threads)
            fold_embeddings.write(folder.embeddings_path(places.results, run), embedded, owner)
    return Outcome(
        scores=scores,
        by_class=by_class,
        curve=state.curve,
        epochs=training.epochs_behind,
        epochs_run=(state.epochs_run["normal"], state.epochs_run["followup"]),
        capped=None if training.held_out is None or run.stage == POOL else bool(state.capped),
        test_queries=None if pool_test is None else scored_on_test.queries_by_class(pool_test),
        diagnostics=described,
    )


def _write_progress(run: Run, places: Places, epoch: Mapping[str, Any]) -> None:
    """Say how far the run is, for whoever watches."""
    progress = {name: value for name, value in epoch.items() if value != -math.inf}
    with replacing(folder.progress_path(places.results, run), durable=False) as temporary:
        temporary.write_text(json.dumps(progress))


def _score_ensemble(run: Run, dataset: Dataset, places: Places, stopping: Stopping) -> Outcome:
    """Scores of the folds' test embeddings, each at unit length if the study says so, joined."""
    joined = fold_embeddings.of_folds(
        run,
        dataset.fingerprint,
        results=places.results,
        threads=places.threads,
        train_again=lambda fold_run: execute(fold_run, places, stopping),
    )
    joined = [embedded.to(torch.device(places.device)) for embedded in joined]
    if run.study.normalise_ensemble:
        joined = [embeddings.unit_length(embedded) for embedded in joined]
    test = splits.test_part(dataset, run.study.halves)
    embedded = torch.cat(joined, dim=1)
    scores, by_class = test_scores(run, embedded, test, dataset)
    described = diagnostics.of_run(run, None, embedded, test)
    return Outcome(scores=scores, by_class=by_class, diagnostics=described)
