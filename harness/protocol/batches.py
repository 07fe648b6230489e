"""Labels to class-balanced batches of indices.

The field's usual sampler draws classes and images with replacement across batches, so that an
"epoch" repeats some images and skips others. Here an epoch sees every image. It sees each exactly
once where the class sizes are multiples of the images per class; otherwise it sees a few twice.
"""

from __future__ import annotations

import heapq
import itertools

import numpy as np

from harness.schema import Ints, Problem


def epoch_batches(
    labels: Ints, *, classes: int, per_class: int, rng: np.random.Generator
) -> list[Ints]:
    """One epoch: batches of `classes` x `per_class` positions into labels [n], class after class.

    A batch holds `classes` different classes, or all of them where there are fewer. Groups that
    were seen before fill up the last batch, so that every batch has the same size.
    """
    groups = _groups(labels, per_class, rng)
    classes = min(classes, len(groups))
    # The classes with most groups left go first, ties at random. Otherwise too few different
    # classes would remain at the end.
    tie_breaks = rng.random(len(groups)).tolist()
    queue = [
        (-len(class_groups), tie_break, c)
        for c, (class_groups, tie_break) in enumerate(zip(groups, tie_breaks, strict=True))
    ]
    heapq.heapify(queue)
    batches = []
    while queue[0][0] < 0:
        popped = [heapq.heappop(queue) for _ in range(classes)]
        # at once where nothing else is drawn in between: the numbers are the same
        tie_breaks = rng.random(classes).tolist() if popped[-1][0] < 0 else []
        chosen = []
        for number, (minus_left, _, c) in enumerate(popped):
            group = -minus_left - 1 if minus_left else int(rng.integers(len(groups[c])))
            chosen.append(groups[c][group])
            tie_break = tie_breaks[number] if tie_breaks else rng.random()
            heapq.heappush(queue, (min(minus_left + 1, 0), tie_break, c))
        batches.append(np.concatenate(chosen))
    return [batches[i] for i in rng.permutation(len(batches))]


def fixed_batches(
    labels: Ints, *, classes: int, per_class: int, iterations: int, rng: np.random.Generator
) -> list[Ints]:
    """`iterations` batches of classes and images drawn at random, like MLRC's epochs of 100.

    Classes are drawn without replacement within a batch. Images are drawn without replacement
    within their class if it holds enough. Source: Musgrave et al. 2020 and its released code.
    """
    members = _members(labels)
    classes = min(classes, len(members))
    return [
        np.concatenate(
            [
                rng.choice(members[c], per_class, replace=len(members[c]) < per_class)
                for c in rng.choice(len(members), classes, replace=False)
            ]
        )
        for _ in range(iterations)
    ]


def _members(labels: Ints) -> list[Ints]:
    """The positions of each class's images."""
    if len(labels) == 0:
        raise Problem("no training images: the split leaves the training part empty")
    order = np.argsort(labels, kind="stable")
    ends = [*(np.flatnonzero(np.diff(labels[order])) + 1).tolist(), len(order)]
    return [order[start:end] for start, end in itertools.pairwise([0, *ends])]


def drawn(pool: Ints, n: int, rng: np.random.Generator) -> Ints:
    """The n of the pool that rng.choice draws without replacement, for small n in half the time.

    Floyd's algorithm (Bentley and Floyd 1987), whose order is then shuffled.
    """
    places: list[int] = []
    for last in range(len(pool) - n, len(pool)):
        place = int(rng.integers(last + 1))
        places.append(last if place in places else place)
    for i in range(n - 1, 0, -1):
        j = int(rng.integers(i + 1))
        places[i], places[j] = places[j], places[i]
    return pool[places]


def _groups(labels: Ints, per_class: int, rng: np.random.Generator) -> list[list[Ints]]:
    """Each class's images, shuffled and cut into groups of `per_class`, the last topped up."""
    groups = []
    for members in _members(labels):
        shuffled = rng.permutation(members)
        partial = len(members) % per_class
        if partial:
            n_missing = per_class - partial
            full = len(members) - partial
            if full >= n_missing:
                extra = drawn(shuffled[:full], n_missing, rng)
            else:
                extra = rng.choice(members, n_missing)
            shuffled = np.concatenate([shuffled, extra])
        groups.append(list(shuffled.reshape(-1, per_class)))
    return groups
