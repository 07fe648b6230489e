"""The nouns, frozen: Study, Dataset, Part, Split, Run, Record, Problem."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

RECORD_FORMAT = 1
UNTRAINED = "untrained"
FEATURES = "features:"  # with their number: the trunk of a study on features that a file holds
BY_CLASS = 2000  # test classes above which scores by class are not kept: SOP's are 0.5 MB a run
# Fields that older studies lack, at the value that they had in effect.
LATER: dict[str, Any] = {
    "race": False,
    "search_repeats": 1,
    "compile": False,
    "fold_batch_norm": False,
    "complete_lr_scale": "none",
    "rules": 1,
    "loss_params": {},
    "loss_ranges": {},
    "pool_images_per_class": None,
    "head": "linear",
    "head_width": 512,
    "freeze_trunk": False,
    "trunk_lr_ratio": 1.0,
}
# What a study's runs do that no other field says. 1: the follow-up phase had to beat the normal
# phase's best, and a phase could end between two evaluations. 2: as training/train.py says.
RULES = 2

Precision = Literal["fp32", "tf32", "bf16"]
Stage = Literal["search", "repeat", "ensemble", "complete", "test_scored_pool"]
# The one exception: runs whose models are scored on the test classes after every epoch. Only the
# study `optimism` has them, and nothing else, to measure what choosing on test classes is worth.
POOL: Stage = "test_scored_pool"
OPTIMISM = "optimism"
TRIAL_STAGES: tuple[Stage, Stage] = ("search", POOL)  # their params are proposals
REPLACED = "standard"  # the protocol of older versions that `optimism` replaces
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Values = Mapping[str, Any]


class Problem(Exception):
    """The only exception a user is meant to read: one line, what was given, allowed, to do next."""


class Diverged(Exception):
    """A training that produced NaN or infinite values; becomes a record with a failure."""


class Stopped(Exception):
    """A run that ended early because it was asked to; goes on from its checkpoint next time."""


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
    race: bool = False  # stop a trial's folds when it is behind (harness/protocol/race.py)
    # In the study `optimism`: how many images of each held-out and test class are scored (the first
    # ones, all for None). Its pool is scored after every epoch, which takes most of its time.
    pool_images_per_class: int | None = None
    # final
    repeats: int = 10
    search_repeats: int = 1
    complete_epochs_multiple: int = 5
    # sqrt_dim: learning rates of Complete runs times sqrt(dim / complete_dim). The head's weights
    # start at a deviation of sqrt(2 / dim), so at the same rate a step is relatively larger there.
    complete_lr_scale: Literal["none", "sqrt_dim"] = "none"
    normalise_ensemble: bool = True
    recall_at: tuple[int, ...] = (1, 2, 4, 8)
    # computing
    precision: Precision = "fp32"  # of the trunk (harness/training/precision.py)
    compile: bool = False  # the trunk by torch.compile in training
    fold_batch_norm: bool = False  # in evaluation (harness/training/folded_batch_norm.py)
    evaluate_batch: int = 256
    rules: int = RULES  # of the program that made or makes the runs; no study's choice
    # a dataset's name -> fields that differ there
    per_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if not fits(value, hints[item.name]):
                raise Problem(
                    f"study {self.name!r}: {item.name} = {value!r} is not of the type "
                    f"{_spell(hints[item.name])}; correct it in the study's file"
                )
        known = {item.name for item in dataclasses.fields(self)}
        for dataset, changes in self.per_dataset.items():
            for name in changes:
                if name not in known or name in ("name", "per_dataset"):
                    raise Problem(
                        f"study {self.name!r}: per_dataset[{dataset!r}] sets {name!r}, which is "
                        "no field of a study; correct it in the study's file"
                    )
        at_least = {
            "folds": 2,
            "dim": 1,
            "complete_dim": 1,
            "head_width": 1,
            "resize": 1,
            "crop": 1,
            "classes_per_batch": 2,
            "images_per_class": 1,
            "max_epochs": 1,
            "followup_max_epochs": 0,
            "evaluate_every": 1,
            "patience": 0,
            "trials": 1,
            "startup_trials": 1,
            "parallel_trials": 1,
            "repeats": 2,
            "search_repeats": 1,
            "complete_epochs_multiple": 1,
            "evaluate_batch": 1,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise Problem(
                    f"study {self.name!r}: {name} = {getattr(self, name)} is too small; "
                    f"at least {least} is needed"
                )
        for name in ("lr", "loss_lr", "followup_lr_ratio"):
            value = getattr(self, name)
            low, high = value if isinstance(value, tuple) else (value, value)
            if not 0 < low <= high:
                raise Problem(
                    f"study {self.name!r}: {name} = {value!r}; a positive number or "
                    "(low, high) with 0 < low <= high is needed"
                )
        _check_trunk_rate(self)
        _check_loss_settings(self)
        _check_pool(self)

    @property
    def test_scored(self) -> bool:
        """Whether the study trains a pool that is scored on test classes: `optimism` does."""
        return self.protocol == OPTIMISM

    @property
    def trial_stage(self) -> Stage:
        """The stage of the runs of its trials."""
        return POOL if self.test_scored else "search"

    def for_dataset(self, dataset: str) -> Study:
        """This study with the fields that it changes for `dataset` put in."""
        changes = dict(self.per_dataset.get(dataset, {}))
        return dataclasses.replace(self, **changes, per_dataset={})

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
        out. So are the fields of LATER at their defaults, which leave the digests of older records
        as they are.
        """
        fields = dataclasses.asdict(self)
        for name in ("trials", "repeats", "search_repeats", "losses", "datasets"):
            fields.pop(name)
        for name, default in LATER.items():
            if fields.get(name) == default:
                fields.pop(name)
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]


