"""The one visible training loop: two phases, each until the held-out MAP@R plateaus.

`fit` receives the trainval classes and nothing else, so nothing in it can look at test classes. The
one exception has a module of its own: harness/test_tuned.py.
"""

from __future__ import annotations

import copy
import importlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.measure.scores import retrieval_scores
from harness.protocol import batches, splits
from harness.protocol.search import loss_params
from harness.schema import UNTRAINED, Diverged, Ints, Part, Problem, Run, Stopped, Study
from harness.seeds import seed_from
from harness.training import checkpoints, network, transforms

PHASES = ("normal", "followup")
CHECKPOINT_SECONDS = 30.0
UNSOUND = "embeddings became NaN or infinite in training"
OPTIMISERS = {
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}

Tell = Callable[[Mapping[str, Any]], None]
Models = dict[str, Any]  # {"network", "loss", "optimiser"}


@dataclass
class State:
    """Where a run stands at the end of an epoch; with the models' states, all it needs to go on."""

    phase: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    scores: dict[str, float] = field(default_factory=dict)
    epochs: list[int] = field(default_factory=lambda: [0, 0])
    curve: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0  # it took so far, in all attempts


@dataclass(frozen=True)
class Trained:
    """A model as kept, its held-out scores, its curve, the epochs (normal, followup) behind it.

    `earlier_seconds` went into attempts before this one, as far as it went on from them.
    """

    network: network.Network
    scores: Mapping[str, float]
    curve: list[dict[str, Any]]
    epochs: tuple[int, int]
    earlier_seconds: float = 0.0


