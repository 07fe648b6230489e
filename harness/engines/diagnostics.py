"""The diagnostics of a final run that its study names: can they be had, and what are they?"""

from __future__ import annotations

import importlib.util
import math

import torch
from torch import Tensor

from harness.measure import diagnostics as measured
from harness.protocol import splits
from harness.schema import DIAGNOSTICS, SEEN, Dataset, Part, Problem, Run, Study
from harness.seeds import seed_from
from harness.training import embeddings, proxies, train


def check(study: Study, dataset: Dataset) -> None:
    """Problem where a diagnostic that the study names cannot be had, before anything is trained."""
    if not study.diagnostics:
        return
    clustered = [name for name in study.diagnostics if name in measured.BY_CLUSTERS]
    if clustered and importlib.util.find_spec("faiss") is None:
        raise Problem(
            f"--diagnostics {' '.join(clustered)}: k-means needs the package faiss, which is not "
            "installed: python -m pip install faiss-cpu (or faiss-gpu), or leave them out"
        )
    in_test = splits.test_mask(dataset.labels, dataset.is_test, study.halves)
    reason = measured.undefined(study.diagnostics, dataset.labels[in_test])
    if reason is not None:
        raise Problem(f"{dataset.name}: {reason}; leave it out of the study's diagnostics")


def of_run(
    run: Run, training: train.Training | None, embedded: Tensor, test: Part
) -> dict[str, float] | None:
    """The study's diagnostics of a run's test embeddings [n, D]; None where the study has none.

    `training` is the run's own, whose proxies `avg_dtp` needs and those of SEEN other images of its
    classes: an ensemble has none.
    """
    names = run.study.diagnostics
    if not names:
        return None
    labels = torch.from_numpy(test.labels).to(embedded.device)
    values = measured.diagnostics(names, embedded, labels, seed=seed_from(run.seed, "k-means"))
    models = training.models if training is not None else None
    if "avg_dtp" in names and training is not None and models is not None:
        distance = proxies.mean_distance(
            training.network, models.loss, training.train, run, training.device
        )
        if distance is not None and math.isfinite(distance):
            values["avg_dtp"] = distance
    if set(names) & set(SEEN) and training is not None:
        values |= _of_seen(run, training)
    return {name: values[name] for name in DIAGNOSTICS if name in values}


def _of_seen(run: Run, training: train.Training) -> dict[str, float]:
    """Retrieval among images of training classes that did not train."""
    assert training.seen is not None
    assert training.seen_third is not None
    embedded = embeddings.for_retrieval(
        training.network, training.seen, run, training.device, classes="training"
    )
    labels, third = training.seen.labels, training.seen_third
    return measured.of_seen(embedded, torch.from_numpy(labels), torch.from_numpy(third))
