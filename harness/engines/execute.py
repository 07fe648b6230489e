"""One run to its record, in whatever process: load, train, score. The test classes enter here.

`train.fit` has returned its model before the test part is built, and a search run never builds it.
Only a run of the test-tuned branch of the study `standard` is handed it: see `_fit_on_test`.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.data import datasets
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.protocol import optimism, plan, splits
from harness.records import folder, provenance
from harness.schema import (
    BY_CLASS,
    TEST_TUNED,
    UNTRAINED,
    Dataset,
    Diverged,
    Record,
    Run,
    Stopped,
    Study,
    record_of,
)
from harness.training import network, precision, train, tuned_on_test, weights

Stopping = Callable[[], bool]  # asked before a run and after every epoch: should it end early?


@dataclass(frozen=True)
class Places:
    """Where a run executes: folders, device, CPU threads."""

    results: Path
    data: Path
    device: str = "cpu"
    threads: int = 1


Execute = Callable[[Run, Places, Stopping], Record]  # what engines call: `execute` but in tests


def execute(run: Run, places: Places, stopping: Stopping = lambda: False) -> Record:
    """Train and score as `run` says; a failure of the training is a record that says so.

    Stopped where `stopping` is true before the run begins or after an epoch, with its checkpoint
    kept.
    """
    begun, earlier_seconds = time.perf_counter(), 0.0
    if stopping():
        raise Stopped(f"{run.loss} {run.key} before it began")
    precision.settle(run.study, torch.device(places.device))
    dataset = datasets.load(run.dataset, places.data, run.study.resize)
    scores: Mapping[str, float] = {}
    curve: list[dict[str, Any]] = []
    epochs, failure = (0, 0), None
    by_class: Mapping[str, Sequence[float]] | None = None
    try:
        if run.stage == "ensemble":
            scores, by_class = _ensemble_scores(run, dataset, places, stopping)
        else:
            tuned = run.stage in TEST_TUNED
            trained = (_fit_on_test if tuned else _fit)(run, dataset, places, stopping)
            scores, curve, epochs = trained.scores, trained.curve, trained.epochs
            earlier_seconds = trained.earlier_seconds
            if run.stage not in optimism.BRANCHES:
                embeddings = _test_embeddings(run, trained.network, dataset, places)
                scores, by_class = _test_scores(run, embeddings, dataset)
            if run.stage == "repeat":
                _keep(run, embeddings, places)
    except (Diverged, torch.OutOfMemoryError) as error:
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
        scores, by_class, curve, epochs = {}, None, [], (0, 0)
    record = record_of(
        run,
        scores=scores,
        curve=curve,
        epochs=epochs,
        failure=failure,
        seconds=earlier_seconds + time.perf_counter() - begun,
        provenance=made_by(run.study, dataset.fingerprint, torch.device(places.device)),
        by_class=by_class,
    )
    checkpoint_path(run, places).unlink(missing_ok=True)
    progress_path(run, places).unlink(missing_ok=True)
    return record


def work_folder(run: Run, places: Places) -> Path:
    """What the loss's runs keep beside their records while it is needed."""
    where = folder.folder_of(places.results, run.study.name, run.dataset)
    return where / "work" / run.loss


def checkpoint_path(run: Run, places: Places) -> Path:
    """Where a run keeps its state."""
    return work_folder(run, places) / f"{run.key}.checkpoint"


def progress_path(run: Run, places: Places) -> Path:
    """Where a run says how far it is, for whoever watches."""
    return work_folder(run, places) / f"{run.key}.progress.json"


def embeddings_path(run: Run, places: Places) -> Path:
    """Where a fold's model leaves its test embeddings for the ensemble."""
    return work_folder(run, places) / f"{run.key}.npz"


def _fit(run: Run, dataset: Dataset, places: Places, stopping: Stopping) -> train.Trained:
    trainval = splits.trainval_part(dataset, run.study.halves)
    device, kept = torch.device(places.device), checkpoint_path(run, places)
    return train.fit(run, trainval, device, _telling(run, places), kept, stopping)


def _fit_on_test(run: Run, dataset: Dataset, places: Places, stopping: Stopping) -> train.Trained:
    """The one place where test classes meet a training: of stages that say so in every record."""
    trainval = splits.trainval_part(dataset, run.study.halves)
    test = splits.test_part(dataset, run.study.halves)
    device, kept = torch.device(places.device), checkpoint_path(run, places)
    return tuned_on_test.fit(run, trainval, test, device, _telling(run, places), kept, stopping)


def _telling(run: Run, places: Places) -> train.Tell:
    path = progress_path(run, places)
    path.parent.mkdir(parents=True, exist_ok=True)

    def tell(entry: Mapping[str, Any]) -> None:
        told = {name: value for name, value in entry.items() if value != -math.inf}
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(told))
        os.replace(temporary, path)

    return tell


def _test_embeddings(run: Run, model: network.Network, dataset: Dataset, places: Places) -> Tensor:
    part = splits.test_part(dataset, run.study.halves)
    embeddings = network.embed(model, part, run.study, torch.device(places.device))
    if not bool(torch.isfinite(embeddings).all()):
        raise Diverged("embeddings of the test classes are NaN or infinite")
    return train.as_compared(embeddings, unit=_unit(run.loss))


def _unit(loss: str) -> bool:
    """Whether a loss's embeddings are compared at unit length; the untrained trunk's are."""
    if loss == UNTRAINED:
        return True
    return bool(importlib.import_module(f"losses.{loss}").RETRIEVAL == "cosine")


def _test_scores(
    run: Run, embeddings: Tensor, dataset: Dataset
) -> tuple[dict[str, float], dict[str, list[float]] | None]:
    """Scores over all queries, and by class where there are not too many classes to keep them."""
    part = splits.test_part(dataset, run.study.halves)
    queries = None if dataset.is_query is None else torch.from_numpy(dataset.is_query[part.index])
    labels, recall_at = torch.from_numpy(part.labels), run.study.recall_at
    lists = neighbour_lists(embeddings, labels, recall_at=recall_at, is_query=queries)
    return lists.scores(), sums_by_class(lists) if part.n_classes <= BY_CLASS else None


def _keep(run: Run, embeddings: Tensor, places: Places) -> None:
    path = embeddings_path(run, places)
    temporary = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(temporary, embeddings=embeddings.cpu().numpy())
    os.replace(temporary, path)


def _ensemble_scores(
    run: Run, dataset: Dataset, places: Places, stopping: Stopping
) -> tuple[dict[str, float], dict[str, list[float]] | None]:
    """Scores of the folds' test embeddings, each at unit length if the study says so, joined.

    A fold whose embeddings were lost is trained again from its run, which gives the same ones.
    """
    joined, device = [], torch.device(places.device)
    for fold_run in plan.fold_runs(run):
        path = embeddings_path(fold_run, places)
        if not path.exists():
            again = execute(fold_run, places, stopping)
            if again.failure is not None:
                raise Diverged(f"fold {fold_run.fold} has no model: {again.failure}")
        with np.load(path) as kept:
            joined.append(torch.from_numpy(kept["embeddings"]).to(device))
    if run.study.normalise_ensemble:
        joined = [train.as_compared(embeddings, unit=True) for embeddings in joined]
    return _test_scores(run, torch.cat(joined, dim=1), dataset)


def made_by(study: Study, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """What a record says of its making: code, packages, device, and what it was computed from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.processor()
    return {
        **provenance.code_version(),
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
