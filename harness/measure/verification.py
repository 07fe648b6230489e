"""Verification: are two images of one class? Accuracy over pairs, as faces are judged.

Source: Huang et al. 2007, Labeled Faces in the Wild: ten sets of 300 genuine and 300 impostor pairs
that share no person; the threshold for one set is the best one of the nine others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

FOLDS = 10
PAIRS = 300  # of each kind in a fold
LEAST_CLASSES = 2 * FOLDS  # an impostor pair needs two classes in its fold


class Pairs(NamedTuple):
    """Pairs of rows: first [n], second [n], whether they are of one class [n], their fold [n]."""

    first: Ints
    second: Ints
    genuine: Bools
    fold: Ints


def pairs(labels: Ints, *, rng: np.random.Generator) -> Pairs:
    """FOLDS x PAIRS pairs of each kind of rows with labels [n], drawn with replacement.

    The classes with two rows or more are dealt to the folds at random, and a fold's pairs are of
    its own classes: a genuine one of a random class, an impostor one of two. ValueError with fewer
    than LEAST_CLASSES of them.
    """
    names, counts = np.unique(labels, return_counts=True)
    classes = rng.permutation(names[counts > 1])
    if len(classes) < LEAST_CLASSES:
        raise ValueError(
            f"{len(classes)} classes of two rows or more; {FOLDS} folds without a class in common "
            f"need {LEAST_CLASSES}"
        )
    members = {name: np.flatnonzero(labels == name) for name in classes.tolist()}
    drawn: list[tuple[int, int, bool, int]] = []
    for fold, of_fold in enumerate(np.array_split(classes, FOLDS)):
        for _ in range(PAIRS):
            a, b = rng.choice(members[int(rng.choice(of_fold))], 2, replace=False)
            drawn.append((a, b, True, fold))
            one, other = rng.choice(of_fold, 2, replace=False)
            a, b = rng.choice(members[int(one)]), rng.choice(members[int(other)])
            drawn.append((a, b, False, fold))
    first, second, genuine, folds = (np.array(column) for column in zip(*drawn, strict=True))
    return Pairs(first, second, genuine, folds)


def accuracy(similarities: Floats, genuine: Bools, fold: Ints) -> float:
    """Mean accuracy over folds of calling a pair genuine from a threshold of similarity on.

    All arguments [n]. A fold's threshold is the lowest of those that are best on the other folds.
    """
    accuracies = []
    for number in np.unique(fold):
        here = fold == number
        threshold = best_threshold(similarities[~here], genuine[~here])
        accuracies.append(np.mean((similarities[here] >= threshold) == genuine[here]))
    return float(np.mean(accuracies))


def best_threshold(similarities: Floats, genuine: Bools) -> float:
    """The lowest similarity [n] that is the most accurate threshold; infinite if none helps."""
    order = np.argsort(similarities, kind="stable")
    values, is_genuine = similarities[order], genuine[order]
    # right decisions with the threshold at values[i]: impostor pairs below, genuine ones from it on
    impostor_below = np.concatenate([[0], np.cumsum(~is_genuine)])
    genuine_from = is_genuine.sum() - np.concatenate([[0], np.cumsum(is_genuine)])
    right = (impostor_below + genuine_from).astype(np.float64)
    equal_to_the_one_before = np.concatenate([[False], values[1:] == values[:-1], [False]])
    right[equal_to_the_one_before] = -1
    return float(np.append(values, np.inf)[np.argmax(right)])
