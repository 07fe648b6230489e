"""Training a head on features as one writes it by hand: a loop of plain torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.protocol import splits
from harness.protocol.search import loss_params
from harness.schema import Features, Ints, Part, Run
from harness.seeds import seed_from

Sampler = Callable[[], Sequence[Ints]]  # the batches of an epoch


@dataclass(frozen=True)
class Task:
    """What a run trains on and what it holds out: rows [n, F] and labels [n]."""

    rows: Tensor
    labels: Tensor
    held_rows: Tensor
    held_labels: Tensor


def task_of(run: Run, trainval: Part) -> Task:
    """The classes of the run's fold as plain tensors."""
    assert run.fold is not None
    assert isinstance(trainval.images, Features)
    split = splits.fold(
        trainval.labels, run.study.fold_layout, folds=run.study.folds, number=run.fold
    )
    tensors = []
    for part in (trainval.take(split.train), trainval.take(split.held_out)):
        tensors += [
            torch.from_numpy(trainval.images.rows[part.index]),
            torch.from_numpy(part.labels),
        ]
    return Task(*tensors)


def balanced(labels: npt.NDArray[np.int64], run: Run) -> Sampler:
    """Batches of classes and images drawn at random, as many as an epoch of the run has."""
    rng = np.random.default_rng(run.seed)
    classes, per_class = run.study.classes_per_batch, run.study.images_per_class
    members = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    groups = sum(-(-len(images) // per_class) for images in members)

    def batch() -> Ints:
        chosen = rng.choice(len(members), classes, replace=False)
        return np.concatenate(
            [rng.choice(members[c], per_class, replace=len(members[c]) < per_class) for c in chosen]
        )

    return lambda: [batch() for _ in range(-(-groups // classes))]


def train(run: Run, task: Task, epochs: int, sampler: Sampler) -> list[float]:
    """The held-out MAP@R after every epoch, from the run's own start, by RMSprop."""
    study, file = run.study, importlib.import_module(f"losses.{run.loss}")
    normal, _ = loss_params({}, run.params)
    torch.manual_seed(seed_from(run.seed, "network"))
    head = nn.Linear(task.rows.shape[1], study.dim)
    nn.init.kaiming_normal_(head.weight, mode="fan_out")
    nn.init.zeros_(head.bias)
    loss = file.Loss(n_classes=int(task.labels.max()) + 1, dim=study.dim, **normal)
    rates = {name: run.params.get(name, getattr(study, name)) for name in ("lr", "loss_lr")}
    groups = [{"params": list(head.parameters()), "lr": rates["lr"]}]
    if file.OWN_PARAMETERS:
        groups.append({"params": list(loss.parameters()), "lr": rates["loss_lr"]})
    optimiser = torch.optim.RMSprop(
        groups, momentum=study.momentum, weight_decay=study.weight_decay
    )

    def embed(rows: Tensor, *, unit: bool) -> Tensor:
        embedded: Tensor = head(F.layer_norm(rows, (rows.shape[1],)))
        return F.normalize(embedded) if unit else embedded

    scores = []
    for _ in range(epochs):
        for batch in map(torch.from_numpy, sampler()):
            value = loss(embed(task.rows[batch], unit=file.EMBEDDING == "unit"), task.labels[batch])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        with torch.no_grad():
            held = embed(task.held_rows, unit=file.RETRIEVAL == "cosine")
            scores.append(map_at_r(held, task.held_labels))
    return scores


def map_at_r(embedded: Tensor, labels: Tensor) -> float:
    """MAP@R of embeddings [n, D] among themselves, by all distances in float64."""
    rows = embedded.double()
    squares = rows.square().sum(1)
    distances = squares[:, None] + squares - 2 * rows @ rows.T
    distances.fill_diagonal_(torch.inf)
    relevant = torch.bincount(labels)[labels] - 1
    nearest = distances.topk(int(relevant.max()), largest=False).indices
    hits = (labels[nearest] == labels[:, None]).double()
    rank = torch.arange(1, hits.shape[1] + 1)
    precision = hits.cumsum(1) / rank * hits * (rank <= relevant[:, None])
    return float((precision.sum(1) / relevant)[relevant > 0].mean())