def _check_trunk_rate(study: Study) -> None:
    """Problem where the trunk's learning rate is no rate, or a frozen trunk has one."""
    ratio = study.trunk_lr_ratio
    if not 0 < ratio < math.inf:
        raise Problem(
            f"study {study.name!r}: trunk_lr_ratio = {ratio!r}; a positive number is needed, and "
            "freeze_trunk = True for a trunk that does not learn"
        )
    if study.freeze_trunk and ratio != 1:
        raise Problem(
            f"study {study.name!r}: trunk_lr_ratio = {ratio!r} is a learning rate of the trunk, "
            "which freeze_trunk = True does not train; leave one of them out"
        )


def _check_pool(study: Study) -> None:
    """Problem where a study has something of the study `optimism` and is not as that must be."""
    if study.protocol == REPLACED:
        raise Problem(
            f"study {study.name!r}: protocol = {REPLACED!r} was taken out, because it compared "
            f"choices between unlike trainings; give --study {OPTIMISM}, or read old records with "
            "the version that made them (the commit is in each record)"
        )
    if not study.test_scored:
        if study.pool_images_per_class is not None:
            raise Problem(
                f"study {study.name!r}: pool_images_per_class is for the study {OPTIMISM!r}; leave "
                "it out"
            )
        return
    if study.name != OPTIMISM:
        raise Problem(
            f"study {study.name!r}: protocol = {OPTIMISM!r} scores on test classes in training, to "
            f"measure what choosing on them is worth, and is for the study {OPTIMISM!r} alone; "
            f"give --study {OPTIMISM}, or another protocol"
        )
    needed = {"race": False, "followup": False, "followup_max_epochs": 0, "search_repeats": 1}
    for name, value in needed.items():
        if getattr(study, name) != value:
            raise Problem(
                f"study {study.name!r}: {name} = {getattr(study, name)}, but every configuration "
                f"of its one pool trains the same epochs in one phase; set {name} to {value}"
            )
    if study.patience < study.max_epochs:
        raise Problem(
            f"study {study.name!r}: patience = {study.patience} would end some trainings early, "
            f"but all of its pool train max_epochs = {study.max_epochs}; set patience to that"
        )
    least = study.pool_images_per_class
    if least is not None and least < 2:
        raise Problem(
            f"study {study.name!r}: pool_images_per_class = {least}; at least 2 are needed, a "
            "query and its positive"
        )


