"""What makes a study impossible: one Problem for each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.schema.diagnostics import DIAGNOSTICS, SEEN
from harness.schema.field_types import fits, spelling_of, types_of
from harness.schema.fields import BASELINES, LATER, OPTIMISM, REPLACED, VARIANT_NAME, VARIED
from harness.schema.problems import Problem, meant

if TYPE_CHECKING:
    from harness.schema.study import Study


# The least value of a field that counts.
AT_LEAST = {
    "folds": 2,
    "dim": 1,
    "complete_dim": 1,
    "head_width": 1,
    "resize": 1,
    "crop": 1,
    "classes_per_batch": 2,
    "images_per_class": 1,
    "seen_class_images": 0,
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


def check(study: Study) -> None:
    """Problem where a field of a study is not of its type, or values do not belong together."""
    _check_types(study)
    _check_per_dataset(study)
    _check_numbers(study)
    _check_class_images(study)
    _check_trunk_rate(study)
    _check_loss_settings(study)
    _check_pool(study)
    _check_diagnostics(study)
    _check_stages(study)
    _check_variants(study)


def _check_types(study: Study) -> None:
    """Problem where a field has a value of another type."""
    hints = types_of(type(study))
    for item in dataclasses.fields(study):
        value = getattr(study, item.name)
        if not fits(value, hints[item.name]):
            raise Problem(
                f"study {study.name!r}: {item.name} = {value!r} is not of the type "
                f"{spelling_of(hints[item.name])}; correct it in the study's file"
            )


def _check_per_dataset(study: Study) -> None:
    """Problem where per_dataset is not of its form."""
    known = {item.name for item in dataclasses.fields(study)}
    for dataset, changes in study.per_dataset.items():
        if not isinstance(changes, Mapping):
            raise Problem(
                f"study {study.name!r}: per_dataset[{dataset!r}] = {changes!r} is no mapping "
                "from fields of a study; correct it in the study's file"
            )
        for name in changes:
            if name not in known or name in ("name", "per_dataset"):
                raise Problem(
                    f"study {study.name!r}: per_dataset[{dataset!r}] sets {name!r}, which is no "
                    f"field of a study that a dataset may change;{meant(name, known)} correct it "
                    "in the study's file"
                )


def _check_numbers(study: Study) -> None:
    """Problem where a number is out of its range."""
    for name, least in AT_LEAST.items():
        if getattr(study, name) < least:
            raise Problem(
                f"study {study.name!r}: {name} = {getattr(study, name)} is too small; "
                f"at least {least} is needed"
            )
    for name in ("lr", "loss_lr", "followup_lr_ratio"):
        value = getattr(study, name)
        low, high = value if isinstance(value, tuple) else (value, value)
        if not 0 < low <= high:
            raise Problem(
                f"study {study.name!r}: {name} = {value!r}; a positive number or "
                "(low, high) with 0 < low <= high is needed"
            )
    if study.run_hours is not None and not 0 < study.run_hours < math.inf:
        raise Problem(
            f"study {study.name!r}: run_hours = {study.run_hours}; a number above 0 is needed, "
            "or None for a limit that follows the longest run"
        )


def _check_class_images(study: Study) -> None:
    """Problem where the numbers of a class's images are none, or have nothing that they are for."""
    images, seen = study.class_images, study.seen_class_images
    if images is not None and not 1 <= images[0] <= images[1]:
        raise Problem(
            f"study {study.name!r}: class_images = {images!r}; (fewest, most) with 1 <= fewest <= "
            "most is needed, or None for all images"
        )
    if seen and (images is None or seen < 2):
        raise Problem(
            f"study {study.name!r}: seen_class_images = {seen} with class_images = {images!r}; "
            "together with class_images, and at least 2: a query and its positive"
        )
    if set(study.diagnostics) & set(SEEN) and not seen:
        raise Problem(
            f"study {study.name!r}: the diagnostics {', '.join(SEEN)} are of images of training "
            "classes that do not train; set class_images and seen_class_images, or leave them out"
        )


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


def _check_diagnostics(study: Study) -> None:
    """Problem where a study names a diagnostic that there is not, or none of its runs can have."""
    for name in study.diagnostics:
        if name not in DIAGNOSTICS:
            raise Problem(
                f"study {study.name!r}: no diagnostic {name!r};{meant(name, DIAGNOSTICS)} known: "
                f"{', '.join(DIAGNOSTICS)}"
            )
    if study.diagnostics and study.test_scored:
        raise Problem(
            f"study {study.name!r}: diagnostics are of final runs, and it has none; leave them out"
        )


def _check_stages(study: Study) -> None:
    """Problem where the stages of a study do not belong together."""
    stages, known = study.stages, LATER["stages"]
    ordered = tuple(stage for stage in known if stage in stages)
    if stages != ordered or not {"repeat", "complete"} & set(stages):
        raise Problem(
            f"study {study.name!r}: stages = {stages!r}; some of {known} in that order are needed, "
            "repeat or complete among them"
        )
    for stage in ("search", "ensemble"):
        if stage in stages and "repeat" not in stages:
            raise Problem(
                f"study {study.name!r}: stages = {stages!r} has {stage!r} without 'repeat', whose "
                "models it is for; add that"
            )


def _check_variants(study: Study) -> None:
    """Problem where a variant is not of its form; commands/loss_settings.py knows the losses."""
    for name, variant in study.variants.items():
        where = f"study {study.name!r}: variants[{name!r}]"
        if not VARIANT_NAME.fullmatch(name) or name in BASELINES:
            raise Problem(f"{where}: a name is of lower-case letters, digits and _; rename it")
        if not isinstance(variant, Mapping) or not isinstance(variant.get("loss"), str):
            raise Problem(
                f"{where} = {variant!r}; a mapping with 'loss', the name of a file in losses/, is "
                "needed"
            )
        for key, value in variant.items():
            if key not in ("loss", "params", "fields"):
                raise Problem(f"{where} has {key!r}; known: loss, params, fields")
            if key != "loss" and not isinstance(value, Mapping):
                raise Problem(f"{where}[{key!r}] = {value!r} is no mapping; correct it")
        for field_name in variant.get("fields", {}):
            if field_name not in VARIED:
                raise Problem(
                    f"{where} sets {field_name!r};{meant(field_name, VARIED)} a variant may change "
                    f"{', '.join(VARIED)}"
                )
        if variant.get("fields"):
            try:
                study.for_loss(name)  # which checks their values
            except Problem as problem:
                raise Problem(f"{problem} (set in variants[{name!r}])") from None


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
