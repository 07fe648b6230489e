"""Verification: are two images of one class? Accuracy over pairs, as faces are judged.

Source: Huang et al. 2007, Labeled Faces in the Wild: ten sets of 300 genuine and 300 impostor pairs
that share no person; the threshold for one set is the best one of the nine others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from harness.measure.geometry import Moments, decidability

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


class Verification(NamedTuple):
    """How well similarity tells genuine from impostor pairs; shares of 1 but for `d_prime`.

    None: not defined for these pairs. A rate of true accepts at a rate of false accepts f needs
    1 / f impostor pairs.
    """

    accuracy: float | None
    equal_error_rate: float
    true_accepts_at_1e3: float | None  # at a rate of false accepts of 1e-3
    true_accepts_at_1e4: float | None
    d_prime: float | None


def rates(
    similarities: Floats, genuine: Bools, roc: tuple[Floats, Floats], accuracy: float | None = None
) -> Verification:
    """The rates of pairs with similarities [n] and their `roc`; `accuracy` in folds, if known."""
    kinds = Moments(), Moments()
    for kind, moments in zip((genuine, ~genuine), kinds, strict=True):
        moments.add(torch.from_numpy(similarities[kind]))
    d_prime = decidability(*kinds)
    impostors = kinds[1].n
    return Verification(
        accuracy=accuracy,
        equal_error_rate=equal_error_rate(*roc),
        true_accepts_at_1e3=true_accepts_at(*roc, 1e-3) if impostors >= 1000 else None,
        true_accepts_at_1e4=true_accepts_at(*roc, 1e-4) if impostors >= 10_000 else None,
        d_prime=d_prime if math.isfinite(d_prime) else None,
    )


def roc(similarities: Floats, genuine: Bools) -> tuple[Floats, Floats]:
    """Rates of false and of true accepts at every threshold, from none accepted to all [t].

    ValueError without a pair of either kind.
    """
    if genuine.all() or not genuine.any():
        raise ValueError("pairs of both kinds are needed, genuine ones and impostors")
    order = np.argsort(-similarities, kind="stable")
    values, is_genuine = similarities[order], genuine[order]
    last_of_value = np.append(values[1:] != values[:-1], True)
    true = np.cumsum(is_genuine)[last_of_value] / is_genuine.sum()
    false = np.cumsum(~is_genuine)[last_of_value] / (~is_genuine).sum()
    return np.append(0.0, false), np.append(0.0, true)


def equal_error_rate(false_accepts: Floats, true_accepts: Floats) -> float:
    """Where false accepts equal false rejects, between two points of the ROC by a straight line."""
    gap = false_accepts - (1 - true_accepts)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(false_accepts[before] + share * (false_accepts[after] - false_accepts[before]))


def true_accepts_at(false_accepts: Floats, true_accepts: Floats, rate: float) -> float:
    """The highest rate of true accepts with at most `rate` false accepts; nothing is interpolated.

    A rate that is k of n impostors within rounding admits k of them.
    """
    return float(true_accepts[false_accepts <= rate * (1 + 1e-9)].max())
