"""What every loss of a comparison shares."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.schema.fields import (
    FEATURES,
    LATER,
    NOT_IN_DIGEST,
    OPTIMISM,
    POOL,
    RULES,
    CurveValue,
    Precision,
    Stage,
    Values,
)
from harness.schema.images import Dataset, Features
from harness.schema.study_checks import check


@dataclass(frozen=True, kw_only=True)
class Study:
    """What every loss of a comparison shares; its file says which fields its protocol leaves open.

    A field of type `float | tuple` is fixed if a number, searched on a log scale if (low, high).
    """

    name: str
    protocol: str = "appendix_d"
    losses: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    # classes
    halves: Literal["official", "mlrc"] = "official"
    fold_layout: Literal["kfold", "mlrc"] = "kfold"
    folds: int = 4
    # network
    trunk: str = "resnet50"
    weights: str = "imagenet"
    # trunk: as a trunk of timm: or torchvision: pools by itself
    pooling: Literal["avg", "max", "avg+max", "trunk"] = "avg+max"
    layer_norm: bool = True
    head: Literal["linear", "mlp"] = "linear"  # mlp: one hidden layer of head_width, ReLU
    head_width: int = 512
    freeze_batch_norm: bool = False
    freeze_trunk: bool = False
    dim: int = 128
    complete_dim: int = 512
    # images
    resize: int = 256
    crop: int = 224
    train_crop: Literal["random_resized_crop", "random_crop", "centre_crop", "none"] = (
        "random_resized_crop"
    )
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)
    flip: float = 0.5
    # Which images of a training class train: (fewest, most) for a long tail of class sizes, equal
    # numbers for a balanced set (harness/protocol/class_images.py). None: all of them.
    class_images: tuple[int, int] | None = None
    seen_class_images: int = 0  # of each training class, left out of training to score on later
    # batches
    classes_per_batch: int = 8
    images_per_class: int = 4
    images_per_class_classification: int | None = None
    iterations: int | None = None
    # optimiser
    optimiser: Literal["rmsprop", "adam", "adamw", "sgd"] = "rmsprop"
    lr: float | tuple[float, float] = (1e-6, 1e-3)
    loss_lr: float | tuple[float, float] = (1e-6, 1.0)
    followup_lr_ratio: float | tuple[float, float] = (0.01, 1.0)
    trunk_lr_ratio: float = 1.0  # the trunk's learning rate as a multiple of the head's
    weight_decay: float = 1e-4
    momentum: float = 0.9
    clip_gradient: float | None = None
    # phases
    max_epochs: int = 100
    followup: bool = True
    followup_max_epochs: int = 50
    evaluate_every: int = 1
    patience: int = 9
    # search
    trials: int = 50
    startup_trials: int = 10
    parallel_trials: int = 1
    # loss -> constructor parameter -> its value in both phases; it is not searched
    loss_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # loss -> searched parameter, by its name in records -> (low, high), in place of the range in
    # the loss's file and on the same scale
    loss_ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # name -> {"loss": a file in losses/, "params": its fixed parameters, "fields": those of the
    # study that differ (VARIED)}. A variant is a loss under its own name: in `losses`, in records,
    # in tables. Seeds leave the name out, so variants pair up like losses.
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    race: bool = False  # stop a trial's folds when it is behind (harness/protocol/race.py)
    # In the study `optimism`: how many images of each held-out and test class are scored (the first
    # ones, all for None). Its pool is scored after every epoch, which takes most of its time.
    pool_images_per_class: int | None = None
    # final
    # Without "search" every loss has one configuration, all of it fixed. Complete runs without
    # repeats before them train max_epochs and followup_max_epochs.
    stages: tuple[Stage, ...] = ("search", "repeat", "ensemble", "complete")
    repeats: int = 10
    search_repeats: int = 1
    complete_epochs_multiple: int = 5
    # Also in the curve, at every evaluation: scores on the held-out classes, where there are some;
    # the mean distance of the training images to their class's proxy, where the loss has proxies.
    curve: tuple[CurveValue, ...] = ()
    # sqrt_dim: learning rates of Complete runs times sqrt(dim / complete_dim). The head's weights
    # start at a deviation of sqrt(2 / dim), so at the same rate a step is relatively larger there.
    complete_lr_scale: Literal["none", "sqrt_dim"] = "none"
    normalise_ensemble: bool = True
    recall_at: tuple[int, ...] = (1, 2, 4, 8)
    # DIAGNOSTICS of the final runs' test embeddings. They change no run: they are not in the
    # digest, and records made without one of them lack it.
    diagnostics: tuple[str, ...] = ()
    # computing
    precision: Precision = "fp32"  # of the trunk (harness/training/precision.py)
    compile: bool = False  # the trunk by torch.compile in training
    fold_batch_norm: bool = False  # in evaluation (harness/training/folded_batch_norm.py)
    evaluate_batch: int = 256
    run_hours: float | None = None  # a run that takes longer fails (engines/time_limit.py)
    rules: int = RULES  # of the program that made or makes the runs; no study's choice
    # a dataset's name -> fields that differ there
    per_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self)

    @property
    def test_scored(self) -> bool:
        """Whether the study trains a pool that is scored on test classes: `optimism` does."""
        return self.protocol == OPTIMISM

    @property
    def searches(self) -> bool:
        """Whether params are searched; otherwise every loss has one configuration, all fixed."""
        return "search" in self.stages

    @property
    def trial_stage(self) -> Stage:
        """The stage of the runs of its trials."""
        return POOL if self.test_scored else "search"

    def for_dataset(self, dataset: str) -> Study:
        """This study with the fields that it changes for `dataset` put in."""
        changes = dict(self.per_dataset.get(dataset, {}))
        return dataclasses.replace(self, **changes, per_dataset={})

    def base_of(self, loss: str) -> str:
        """The file in losses/ of a loss: its own name, or what a variant is a variant of."""
        return str(self.variants[loss]["loss"]) if loss in self.variants else loss

    def for_loss(self, loss: str) -> Study:
        """The study that the runs of a loss have: with its variant put in, and no other variant.

        So adding a variant leaves the digests of all other runs as they are.
        """
        if loss not in self.variants:
            return dataclasses.replace(self, variants={}) if self.variants else self
        base, variant = self.base_of(loss), self.variants[loss]
        params = {
            **self.loss_params.get(base, {}),
            **self.loss_params.get(loss, {}),
            **variant.get("params", {}),
        }
        ranges = {**self.loss_ranges.get(base, {}), **self.loss_ranges.get(loss, {})}
        ranges = {name: bounds for name, bounds in ranges.items() if name not in params}
        return dataclasses.replace(
            self,
            **variant.get("fields", {}),
            loss_params={**self.loss_params, loss: params},
            loss_ranges={**self.loss_ranges, loss: ranges} if ranges else self.loss_ranges,
            variants={loss: {"loss": base}},
        )

    def on(self, dataset: Dataset) -> Study:
        """This study on a dataset that holds features itself: they stand for trunk and weights.

        So records and tables name what the runs began with, and the number of features is known
        without the data. On images the study stays as it is.
        """
        if not isinstance(dataset.images, Features):
            return self
        features = dataset.images
        return dataclasses.replace(
            self, trunk=f"{FEATURES}{features.dim}", weights=features.origin, freeze_trunk=True
        )

    @property
    def on_features(self) -> bool:
        """Whether the dataset holds features itself, so that `weights` says where they are from."""
        return self.trunk.startswith(FEATURES)

    @property
    def trains_head_alone(self) -> bool:
        """Whether every image always gives the same features: nothing but the head is trained."""
        still = self.train_crop in ("centre_crop", "none") and self.flip == 0
        return self.on_features or (self.freeze_trunk and still)

    def digest(self) -> str:
        """12 hex digits over every field that shapes a single run.

        `trials`, `repeats` and `search_repeats` say how many runs there are, `losses` and
        `datasets` which: growing them leaves the runs already made comparable, so they are left
        out. So are `diagnostics`, which only look at a run's embeddings, and the fields of LATER at
        their defaults, which leave the digests of older records as they are.
        """
        fields = dataclasses.asdict(self)
        for name in NOT_IN_DIGEST:
            fields.pop(name)
        for name, default in LATER.items():
            if fields.get(name) == default:
                fields.pop(name, None)  # of the names above, some are in LATER too
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A study that compares no losses under a search: computed whole each time, without records.

    `values` are what it is computed from, by name. `training` is how it trains, where it does.
    """

    name: str
    values: Values
    training: Study | None = None
