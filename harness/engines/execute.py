"""One run to its record, in whatever process: load, train, score. The test classes enter here.

A training has ended before the test part is built, and a search run never builds it. The one
exception is the test-tuned branch of the study `standard`: see `_start`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.data import datasets
from harness.files import replacing
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.protocol import optimism, splits
from harness.protocol.final import fold_runs
from harness.records import code, folder, provenance
from harness.schema import (
    BY_CLASS,
    TEST_TUNED,
    Dataset,
    Diverged,
    Part,
    Record,
    Run,
    Stopped,
    Study,
    record_of,
)
from harness.training import checkpoints, embeddings, precision, train, tuned_on_test, weights

CHECKPOINT_SECONDS = 30.0  # between two checkpoints of a run
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
    code.loss_code(run.loss)  # now, because it is of the code that is about to be imported
    dataset = datasets.load(run.dataset, places.data, run.study.resize)
    folder.check_fingerprint(places.results, run, dataset.fingerprint)
    checkpoint = folder.checkpoint_path(places.results, run)
    try:
        if run.stage == "ensemble":
            outcome = _score_ensemble(run, dataset, places, stopping)
        else:
            training = _start(run, dataset, device)
            origin = f"{code.loss_code(run.loss)} {dataset.fingerprint} {places.threads}"
            earlier_seconds = checkpoints.resume(checkpoint, training, origin)
            written = time.perf_counter()
            for epoch in train.epochs(training):
                _write_progress(run, places, epoch)
                now, stop = time.perf_counter(), stopping()
                if stop or now - written > CHECKPOINT_SECONDS:
                    checkpoints.write(checkpoint, training, earlier_seconds + now - begun, origin)
                    written = time.perf_counter()
                if stop:
                    after = f"{epoch['phase']} epoch {epoch['epoch']}"
                    raise Stopped(f"{run.loss} {run.key} after {after}")
            outcome = _score(run, training, dataset, places)
    except (Diverged, torch.OutOfMemoryError) as error:
        outcome = Outcome(failure=f"{type(error).__name__}: {error}".splitlines()[0])
    record = record_of(
        run,
        scores=outcome.scores,
        curve=outcome.curve,
        epochs=outcome.epochs,
        epochs_run=outcome.epochs_run,
        capped=outcome.capped,
        failure=outcome.failure,
        seconds=earlier_seconds + time.perf_counter() - begun,
        provenance=made_by(run.study, dataset.fingerprint, device, run.loss),
        by_class=outcome.by_class,
    )
    checkpoint.unlink(missing_ok=True)
    folder.progress_path(places.results, run).unlink(missing_ok=True)
    return record


def _start(run: Run, dataset: Dataset, device: torch.device) -> train.Training:
    """The run's training; the one place where test classes can meet one."""
    trainval = splits.trainval_part(dataset, run.study.halves)
    if run.stage in TEST_TUNED:  # every record of these stages says so
        test = splits.test_part(dataset, run.study.halves)
        return tuned_on_test.start(run, trainval, test, device)
    return train.start(run, trainval, device)


def _score(run: Run, training: train.Training, dataset: Dataset, places: Places) -> Outcome:
    """Held-out scores of a search run, test scores of a final run."""
    state = training.state
    scores, by_class = state.scores, None
    if run.stage not in optimism.BRANCHES:
        test = splits.test_part(dataset, run.study.halves)
        embedded = embeddings.for_retrieval(
            training.network, test, run, training.device, classes="test"
        )
        scores, by_class = _test_scores(run, embedded, test, dataset)
        if run.stage == "repeat":
            _keep_for_ensemble(run, embedded, places)
    return Outcome(
        scores=scores,
        by_class=by_class,
        curve=state.curve,
        epochs=training.epochs_behind,
        epochs_run=(state.epochs_run["normal"], state.epochs_run["followup"]),
        capped=None if training.held_out is None else bool(state.capped),
    )


def _write_progress(run: Run, places: Places, epoch: Mapping[str, Any]) -> None:
    """Say how far the run is, for whoever watches."""
    progress = {name: value for name, value in epoch.items() if value != -math.inf}
    with replacing(folder.progress_path(places.results, run), durable=False) as temporary:
        temporary.write_text(json.dumps(progress))


def _test_scores(
    run: Run, embedded: Tensor, test: Part, dataset: Dataset
) -> tuple[dict[str, float], dict[str, list[float]] | None]:
    """Scores over all queries, and by class where there are not too many classes to keep them."""
    queries = None if dataset.is_query is None else torch.from_numpy(dataset.is_query[test.index])
    labels, recall_at = torch.from_numpy(test.labels), run.study.recall_at
    lists = neighbour_lists(embedded, labels, recall_at=recall_at, is_query=queries)
    return lists.scores(), sums_by_class(lists) if test.n_classes <= BY_CLASS else None


def _keep_for_ensemble(run: Run, embedded: Tensor, places: Places) -> None:
    path = folder.embeddings_path(places.results, run)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, embeddings=embedded.cpu().numpy())


def _score_ensemble(run: Run, dataset: Dataset, places: Places, stopping: Stopping) -> Outcome:
    """Scores of the folds' test embeddings, each at unit length if the study says so, joined.

    A fold whose embeddings were lost is trained again from its run, which gives the same ones.
    """
    joined, device = [], torch.device(places.device)
    for fold_run in fold_runs(run):
        path = folder.embeddings_path(places.results, fold_run)
        if not path.exists():
            again = execute(fold_run, places, stopping)
            if again.failure is not None:
                raise Diverged(f"fold {fold_run.fold} has no model: {again.failure}")
        with np.load(path) as arrays:
            joined.append(torch.from_numpy(arrays["embeddings"]).to(device))
    if run.study.normalise_ensemble:
        joined = [embeddings.unit_length(embedded) for embedded in joined]
    test = splits.test_part(dataset, run.study.halves)
    scores, by_class = _test_scores(run, torch.cat(joined, dim=1), test, dataset)
    return Outcome(scores=scores, by_class=by_class)


def made_by(
    study: Study, fingerprint: str, device: torch.device, loss: str | None = None
) -> dict[str, Any]:
    """What a record says of its making: code, packages, device, and what it was computed from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.processor()
    codes = {"study_code": code.study_code(study.name)}
    codes["loss_code"] = None if loss is None else code.loss_code(loss)
    return {
        **provenance.code_version(),
        **{name: digest for name, digest in codes.items() if digest is not None},
        "versions": provenance.package_versions(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "precision": study.precision,
        "compile": study.compile,
        "fold_batch_norm": study.fold_batch_norm,
        "weights": weights.identity(study.weights),
        "dataset": fingerprint,
        "study": study.digest(),
    }
