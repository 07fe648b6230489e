"""The words and bounds of a study's fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

RECORD_FORMAT = 1


UNTRAINED, WHITENING, LDA = "untrained", "whitening", "lda"


BASELINES = (UNTRAINED, WHITENING, LDA)  # rows that need no loss: no search, no training, no test


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
    "diagnostics": (),
    "variants": {},
    "stages": ("search", "repeat", "ensemble", "complete"),
    "curve": (),
    "run_hours": None,
    "class_images": None,
    "seen_class_images": 0,
}


# What a study's runs do that no other field says. 1: the follow-up phase had to beat the normal
# phase's best, and a phase could end between two evaluations. 2: as training/train.py says.
RULES = 2


# Fields that say which runs there are, and shape none of them.
WHICH_RUNS = ("trials", "repeats", "search_repeats", "losses", "datasets")
# Those and the fields that only look at runs or end them: a study's records stay comparable where
# they change, so they are not in its digest.
NOT_IN_DIGEST = (*WHICH_RUNS, "diagnostics", "run_hours")


Precision = Literal["fp32", "tf32", "bf16"]


Stage = Literal["search", "repeat", "ensemble", "complete", "test_scored_pool"]


# The one exception: runs whose models are scored on the test classes after every epoch. Only the
# study `optimism` has them, and nothing else, to measure what choosing on test classes is worth.
POOL: Stage = "test_scored_pool"


OPTIMISM = "optimism"


TRIAL_STAGES: tuple[Stage, Stage] = ("search", POOL)  # their params are proposals


VARIANT_NAME = re.compile(r"[a-z][a-z0-9_]*")


REPLACED = "standard"  # the protocol of older versions that `optimism` replaces


# What a variant of a loss may change: how many images of a class train, its batches, its optimiser
# and its phases. Everything else is shared by all that is compared.
VARIED = (
    "class_images",
    *("classes_per_batch", "images_per_class", "images_per_class_classification", "iterations"),
    *("optimiser", "lr", "loss_lr", "followup_lr_ratio", "weight_decay", "clip_gradient"),
    *("max_epochs", "followup", "followup_max_epochs", "evaluate_every", "patience"),
)


# What a curve can hold beside the held-out MAP@R.
CurveValue = Literal["precision_at_1", "r_precision", "avg_dtp"]


Values = Mapping[str, Any]