def _check_loss_settings(study: Study) -> None:
    """Problem where loss_params or loss_ranges is not of its form; search.py knows the losses."""
    for name in ("loss_params", "loss_ranges"):
        for loss, settings in getattr(study, name).items():
            if not isinstance(settings, Mapping):
                raise Problem(
                    f"study {study.name!r}: {name}[{loss!r}] = {settings!r} is no mapping from "
                    "parameters; correct it in the study's file"
                )
    for loss, ranges in study.loss_ranges.items():
        for parameter, bounds in ranges.items():
            numbers = fits(bounds, tuple[float, float]) and all(map(math.isfinite, bounds))
            if not numbers or not bounds[0] < bounds[1]:
                raise Problem(
                    f"study {study.name!r}: loss_ranges[{loss!r}][{parameter!r}] = {bounds!r}; "
                    "(low, high) with low < high is needed, and loss_params for a fixed value"
                )
        for parameter in sorted(set(ranges) & set(study.loss_params.get(loss, {}))):
            raise Problem(
                f"study {study.name!r}: {parameter!r} of {loss} is in loss_params, which fixes "
                "it, and in loss_ranges, which searches it; leave it out of one"
            )


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type. No bool is a number; an int is a float."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(fits(item, args[0]) for item in value)
        return len(value) == len(args) and all(map(fits, value, args))
    if origin is Mapping:
        return isinstance(value, Mapping)
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def _spell(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " or ".join(repr(arg) for arg in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


class Images(typing.Protocol):
    """Decoded images by index: images[i] is uint8 [height, width, channels]; or Features."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class Features:
    """What a frozen trunk made of images, in place of the images: features[i] is float32 [F].

    `rows` [n, F] are those of the images as they are evaluated. `augmented` [n, N, F] are those of
    N random crops of each, of which training draws one in place of its row. `origin` says in words
    which trunk made them and how.
    """

    rows: Floats
    origin: str
    augmented: Floats | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Floats:
        row: Floats = self.rows[index]
        return row

    @property
    def dim(self) -> int:
        """The number of features of an image."""
        return int(self.rows.shape[1])


@dataclass(frozen=True)
class Part:
    """Some classes of a dataset, and nothing of the others: what a training or a test may see."""

    images: Images
    index: Ints  # [n] positions in `images`
    labels: Ints  # [n] 0-based within the part, contiguous
    groups: Ints | None = None  # [n] as in Dataset

    def __post_init__(self) -> None:
        if self.index.shape != self.labels.shape:
            raise ValueError(f"index {self.index.shape} and labels {self.labels.shape} differ")
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise ValueError(f"groups {self.groups.shape} and labels {self.labels.shape} differ")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_classes(self) -> int:
        """How many classes the part holds."""
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    def take(self, chosen: Ints) -> Part:
        """The images at positions `chosen` of this part, their classes numbered anew from 0."""
        labels = np.unique(self.labels[chosen], return_inverse=True)[1].astype(np.int64)
        groups = None if self.groups is None else self.groups[chosen]
        return Part(self.images, self.index[chosen], labels, groups)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it lies: images, labels [n] 0-based in the order of the sorted classes, halves.

    `is_test` [n] is the dataset's own division into trainval and test classes. `is_query` [n] marks
    test images that are queries where the dataset separates queries from a gallery (In-Shop).
    `is_gallery` [n] marks test images of the gallery; an image may be both. None: all that are no
    query, or all images where `is_query` is None too. `groups` [n] is the camera or session of an
    image, -1 for none: a query's gallery leaves out the images of its class and group.
    """

    name: str
    images: Images
    labels: Ints
    is_test: Bools
    class_names: Sequence[str]
    fingerprint: str
    is_query: Bools | None = None
    is_gallery: Bools | None = None
    groups: Ints | None = None


@dataclass(frozen=True)
class Split:
    """Class-disjoint positions within the trainval part: what trains, what is held out."""

    train: Ints
    held_out: Ints


@dataclass(frozen=True)
class Run:
    """One training (or, for an ensemble, one scoring of four trained models), as data."""

    study: Study
    dataset: str
    loss: str
    stage: Stage
    seed: int
    params: Values
    trial: int
    repeat: int | None = None
    fold: int | None = None
    epochs: tuple[int, int] | None = None  # of the two phases, where they are given beforehand
    search_repeat: int = 0  # which repeat of the whole search the run belongs to

    def __post_init__(self) -> None:
        if (self.stage == POOL) != self.study.test_scored:
            raise Problem(
                f"study {self.study.name!r} asks for the stage {self.stage!r}; only the study "
                f"{OPTIMISM!r} has runs of the stage {POOL!r}, which are scored on test classes "
                "after every epoch, and it has no others"
            )

    @property
    def dim(self) -> int:
        """The number of dimensions of the run's embeddings."""
        return self.study.complete_dim if self.stage == "complete" else self.study.dim

    @property
    def key(self) -> str:
        """The run's name within its study, dataset and loss; says all that tells runs apart."""
        parts: list[str] = [self.stage]
        if self.search_repeat:
            parts.append(f"s{self.search_repeat}")
        parts.append(f"t{self.trial}")
        if self.repeat is not None:
            parts.append(f"r{self.repeat}")
        if self.fold is not None:
            parts.append(f"f{self.fold}")
        if self.epochs is not None:
            parts.append(f"e{self.epochs[0]}+{self.epochs[1]}")
        return "-".join(parts)


@dataclass(frozen=True)
class Record:
    """What one run left behind. One line on disk.

    `scores` are test scores (repeat, ensemble, complete) or held-out scores (search, the pool).
    `curve` has one entry per epoch: phase, epoch, mean training loss, held-out MAP@R where it was
    evaluated (of the pool, also its sum over the queries of each test class: test_sums); `epochs`
    are those behind the model that was kept, (normal, followup). `seconds` is the wall time on its
    slot, with what earlier attempts left in a checkpoint.
    """

    study: str
    dataset: str
    loss: str
    stage: Stage
    key: str
    seed: int
    params: Values
    trial: int
    repeat: int | None
    fold: int | None
    scores: Mapping[str, float]
    curve: Sequence[Mapping[str, Any]]
    epochs: tuple[int, int]
    failure: str | None
    seconds: float
    provenance: Mapping[str, Any]
    format: int = RECORD_FORMAT
    search_repeat: int = 0  # on disk only where it is not 0
    # Test scores by class, sums over its queries beside their number (measure/scores.py); of
    # final runs on at most BY_CLASS test classes, on disk only where they are there.
    by_class: Mapping[str, Sequence[float]] | None = None
    # Epochs trained in the two phases, and whether one ended at its limit before a plateau (of runs
    # with held-out classes; protocol/plateau.py); since rules 2, on disk only where they are set.
    epochs_run: tuple[int, int] | None = None
    capped: bool | None = None
    # Of the pool: queries of each test class, whose sums the curve holds; on disk only there.
    test_queries: Sequence[int] | None = None
    # Over all other fields, as they stand on disk; records from before it have none.
    digest: str | None = dataclasses.field(default=None, compare=False)

    @property
    def name(self) -> str:
        """study/dataset/loss/key."""
        return f"{self.study}/{self.dataset}/{self.loss}/{self.key}"


def record_of(
    run: Run,
    *,
    scores: Mapping[str, float],
    curve: Sequence[Mapping[str, Any]],
    epochs: tuple[int, int],
    failure: str | None,
    seconds: float,
    provenance: Mapping[str, Any],
    by_class: Mapping[str, Sequence[float]] | None = None,
    epochs_run: tuple[int, int] | None = None,
    capped: bool | None = None,
    test_queries: Sequence[int] | None = None,
) -> Record:
    """What a run left behind, with the run's own names beside it."""
    return Record(
        study=run.study.name,
        dataset=run.dataset,
        loss=run.loss,
        stage=run.stage,
        key=run.key,
        seed=run.seed,
        params=run.params,
        trial=run.trial,
        repeat=run.repeat,
        fold=run.fold,
        scores=scores,
        curve=curve,
        epochs=epochs,
        failure=failure,
        seconds=seconds,
        provenance=provenance,
        search_repeat=run.search_repeat,
        by_class=by_class,
        epochs_run=epochs_run,
        capped=capped,
        test_queries=test_queries,
    )


def run_of(study: Study, record: Record) -> Run:
    """The run that left a record; a Problem if the record does not belong to the study."""
    given = record.stage == "complete" or record.key.endswith("e0+0")
    run = Run(
        study=study,
        dataset=record.dataset,
        loss=record.loss,
        stage=record.stage,
        seed=record.seed,
        params=record.params,
        trial=record.trial,
        repeat=record.repeat,
        fold=record.fold,
        epochs=record.epochs if given else None,
        search_repeat=record.search_repeat,
    )
    if run.key != record.key or record.provenance.get("study") != study.digest():
        raise Problem(
            f"record {record.name} was not made by the study beside it (digest "
            f"{record.provenance.get('study')}, the study's {study.digest()}); it cannot be redone"
        )
    return run
