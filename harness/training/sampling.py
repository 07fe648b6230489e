"""Which training images make an epoch's batches, by the study's values and the kind of loss."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from harness.protocol import batches
from harness.schema import Ints, Part, Problem, Study


def epoch_batches(
    study: Study, module: ModuleType, train: Part, rng: np.random.Generator
) -> list[Ints]:
    """One epoch's batches for a loss: positions in the training part.

    Problem where the study gives fewer images of a class than the loss needs.
    """
    per_class = study.images_per_class
    size = study.classes_per_batch * per_class
    if study.images_per_class_classification and module.KIND in ("proxy", "classification"):
        per_class = study.images_per_class_classification
    if per_class < module.MIN_IMAGES_PER_CLASS:
        raise Problem(
            f"loss {module.__name__.removeprefix('losses.')} needs "
            f"{module.MIN_IMAGES_PER_CLASS} images of a class in a batch, study {study.name!r} "
            f"gives {per_class}; raise images_per_class"
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
