"""One run to its record, in whatever process: load, train, score. The test classes enter here.

A training has ended before the test part is built, and a search run never builds it. The one
exception is the pool of the study `optimism`: see `_epochs`.
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
from torch import Tensor

from harness.data import datasets
from harness.engines import diagnostics, endings, fold_embeddings, frozen_features
from harness.files import replacing
from harness.measure.galleries import Masks
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.protocol import splits
from harness.records import code, folder, provenance
from harness.schema import (
    BY_CLASS,
    POOL,
    TRIAL_STAGES,
    Bools,
    Dataset,
    Ints,
    Part,
    Problem,
    Record,
    Run,
    Stopped,
    Study,
    record_of,
)
from harness.training import checkpoints, embeddings, network, precision, scored_on_test, train

CHECKPOINT_SECONDS = 30.0  # between two checkpoints of a run
PROGRESS_SECONDS = 1.0  # between two words on how far it is
Stopping = Callable[[], bool]  # asked before a run and after every epoch: should it end early?


@dataclass(frozen=True)
class Places:
    """Where a run executes: folders, device, CPU threads."""

    results: Path
    data: Path
    device: str = "cpu"
    threads: int = 1


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
    begun, earlier_seconds = time.perf_counter(), 0.0
    if stopping():
        raise Stopped(f"{run.loss} {run.key} before it began")
    device = torch.device(places.device)
    precision.allow_tf32(run.study, device)
    base = run.study.base_of(run.loss)
    code.loss_code(base)  # now, because it is of the code that is about to be imported
    dataset = datasets.load(run.dataset, places.data, run.study.resize)
    folder.check_fingerprint(places.results, run, dataset.fingerprint)
    dataset = frozen_features.of_dataset(dataset, run.study, places.data, device)
    checkpoint = folder.checkpoint_path(places.results, run)
    training: train.Training | None = None
    try:
        if run.stage == "ensemble":
            outcome = _score_ensemble(run, dataset, places, stopping)
        else:
            training = _start(run, dataset, device)
            origin = f"{code.loss_code(base)} {dataset.fingerprint} {places.threads}"
            earlier_seconds = checkpoints.resume(checkpoint, training, origin)
            written, shown = time.perf_counter(), -math.inf
            for epoch in _epochs(training, dataset):
                now, stop = time.perf_counter(), stopping()
                if now - shown > PROGRESS_SECONDS:
                    _write_progress(run, places, epoch)
                    shown = now
                if stop or now - written > CHECKPOINT_SECONDS:
                    checkpoints.write(checkpoint, training, earlier_seconds + now - begun, origin)
                    written = time.perf_counter()
                if stop:
                    after = f"{epoch['phase']} epoch {epoch['epoch']}"
                    raise Stopped(f"{run.loss} {run.key} after {after}")
            outcome = _score(run, training, dataset, places)
    except (Problem, Stopped):
        raise
    except (Exception, SystemExit) as error:  # what a loss raises must not end the other losses
        if endings.is_of_a_scheduler(error):
            raise
        outcome = Outcome(failure=endings.failure_of(error), curve=_curve_until(training))
    record = record_of(
        run,
        scores=outcome.scores,
        curve=outcome.curve,
        epochs=outcome.epochs,
        epochs_run=outcome.epochs_run,
        capped=outcome.capped,
        failure=outcome.failure,
        seconds=earlier_seconds + time.perf_counter() - begun,
        provenance=made_by(run.study, dataset.fingerprint, device, base),
        by_class=outcome.by_class,
        test_queries=outcome.test_queries,
        diagnostics=outcome.diagnostics,
    )
    checkpoint.unlink(missing_ok=True)
    folder.progress_path(places.results, run).unlink(missing_ok=True)
    return record


def _curve_until(training: train.Training | None) -> Sequence[Mapping[str, Any]]:
    """The epochs before a failure, where the study asks for more than scores in its curves."""
    return training.state.curve if training is not None and training.run.study.curve else ()


def _start(run: Run, dataset: Dataset, device: torch.device) -> train.Training:
    """The run's training, on trainval classes alone."""
    trainval = splits.trainval_part(dataset, run.study.halves)
    start = scored_on_test.start if run.stage == POOL else train.start
    return start(run, trainval, device)


def _epochs(training: train.Training, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The training, epoch by epoch; the one place where test classes can meet one that goes on."""
    if training.run.stage == POOL:  # every record of this stage says so
        return scored_on_test.epochs(training, _pool_test_part(training.run, dataset))
    return train.epochs(training)


def _pool_test_part(run: Run, dataset: Dataset) -> Part:
    """The test images that the models of the pool are scored on."""
    test = splits.test_part(dataset, run.study.halves)
    if test.n_classes > BY_CLASS:
        raise Problem(
            f"{run.dataset} has {test.n_classes} test classes, and the study {run.study.name!r} "
            f"keeps scores by class, for at most {BY_CLASS}; give another --dataset"
        )
    return scored_on_test.thinned(test, run.study.pool_images_per_class)


def _score(run: Run, training: train.Training, dataset: Dataset, places: Places) -> Outcome:
    """Held-out scores of a trial's run, test scores of a final run."""
    state = training.state
    scores, by_class, test_queries, described = state.scores, None, None, None
    if run.stage == POOL:
        test_queries = scored_on_test.queries_by_class(_pool_test_part(run, dataset))
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
        test_queries=test_queries,
        diagnostics=described,
    )


def _write_progress(run: Run, places: Places, epoch: Mapping[str, Any]) -> None:
    """Say how far the run is, for whoever watches."""
    progress = {name: value for name, value in epoch.items() if value != -math.inf}
    with replacing(folder.progress_path(places.results, run), durable=False) as temporary:
        temporary.write_text(json.dumps(progress))


def test_scores(
    run: Run, embedded: Tensor, test: Part, dataset: Dataset
) -> tuple[dict[str, float], dict[str, list[float]] | None]:
    """Scores over all queries, and by class where there are not too many classes to keep them."""
    lists = neighbour_lists(
        embedded,
        torch.from_numpy(test.labels),
        recall_at=run.study.recall_at,
        **masks_of(dataset, test),
    )
    return lists.scores(), sums_by_class(lists) if test.n_classes <= BY_CLASS else None


def masks_of(dataset: Dataset, test: Part) -> Masks:
    """The queries, gallery and groups among a dataset's test images."""

    def of_test(values: Ints | Bools | None) -> Tensor | None:
        return None if values is None else torch.from_numpy(values[test.index])

    return Masks(
        is_query=of_test(dataset.is_query),
        is_gallery=of_test(dataset.is_gallery),
        groups=of_test(dataset.groups),
    )


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


def made_by(
    study: Study, fingerprint: str, device: torch.device, loss: str | None = None
) -> dict[str, Any]:
    """What a record says of its making: code, packages, device, and what it was computed from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.processor()
    libraries = ["timm"] if study.trunk.startswith("timm:") else []
    codes = {"study_code": code.study_code(study.name)}
    codes["loss_code"] = None if loss is None else code.loss_code(loss)
    return {
        **provenance.code_version(),
        **{name: digest for name, digest in codes.items() if digest is not None},
        "versions": provenance.package_versions(*libraries),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "precision": study.precision,
        "compile": study.compile,
        "fold_batch_norm": study.fold_batch_norm,
        "weights": network.weights_of(study),
        "dataset": fingerprint,
        "study": study.digest(),
    }
