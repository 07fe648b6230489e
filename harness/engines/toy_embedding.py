"""The trainings of the study `toy_embedding`: some classes of a dataset, to overfit them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from harness.data import datasets
from harness.engines.execute import Places
from harness.measure.clusters import Clusters
from harness.protocol import splits
from harness.schema import Dataset, Part, Problem, Run, Study
from harness.seeds import seed_from
from harness.training import network, train
from harness.training.proxies import proxies_of


def trainings(
    *,
    study: Study,
    dataset: str,
    variants: Mapping[str, tuple[str, Mapping[str, Any]]],
    classes: int,
    epochs: int,
    repeats: int,
    places: Places,
    notify: Callable[[str], None],
) -> tuple[Dataset, dict[str, list[Clusters]]]:
    """Train every variant `repeats` times; the dataset, and variant -> repeat -> its clusters.

    A variant is a loss with fixed params. Repeat r has the same seed for every variant.
    """
    resolved = study.for_dataset(dataset)
    loaded = datasets.load(dataset, places.data, resolved.resize)
    part = first_classes(splits.trainval_part(loaded, resolved.halves), classes)
    clusters: dict[str, list[Clusters]] = {name: [] for name in variants}
    for repeat in range(repeats):
        for name, (loss, params) in variants.items():
            run = Run(
                study=resolved,
                dataset=dataset,
                loss=loss,
                stage="complete",
                seed=seed_from(resolved.name, dataset, repeat),
                params=params,
                trial=0,
                repeat=repeat,
                epochs=(epochs, 0),
            )
            clusters[name].append(_trained(run, part, torch.device(places.device)))
            notify(f"{name}: repeat {repeat + 1} of {repeats}")
    return loaded, clusters


def first_classes(part: Part, classes: int) -> Part:
    """The images of the first classes of a part."""
    if not 2 <= classes <= part.n_classes:
        raise Problem(
            f"classes = {classes} of the {part.n_classes} trainval classes: 2 to {part.n_classes} "
            "can be taken"
        )
    return part.take(np.flatnonzero(part.labels < classes))


def _trained(run: Run, part: Part, device: torch.device) -> Clusters:
    training = train.start_on(run, part, None, device)
    for _ in train.epochs(training):
        pass
    assert training.models is not None
    proxies = proxies_of(training.models.loss, part.n_classes)
    if proxies is None:
        raise Problem(f"{run.loss} has no proxy for each class; give a loss that has")
    embedded = network.embed(training.network, part, run.study, device)
    return Clusters(embedded.double().cpu().numpy(), part.labels, proxies.double().cpu().numpy())
