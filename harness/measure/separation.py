"""Which of several losses differ, from one family of tests: the marks of a table come from here.

The best loss is picked from the same scores as the tests use. A correction over the other losses
alone would not allow for that choice. So every pair is tested, and all pairs are corrected
together: a loss counts as worse than the best only if their pair differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.measure.intervals import ROUNDING
from harness.measure.multiple_comparisons import ALPHA, differs, holm, tie_groups

Pair = tuple[str, str]
Runs = Mapping[str, Mapping[int, float]]  # name -> repeat -> value


@dataclass(frozen=True)
class Separation:
    """What paired t tests of all pairs tell apart, Holm-corrected over the pairs, at `alpha`.

    `p_values` are adjusted, by pair, the higher mean first; None where there is no test: fewer than
    2 shared repeats, differences without any spread, or shared repeats that put the two the other
    way round than all of their repeats do. Such a pair is not told apart. `letters`
    are those of `tie_groups`, empty where there are more groups than letters. `ranks` (first, last)
    holds every rank that the tests leave open: 1 + the number of names that are better, to the
    number of names less that of those that are worse. `means` are those of the values.
    Source of the ranks: Mogstad, Romano, Shaikh and Wilhelm 2024.
    """

    p_values: Mapping[Pair, float | None]
    letters: Mapping[str, str]
    ranks: Mapping[str, tuple[int, int]]
    means: Mapping[str, float]
    alpha: float = ALPHA

    @property
    def leaders(self) -> frozenset[str]:
        """The names with the highest mean: several where their means are equal."""
        highest = max(self.means.values(), default=0.0)
        return frozenset(name for name, mean in self.means.items() if mean == highest)

    @property
    def best(self) -> str | None:
        """The first of the leaders by name; None if there are no names."""
        return next(iter(self.ranks), None)

    def p_value(self, a: str, b: str) -> float | None:
        """The adjusted p-value of two names in either order; None without a test."""
        return self.p_values.get((a, b), self.p_values.get((b, a)))

    @property
    def tied_with_best(self) -> frozenset[str]:
        """The other names that the tests do not tell apart from the best."""
        best = self.best
        return frozenset(
            name
            for name in self.ranks
            if best is not None and name != best
            if not differs(self.p_value(best, name), self.alpha)
        )

    @property
    def untested_with_best(self) -> frozenset[str]:
        """Those of `tied_with_best` that have no test against the best."""
        best = self.best or ""
        return frozenset(n for n in self.tied_with_best if self.p_value(best, n) is None)

    @property
    def untested(self) -> tuple[Pair, ...]:
        """The pairs without a test."""
        return tuple(pair for pair, p_value in self.p_values.items() if p_value is None)


def separation(runs: Runs, alpha: float = ALPHA) -> Separation:
    """The tests of every two of `runs`, which need at least one value each."""
    means = {name: math.fsum(values.values()) / len(values) for name, values in runs.items()}
    names = sorted(runs, key=lambda name: (-means[name], name))
    raw = _tested({name: runs[name] for name in names}, falling=True)
    p_values = dict(zip(raw, holm(list(raw.values())), strict=True))
    first, last = dict.fromkeys(names, 1), dict.fromkeys(names, len(names))
    for (better, worse), p_value in p_values.items():
        if differs(p_value, alpha):
            first[worse] += 1
            last[better] -= 1
    try:
        letters = tie_groups({name: means[name] for name in names}, p_values, alpha)
    except ValueError:  # more groups than letters: the ranks say it
        letters = {}
    return Separation(
        p_values=p_values,
        letters=letters,
        ranks={name: (first[name], last[name]) for name in names},
        means=means,
        alpha=alpha,
    )


def paired_p_values(runs: Runs) -> dict[Pair, float | None]:
    """P-values of `intervals.paired_repeats` for every two of `runs`, uncorrected.

    Keys are the pairs in the order of the names. None for a pair with fewer than 2 shared repeats
    or without any spread in its differences. All pairs are computed at once, which is faster than
    one by one.
    """
    return _tested(runs, falling=False)


def _tested(runs: Runs, *, falling: bool) -> dict[Pair, float | None]:
    """As paired_p_values. `falling`: the runs' means fall, and no test contradicts that order.

    It may, where two have unlike repeats: their means are over all of them, the test is of those
    that they share.
    """
    from scipy.special import stdtr

    repeats = sorted(set().union(*runs.values()))
    shape = (len(runs), len(repeats))
    values = np.array([[run.get(r, np.nan) for r in repeats] for run in runs.values()])
    present = np.array([[r in run for r in repeats] for run in runs.values()], dtype=bool)
    values, present = values.reshape(shape), present.reshape(shape)
    if not np.isfinite(values[present]).all():
        raise ValueError("runs hold NaN or infinite numbers: leave failed runs out, and say so")
    first, second = np.triu_indices(len(values), 1)
    shared = present[first] & present[second]
    n = shared.sum(1)
    df = np.maximum(n - 1, 1)
    differences = np.where(shared, values[first] - values[second], 0.0)
    sizes = np.where(shared, np.maximum(np.abs(values[first]), np.abs(values[second])), 0.0)
    mean = differences.sum(1) / np.maximum(n, 1)
    squares = np.where(shared, differences - mean[:, None], 0.0) ** 2
    error = np.sqrt(squares.sum(1) / df / np.maximum(n, 1))
    tested = (n > 1) & (error > ROUNDING * sizes.max(1, initial=0.0))
    if falling:
        same_repeats = (n == present[first].sum(1)) & (n == present[second].sum(1))
        tested &= (mean >= 0) | same_repeats
    p = np.ones(len(n))
    p[tested] = 2 * stdtr(df[tested], -np.abs(mean[tested] / error[tested]))
    return {
        pair: float(value) if has_test else None
        for pair, value, has_test in zip(combinations(runs, 2), p, tested, strict=True)
    }
