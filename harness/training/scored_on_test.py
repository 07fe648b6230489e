"""The one training whose models are scored on test classes as it goes, to measure optimism.

Much of the literature chooses params and epochs by test scores. The study `optimism` needs such
scores of a whole pool of configurations, to say what the choice is worth. The training itself never
receives a test image: it is the plain one, with the same epochs for every configuration, and its
models are scored between two epochs. Every such run bears a stage of its own, and a run of any
other stage or study is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.measure.galleries import galleries_of
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.protocol import splits
from harness.schema import OPTIMISM, POOL, Part, Run
from harness.training import embeddings, train

DIGITS = 6  # decimals of a sum of MAP@R over the queries of a class


def start(run: Run, trainval: Part, device: torch.device) -> train.Training:
    """A training of the pool on its fold, its held-out classes thinned as the study says.

    ValueError for a run of any other stage or study.
    """
    _check(run)
    split = splits.fold(
        trainval.labels, run.study.fold_layout, folds=run.study.folds, number=run.fold or 0
    )
    held_out = thinned(trainval.take(split.held_out), run.study.pool_images_per_class)
    return train.start_on(run, trainval.take(split.train), held_out, device)


def epochs(training: train.Training, test: Part) -> Iterator[dict[str, Any]]:
    """The epochs of train.epochs; the model of every evaluated one is also scored on `test`.

    The curve's entry gets `test_sums`: the sum of MAP@R over the queries of each test class, in the
    order of the labels, to DIGITS decimals. As among the held-out classes, every image is a query
    and all others are its gallery, but for those of its group. `test` comes thinned. ValueError for
    a run of any other study.
    """
    run = training.run
    _check(run)
    labels, groups = _labels_and_groups(test)
    for epoch in train.epochs(training):
        entry = training.state.curve[-1]
        if "map_at_r" in entry:
            embedded = embeddings.for_retrieval(
                training.network, test, run, training.device, classes="test"
            )
            sums = sums_by_class(neighbour_lists(embedded, labels, groups=groups))["map_at_r"]
            entry["test_sums"] = [round(value, DIGITS) for value in sums]
        yield epoch


def thinned(part: Part, images_per_class: int | None) -> Part:
    """The first so many images of each class of a part, in their order; all of them for None."""
    if images_per_class is None:
        return part
    chosen = [np.flatnonzero(part.labels == c)[:images_per_class] for c in range(part.n_classes)]
    return part.take(np.sort(np.concatenate(chosen)))


def queries_by_class(test: Part) -> list[int]:
    """How many queries with a positive each class of a part has, where it has any."""
    labels, groups = _labels_and_groups(test)
    galleries = galleries_of(labels, groups=groups, device=labels.device)
    scored = galleries.queries[galleries.has_positive]
    counts: list[int] = torch.bincount(galleries.labels[scored]).tolist()
    return [count for count in counts if count]


def _labels_and_groups(part: Part) -> tuple[Tensor, Tensor | None]:
    groups = None if part.groups is None else torch.from_numpy(part.groups)
    return torch.from_numpy(part.labels), groups


def _check(run: Run) -> None:
    """ValueError for a run whose models may not be scored on test classes as it goes."""
    if run.stage != POOL or not run.study.test_scored:
        raise ValueError(
            f"run {run.key} of study {run.study.name!r} may not meet test classes before its model "
            f"is kept; only the stage {POOL!r} of {OPTIMISM!r} may"
        )
