"""What choosing on test classes is worth, from a pool of configurations that was trained once.

The test classes are halved at random into A and B, many times, and every halving is used both ways
round (cross-fitting). A search is k configurations of the pool. Two choices are made in it:

    the honest one by held-out MAP@R;   the test-tuned one by MAP@R on A.

Both are between the same models, and both are scored on B, which chose nothing:

    optimism = the test-tuned pick's score on A minus its score on B
    gain     = the test-tuned pick's score on B minus the honest pick's score on B
    total    = the test-tuned pick's score on A minus the honest pick's score on B

So total = optimism + gain: what a paper would report too much, as luck and as information. That one
half of the classes is easier than the other cancels, for the pool's own mean difference between A
and B is exactly 0 over both ways round.

The mean over all searches of k is exact: the pick of a search is the configuration with the best
rank, and rank r of n (from 0) is the best of k with the chance C(n - 1 - r, k - 1) / C(n, k).
Arrays in, arrays out; randomness is an argument; bad input is a ValueError.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.measure.intervals import t_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
By = Literal["held_out", "test", "last"]
Rule = tuple[By, By]  # what chooses the params, and what the epoch
RULES: tuple[Rule, ...] = tuple(
    itertools.product(("held_out", "test"), ("held_out", "test", "last"))
)
HONEST: Rule = ("held_out", "held_out")
TUNED: Rule = ("test", "test")
QUANTITIES = ("optimism", "gain", "total")
GROUPS = 20  # of test classes that the jackknife leaves out in turn


@dataclass(frozen=True)
class Pool:
    """Scores of a pool of configurations after each epoch, as means over the fold models.

    held_out [configurations, epochs]: held-out MAP@R. sums [configurations, epochs, classes]: MAP@R
    summed over the queries of a test class. queries [classes]: their number.
    """

    held_out: Floats
    sums: Floats
    queries: Floats

    def __post_init__(self) -> None:
        shape = (*self.held_out.shape, len(self.queries))
        if self.sums.shape != shape or 0 in shape or len(self.queries) < 2:
            raise ValueError(
                f"held_out {self.held_out.shape}, sums {self.sums.shape}, queries "
                f"{self.queries.shape}: [configurations, epochs], that with classes, [classes], at "
                "least 2 classes"
            )

    @property
    def size(self) -> int:
        """The number of configurations."""
        return len(self.held_out)


@dataclass(frozen=True)
class Ranked:
    """A pool under one rule, in every halving: each configuration at the epoch that the rule gives.

    on_a, on_b [halvings, configurations]: scores on both halves, the configuration that the rule
    likes best first. order [halvings, configurations]: which one that is.
    """

    on_a: Floats
    on_b: Floats
    order: Ints


def halvings(classes: int, count: int, rng: np.random.Generator) -> Bools:
    """Random halves A of the classes, and behind them all their complements: [2 count, classes]."""
    places = rng.permuted(np.tile(np.arange(classes), (count, 1)), axis=1)
    halves = places < classes // 2
    return np.concatenate([halves, ~halves])


def ranked(pool: Pool, in_a: Bools, rule: Rule, kept: Bools | None = None) -> Ranked:
    """The pool under a rule, for halves `in_a` [halvings, classes] of the classes that are kept."""
    kept = np.ones(len(pool.queries), np.bool_) if kept is None else kept
    on_a, on_b = (_scores(pool, half & kept) for half in (in_a, ~in_a))
    held_out = np.broadcast_to(pool.held_out, on_a.shape)
    by: Mapping[By, Floats] = {"held_out": held_out, "test": on_a}
    params_by, epoch_by = rule
    if epoch_by == "last":
        epochs = np.full(on_a.shape[:2], on_a.shape[2] - 1)
    else:
        epochs = by[epoch_by].argmax(2)
    at = epochs[:, :, None]
    chosen_by, on_a, on_b = (
        np.take_along_axis(scores, at, 2)[:, :, 0] for scores in (by[params_by], on_a, on_b)
    )
    order = np.argsort(-chosen_by, axis=1, kind="stable")
    return Ranked(np.take_along_axis(on_a, order, 1), np.take_along_axis(on_b, order, 1), order)


def _scores(pool: Pool, half: Bools) -> Floats:
    """MAP@R over the queries of the classes of each half: [halvings, configurations, epochs]."""
    weights = half.astype(np.float64)
    sums = np.tensordot(weights, pool.sums, axes=(1, 2))
    scores: Floats = sums / (weights @ pool.queries)[:, None, None]
    return scores


def pick_chances(size: int) -> Floats:
    """The chance that the best of k random configurations has rank r: [k - 1, r], both size."""
    chances = np.zeros((size, size))
    for k in range(1, size + 1):
        chance = k / size  # of rank 0
        for rank in range(size - k + 1):
            chances[k - 1, rank] = chance
            chance *= (size - rank - k) / (size - rank - 1) if rank < size - 1 else 0.0
    return chances


def curves(
    pool: Pool, in_a: Bools, kept: Bools | None = None, rules: Sequence[Rule] = RULES
) -> dict[Rule, tuple[Floats, Floats]]:
    """Rule -> the mean scores on A and on B of the pick of k = 1 to all configurations."""
    chances = pick_chances(pool.size)
    by_rule = {}
    for rule in rules:
        scores = ranked(pool, in_a, rule, kept)
        by_rule[rule] = (chances @ scores.on_a.mean(0), chances @ scores.on_b.mean(0))
    return by_rule


def worth(by_rule: Mapping[Rule, tuple[Floats, Floats]]) -> dict[str, Floats]:
    """Optimism, gain and total for each k, from the curves of the rules HONEST and TUNED."""
    (on_a, on_b), (_, honest) = by_rule[TUNED], by_rule[HONEST]
    return {"optimism": on_a - on_b, "gain": on_b - honest, "total": on_a - honest}


def over_classes(
    pool: Pool, in_a: Bools, rng: np.random.Generator, level: float = 0.95
) -> dict[str, Floats]:
    """Quantity -> half-width of its interval over test classes, for each k.

    A delete-a-group jackknife: the classes are left out in GROUPS random groups (fewer where there
    are fewer than 2 classes for each), and the halvings stay. A bootstrap of the classes would not
    do: a class that is drawn twice must stay in one half, which makes the halves noisier than those
    of any real test set, and the optimism larger. Source: Kott 2001, "The delete-a-group
    jackknife".
    """
    classes = len(pool.queries)
    n_groups = min(GROUPS, classes // 2)
    if n_groups < 2:
        raise ValueError(f"{classes} test classes: at least 4 are needed for an interval over them")
    group = rng.permutation(np.arange(classes) % n_groups)
    # A half can lose all its classes to a group where there are few: such halvings are left out.
    usable = [_usable(in_a, group != number) for number in range(n_groups)]
    in_a = in_a[np.all(usable, axis=0)]
    without = [
        worth(curves(pool, in_a, group != number, (HONEST, TUNED))) for number in range(n_groups)
    ]
    factor = t_quantile(level, n_groups - 1)
    widths = {}
    for name in QUANTITIES:
        values = np.array([each[name] for each in without])
        variance = (n_groups - 1) * values.var(0)
        widths[name] = factor * np.sqrt(variance)
    return widths


def _usable(in_a: Bools, kept: Bools) -> Bools:
    """Which halvings have a class in both halves among those that are kept."""
    usable: Bools = np.any(in_a & kept, axis=1) & np.any(~in_a & kept, axis=1)
    return usable


def single_searches(
    pool: Pool, in_a: Bools, sizes: Sequence[int], *, draws: int, rng: np.random.Generator
) -> dict[int, dict[str, Floats]]:
    """Size k -> quantity -> its value in each of `draws` single searches, a mean over the halvings.

    The k configurations are drawn with replacement, as from a pool without end. Two searches of k
    share few configurations where k is well below half of the pool. Nearer to its size they share
    most, and vary less than two searches of new configurations would.
    """
    under = {rule: ranked(pool, in_a, rule) for rule in (HONEST, TUNED)}
    ranks = {rule: np.argsort(scores.order, axis=1) for rule, scores in under.items()}
    values = {}
    for k in sizes:
        drawn = rng.integers(0, pool.size, (draws, k))
        means = {}
        for rule, scores in under.items():
            picks = np.array([of_halving[drawn].min(1) for of_halving in ranks[rule]])
            on_a, on_b = (
                np.take_along_axis(on, picks, 1).mean(0) for on in (scores.on_a, scores.on_b)
            )
            means[rule] = (on_a, on_b)
        values[k] = worth(means)
    return values
