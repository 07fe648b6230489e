"""How many images of each training class train, and which: a long tail of class sizes.

The classes are put in an order at random. The class of rank r (from 0) of C trains

    round(most * (fewest / most) ** (r / (C - 1)))

of its images: the exponential profile of Cui et al. 2019, arXiv 1901.05555, section 5.1. With
fewest = most all classes train as many. Before that, some images of every class are set apart: no
form of the study trains on them, so that retrieval within training classes can be measured.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.schema import Ints, Problem, Study
from harness.seeds import seed_from

THIRDS = 3  # many, medium and few training images


class ClassImages(NamedTuple):
    """Positions in labels [n]: what trains, what is set apart; and each class's third [C].

    `third`: 0 for the classes with many training images, 1 for medium, 2 for few; by rank, so it is
    the same for a balanced set of the same seed.
    """

    train: Ints
    seen: Ints
    third: Ints


def divide(labels: Ints, study: Study, seed: int) -> ClassImages | None:
    """Which images [n] with labels [n] train; a pure function of them, the two fields and the seed.

    None where the study takes all images. Problem where a class has too few.
    """
    if study.class_images is None:
        return None
    (fewest, most), apart = study.class_images, study.seen_class_images
    rng = np.random.default_rng(seed_from(seed, "class images"))
    n_classes = int(labels.max()) + 1
    rank = rng.permutation(n_classes)
    train, seen = [], []
    for label in range(n_classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        wanted = round(most * (fewest / most) ** (rank[label] / max(n_classes - 1, 1)))
        if len(members) < apart + wanted:
            raise Problem(
                f"study {study.name!r}: a training class has {len(members)} images, but "
                f"class_images = {study.class_images} and seen_class_images = {apart} take "
                f"{apart + wanted} of it; lower one of them, or take a dataset with more images of "
                "a class"
            )
        seen.append(members[:apart])
        train.append(members[apart : apart + wanted])
    return ClassImages(
        train=np.sort(np.concatenate(train)),
        seen=np.sort(np.concatenate(seen)),
        third=rank * THIRDS // n_classes,
    )
