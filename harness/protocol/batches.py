"""Labels to class-balanced batches of indices.

The field's usual sampler draws classes and images with replacement across batches, so that an
"epoch" repeats some images and skips others. Here an epoch sees every image about once: exactly
once where the class sizes are multiples of the images per class, otherwise a few are seen twice so
that none is left out.
"""

from __future__ import annotations

import heapq

import numpy as np

from harness.schema import Ints, Problem


def epoch_batches(
    labels: Ints, *, classes: int, per_class: int, rng: np.random.Generator
) -> list[Ints]:
    """One epoch: batches of `classes` x `per_class` positions into labels [n], class after class.

    A batch holds `classes` different classes, or all of them where there are fewer. The last batch
    is filled up with groups drawn anew, so that every batch has the same size.
    """
    groups = _groups(labels, per_class, rng)
    classes = min(classes, len(groups))
    # The classes with most groups left go first, ties at random: with fewest conflicts at the end,
    # where only a few classes would otherwise remain.
    queue = [
        (-len(own), draw, c)
        for c, (own, draw) in enumerate(zip(groups, rng.random(len(groups)), strict=True))
    ]
    heapq.heapify(queue)
    batches = []
    while queue[0][0] < 0:
        popped = [heapq.heappop(queue) for _ in range(classes)]
        chosen = []
        for negative, _, c in popped:
            own = groups[c]
            chosen.append(own[-negative - 1] if negative else own[int(rng.integers(len(own)))])
            heapq.heappush(queue, (min(negative + 1, 0), rng.random(), c))
        batches.append(np.concatenate(chosen))
    return [batches[i] for i in rng.permutation(len(batches))]


def fixed_batches(
    labels: Ints, *, classes: int, per_class: int, iterations: int, rng: np.random.Generator
) -> list[Ints]:
    """`iterations` batches of classes and images drawn at random, as MLRC's epochs of 100 are.

    Classes are drawn without replacement within a batch, images without replacement within their
    class where it holds enough. Source: Musgrave et al. 2020 and its released code.
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
    if len(labels) == 0:
        raise Problem("no training images: the split leaves the training part empty")
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _groups(labels: Ints, per_class: int, rng: np.random.Generator) -> list[list[Ints]]:
    """Each class's images, shuffled and cut into groups of `per_class`, the last topped up."""
    groups = []
    for own in _members(labels):
        shuffled = rng.permutation(own)
        short = -len(shuffled) % per_class
        if short:
            enough = len(own) - len(shuffled) % per_class >= short
            pool = shuffled[: len(own) - len(shuffled) % per_class] if enough else own
            shuffled = np.concatenate([shuffled, rng.choice(pool, short, replace=not enough)])
        groups.append(list(shuffled.reshape(-1, per_class)))
    return groups