def fit(
    run: Run,
    trainval: Part,
    device: torch.device,
    tell: Tell,
    checkpoint: Path | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train one model as `run` says; Diverged if a value stops being finite.

    `tell` hears of every epoch. With `checkpoint`, the state is kept there from time to time and
    read back where it exists, which leaves the result bit for bit the same. After an epoch at
    which `stopping` is true the state is kept and Stopped raised.
    """
    train, held_out = _parts(run, trainval)
    return train_on(run, train, held_out, device, tell, checkpoint, stopping)


def train_on(
    run: Run,
    train: Part,
    held_out: Part | None,
    device: torch.device,
    tell: Tell,
    checkpoint: Path | None,
    stopping: Callable[[], bool],
) -> Trained:
    """The loop itself, on classes that train and classes that choose the epoch, where there are."""
    begun = time.monotonic()
    study = run.study
    torch.manual_seed(seed_from(run.seed, "network"))
    dim = study.complete_dim if run.stage == "complete" else study.dim
    model = network.build(study, dim, train.images[0].shape[2]).to(device)
    if run.loss == UNTRAINED:
        return Trained(model, {}, [], (0, 0))
    module = importlib.import_module(f"losses.{run.loss}")
    rng = np.random.default_rng(seed_from(run.seed, "batches"))
    state, best = State(), None
    models = _models(run, module, model, train.n_classes, phase=0)
    saved = checkpoints.read(checkpoint, run) if checkpoint else None
    if saved is not None:
        state = State(**saved["state"])
        models = _models(run, module, model, train.n_classes, state.phase)
        _load(models, saved["models"])
        best = saved["best"]
        checkpoints.restore_randomness(saved, rng)
    written, earlier_seconds = time.monotonic(), state.seconds
    while state.phase < (2 if study.followup else 1):
        limit = _limit(run, state.phase)
        while state.epoch < limit and not _plateaued(state, study, held_out):
            state.epoch += 1
            entry = {"phase": PHASES[state.phase], "epoch": state.epoch}
            entry["loss"] = _epoch(
                module, models, train, _batches(study, module, train, rng), run, rng
            )
            last = state.epoch == limit
            if held_out is not None and (state.epoch % study.evaluate_every == 0 or last):
                scores = _held_out_scores(module, model, held_out, study, device)
                entry["map_at_r"] = scores["map_at_r"]
                if scores["map_at_r"] > state.best_score:
                    state.best_score, state.best_epoch = scores["map_at_r"], state.epoch
                    state.scores, best = scores, _snapshot(models)
            state.curve.append(entry)
            tell(entry | {"of": limit, "best": state.best_score})
            stop = stopping()
            if checkpoint and (stop or time.monotonic() - written > CHECKPOINT_SECONDS):
                state.seconds = earlier_seconds + time.monotonic() - begun
                parts = {"state": asdict(state), "models": _snapshot(models), "best": best}
                checkpoints.write(checkpoint, run, parts, rng)
                written = time.monotonic()
            if stop:
                raise Stopped(f"{run.loss} {run.key} after {entry['phase']} epoch {state.epoch}")
        if held_out is None:
            state.best_epoch = state.epoch
        elif best is not None:
            _load(models, best)
        state.epochs[state.phase] = state.best_epoch
        state.phase, state.epoch, state.best_epoch = state.phase + 1, 0, 0
        if state.phase == 1 and study.followup:
            before = _snapshot(models)
            models = _models(run, module, model, train.n_classes, state.phase)
            _load(models, before)
    epochs = (state.epochs[0], state.epochs[1])
    return Trained(model, state.scores, state.curve, epochs, earlier_seconds)


def _parts(run: Run, trainval: Part) -> tuple[Part, Part | None]:
    """The classes that train and those held out; a Complete run trains on all of them."""
    if run.fold is None:
        return trainval, None
    split = splits.fold(trainval.labels, run.study.fold_layout, run.study.folds, run.fold)
    return trainval.take(split.train), trainval.take(split.held_out)


def _limit(run: Run, phase: int) -> int:
    if run.epochs is not None:
        return run.epochs[phase]
    return (run.study.max_epochs, run.study.followup_max_epochs)[phase]


def _plateaued(state: State, study: Study, held_out: Part | None) -> bool:
    return held_out is not None and state.epoch - state.best_epoch > study.patience


def _models(run: Run, module: ModuleType, model: nn.Module, n_classes: int, phase: int) -> Models:
    """Network, a loss with the phase's params and an optimiser with the phase's learning rates."""
    study = run.study
    normal, followup = loss_params({}, run.params)
    params = followup if phase else normal
    dim = study.complete_dim if run.stage == "complete" else study.dim
    loss = module.Loss(n_classes=n_classes, dim=dim, **params)
    loss.to(next(model.parameters()).device)

    def rate(name: str) -> float:
        value = run.params.get(name, getattr(study, name))
        if isinstance(value, tuple):
            raise Problem(f"{run.loss}: {name} is searched in study {study.name!r} but not given")
        return float(value)

    lowered = rate("followup_lr_ratio") if phase else 1.0
    groups = [
        {
            "params": list(model.parameters()),
            "lr": lowered * rate("lr"),
            "weight_decay": study.weight_decay,
        }
    ]
    if module.OWN_PARAMETERS:
        own: list[dict[str, Any]] = [{"params": loss.parameters()}]
        groups += [
            {
                "params": list(group["params"]),
                "lr": lowered * rate("loss_lr") * group.get("lr_factor", 1.0),
                "weight_decay": group.get("weight_decay", study.weight_decay),
            }
            for group in (loss.groups() if hasattr(loss, "groups") else own)
        ]
    momentum = {"momentum": study.momentum} if study.optimiser in ("rmsprop", "sgd") else {}
    return {
        "network": model,
        "loss": loss,
        "optimiser": OPTIMISERS[study.optimiser](groups, **momentum),
    }


def _snapshot(models: Models) -> dict[str, Any]:
    return {name: copy.deepcopy(part.state_dict()) for name, part in models.items()}


def _load(models: Models, snapshot: Mapping[str, Any]) -> None:
    """Put states back; the optimiser keeps the learning rates that it was built with."""
    rates = [group["lr"] for group in models["optimiser"].param_groups]
    for name, part in models.items():
        part.load_state_dict(copy.deepcopy(snapshot[name]))
    for group, rate in zip(models["optimiser"].param_groups, rates, strict=True):
        group["lr"] = rate


def _batches(study: Study, module: ModuleType, train: Part, rng: np.random.Generator) -> list[Ints]:
    """One epoch's batches for this loss."""
    per_class = study.images_per_class
    size = study.classes_per_batch * per_class
    if study.images_per_class_classification and module.KIND in ("proxy", "classification"):
        per_class = study.images_per_class_classification
    if per_class < module.PER_CLASS:
        raise Problem(
            f"loss {module.__name__.removeprefix('losses.')} needs {module.PER_CLASS} images of a "
            f"class in a batch, study {study.name!r} gives {per_class}; raise images_per_class"
        )
    classes = size // per_class
    if study.iterations is None:
        return batches.epoch_batches(train.labels, classes=classes, per_class=per_class, rng=rng)
    return batches.fixed_batches(
        train.labels,
        classes=classes,
        per_class=per_class,
        iterations=study.iterations,
        rng=rng,
    )


def _epoch(
    module: ModuleType,
    models: Models,
    train: Part,
    order: list[Ints],
    run: Run,
    rng: np.random.Generator,
) -> float:
    """One pass over `order`; the mean loss."""
    model, loss, optimiser = models["network"], models["loss"], models["optimiser"]
    device = next(model.parameters()).device
    model.train()
    loss.train()
    total = 0.0
    for chosen in order:
        images = transforms.train_batch(train.images, train.index[chosen], run.study, rng, device)
        labels = transforms.on_device(train.labels[chosen], device)
        embeddings = as_compared(model(images), unit=module.EMBEDDING == "unit")
        value, number = _checked(loss, embeddings, labels)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        if run.study.clip_gradient is not None:
            nn.utils.clip_grad_value_(model.parameters(), run.study.clip_gradient)
        optimiser.step()
        total += number
    return total / len(order)


def _checked(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """The loss of a batch and its number; Diverged if that or an embedding is not finite.

    With the loss's own check of its batch all for which a step's host waits for the device, and
    before the backward pass: while that runs, the host makes the next batch.
    """
    sound = torch.isfinite(embeddings).all()
    try:
        value = loss(embeddings, labels)
        number = float(torch.where(sound, value.detach(), math.nan))
    except Exception:  # whatever a loss may do with NaN
        if not bool(sound):
            raise Diverged(UNSOUND) from None
        raise
    if not math.isfinite(number):
        raise Diverged(f"the loss became {float(value)}" if bool(sound) else UNSOUND)
    return value, number


def as_compared(embeddings: Tensor, *, unit: bool) -> Tensor:
    """Embeddings [n, D] as a loss or a search compares them: unit length, or as they are."""
    return F.normalize(embeddings, dim=1) if unit else embeddings


def _held_out_scores(
    module: ModuleType, model: network.Network, held_out: Part, study: Study, device: torch.device
) -> dict[str, float]:
    embeddings = network.embed(model, held_out, study, device)
    if not bool(torch.isfinite(embeddings).all()):
        raise Diverged("embeddings of the held-out classes are NaN or infinite")
    unit = module.RETRIEVAL == "cosine"
    labels = torch.from_numpy(held_out.labels)
    return retrieval_scores(as_compared(embeddings, unit=unit), labels, recall_at=study.recall_at)
