"""The one visible training loop: two phases, each until its own held-out MAP@R plateaus.

The follow-up phase goes on from the best epoch of the normal phase, and starts a best of its own:
validation plateaus once more (arXiv 2408.15656, D-B1). The better of the two models is kept.

`start` receives the trainval classes and nothing else, so nothing in a training can look at test
classes. The one training that is scored on them between epochs: harness/training/scored_on_test.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.measure.scores import retrieval_scores
from harness.protocol import class_images, splits
from harness.schema import (
    BASELINES,
    LDA,
    RULES,
    WHITENING,
    Diverged,
    Ints,
    Part,
    Problem,
    Run,
)
from harness.seeds import seed_from
from harness.training import closed_form, embeddings, network, norms, proxies, transforms
from harness.training.loss_files import loss_file
from harness.training.models import Models, models_of
from harness.training.sampling import epoch_batches
from harness.training.state import PHASES, Best, Phase, State, plateaued
from harness.training.to_device import on_device

NOT_FINITE = "embeddings became NaN or infinite in training"


@dataclass
class Training:
    """A run's training: with the random generators' states, all that is needed to go on with it.

    Once `epochs` has ended, `network` is the model that is kept, `state.scores` are its held-out
    scores, and `epochs_behind` are the epochs behind it.
    """

    run: Run
    train: Part
    held_out: Part | None  # the classes that choose the epoch, where there are some
    network: network.Network
    models: Models | None  # None for a baseline, which is not trained
    rng: np.random.Generator
    device: torch.device
    seen: Part | None = None  # images of training classes that the study leaves out of training
    seen_third: Ints | None = None  # [C] of each training class, as in protocol/class_images.py
    state: State = field(default_factory=State)
    best_models: dict[Phase, dict[str, Any]] = field(default_factory=dict)  # their states

    @property
    def on_gpu(self) -> bool:
        """Whether random numbers may be drawn on the device, beside those of the host."""
        return self.device.type == "cuda"

    @property
    def epochs_behind(self) -> tuple[int, int]:
        """Epochs (normal, follow-up) behind the model that is kept."""
        state = self.state
        if self.held_out is None:
            return state.epochs_run["normal"], state.epochs_run["followup"]
        followup = state.best["followup"].epoch if state.kept_phase == "followup" else 0
        return state.best["normal"].epoch, followup


def start(run: Run, trainval: Part, device: torch.device) -> Training:
    """A training of the run on its share of the trainval classes, before the first epoch."""
    if run.fold is None:  # a Complete run trains on all of them
        return start_on(run, trainval, None, device)
    split = splits.fold(
        trainval.labels, run.study.fold_layout, folds=run.study.folds, number=run.fold
    )
    return start_on(run, trainval.take(split.train), trainval.take(split.held_out), device)


def start_on(run: Run, train: Part, held_out: Part | None, device: torch.device) -> Training:
    """A training on the given classes; `held_out` choose the epoch."""
    if run.study.rules != RULES:
        raise Problem(
            f"study {run.study.name!r} has the rules {run.study.rules} of an older version, and "
            f"this version trains by the rules {RULES}; use the version that began it, or "
            "--results with a new folder"
        )
    divided = class_images.divide(train.labels, run.study, run.seed)
    whole = train
    if divided is not None:
        train = whole.take(divided.train)
    torch.manual_seed(seed_from(run.seed, "network"))
    model = network.build(run.study, run.dim, network.channels_of(train.images)).to(device)
    rng = np.random.default_rng(seed_from(run.seed, "batches"))
    models = None
    if run.loss in (WHITENING, LDA):
        closed_form.fit_head(model, train, run, device)
    if run.loss not in BASELINES:
        models = models_of(run, model, train.n_classes, "normal")
    return Training(
        run=run,
        train=train,
        held_out=held_out,
        network=model,
        models=models,
        rng=rng,
        device=device,
        seen=whole.take(divided.seen) if divided is not None and len(divided.seen) else None,
        seen_third=None if divided is None else divided.third,
    )


def epochs(training: Training) -> Iterator[dict[str, Any]]:
    """Train to the end, and yield after every epoch: its entry in the curve, `of`, `best`.

    `of` is the most epochs that the phase can have, `best` the best score so far. Diverged if a
    value stops being finite. Whoever iterates may keep the training between two epochs, or leave
    it there for good.
    """
    run, study, state, models = training.run, training.run.study, training.state, training.models
    if models is None:
        return
    for phase in PHASES[PHASES.index(state.phase) : 1 + study.followup]:
        if phase != state.phase:
            models = enter(training, phase)
        module = loss_file(study, run.loss)
        limit = _epoch_limit(run, phase)
        while state.epoch < limit and not plateaued(state, study, training.held_out):
            state.epoch += 1
            models.network.train()
            models.loss.train()
            total, before = 0.0, list[Tensor]()
            batches = epoch_batches(study, module, training.train, training.rng)
            for number, batch in enumerate(batches, start=1):
                for following in batches[number : number + 1]:
                    transforms.will_need(training.train.images, training.train.index[following])
                images, labels = load_batch(training, batch)
                embedded = embeddings.for_loss(models.network(images), module)
                loss, value = finite_loss(models.loss, embedded, labels)
                models.optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                if study.clip_gradient is not None:
                    nn.utils.clip_grad_value_(models.network.parameters(), study.clip_gradient)
                if number == len(batches):
                    before = norms.copies(models.optimiser)
                models.optimiser.step()
                total += value
            entry: dict[str, Any] = {"phase": phase, "epoch": state.epoch}
            entry["loss"] = total / len(batches)
            gradient_norm, update_norm = norms.of_step(models.optimiser, before)
            entry |= {"gradient_norm": gradient_norm, "update_norm": update_norm}
            if state.epoch % study.evaluate_every == 0 or state.epoch == limit:
                entry |= _evaluate(training, models)
            state.curve.append(entry)
            yield entry | {"of": limit, "best": max(best.score for best in state.best.values())}
        _end_phase(training, models, limit)


def enter(training: Training, phase: Phase) -> Models:
    """Begin a phase: its loss params and learning rates, with all states as they are."""
    assert training.models is not None
    state = training.models.copy_state()
    training.models = models_of(training.run, training.network, training.train.n_classes, phase)
    training.models.load_state(state)
    training.state.phase, training.state.epoch = phase, 0
    return training.models


def _end_phase(training: Training, models: Models, limit: int) -> None:
    """Note how many epochs the phase ran, and go back to the best epoch of the better phase.

    A phase that ended at its limit and not at a plateau is noted as capped.
    """
    state = training.state
    state.epochs_run[state.phase] = state.epoch
    if training.held_out is None:
        return
    if limit and not plateaued(state, training.run.study, training.held_out):
        state.capped.append(state.phase)
    models.load_state(training.best_models[state.kept_phase])


def _epoch_limit(run: Run, phase: Phase) -> int:
    if run.epochs is not None:
        return run.epochs[PHASES.index(phase)]
    return run.study.max_epochs if phase == "normal" else run.study.followup_max_epochs


def load_batch(training: Training, batch: Ints) -> tuple[Tensor, Tensor]:
    """Images and labels of a batch, cropped and flipped at random, on the device."""
    part, device = training.train, training.device
    images = transforms.train_batch(
        part.images, part.index[batch], training.run.study, training.rng, device
    )
    return images, on_device(part.labels[batch], device)


def finite_loss(loss: nn.Module, embedded: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """The loss of a batch and its value; Diverged if that or an embedding is not finite.

    Fetching the value is the only time that the host waits for the device in a step, unless the
    loss waits too. It waits before the backward pass, so that it can make the next batch while the
    device computes that pass.
    """
    # by the extremes, which are NaN if a value is: fewer passes than over all values
    finite = torch.isfinite(torch.stack(torch.aminmax(embedded.detach()))).all()
    try:
        value = loss(embedded, labels)
        number = float(torch.where(finite, value.detach(), math.nan))
    except Exception:  # a loss may do anything with NaN
        if not bool(finite):
            raise Diverged(NOT_FINITE) from None
        raise
    if not math.isfinite(number):
        raise Diverged(f"the loss became {number}" if bool(finite) else NOT_FINITE)
    return value, number


def _evaluate(training: Training, models: Models) -> dict[str, float]:
    """What the curve holds of an evaluation, by name; the best epoch by held-out score is kept.

    Without held-out classes no scores: at most the distance to the proxies.
    """
    state, run = training.state, training.run
    wanted = run.study.curve
    entry: dict[str, float] = {}
    if "avg_dtp" in wanted:
        distance = proxies.mean_distance(
            models.network, models.loss, training.train, run, training.device
        )
        entry |= {} if distance is None else {"avg_dtp": distance}
    if training.held_out is None:
        return entry
    embedded = embeddings.for_retrieval(
        models.network, training.held_out, run, training.device, classes="held-out"
    )
    labels, groups = training.held_out.labels, training.held_out.groups
    scores = retrieval_scores(
        embedded,
        torch.from_numpy(labels),
        recall_at=run.study.recall_at,
        groups=None if groups is None else torch.from_numpy(groups),
    )
    if scores["map_at_r"] > state.best[state.phase].score:
        state.best[state.phase] = Best(state.epoch, scores["map_at_r"], scores)
        training.best_models[state.phase] = models.copy_state()
    return entry | {name: scores[name] for name in ("map_at_r", *wanted) if name in scores}
