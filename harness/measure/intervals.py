"""Arrays or printed summaries of scores in; intervals, differences, corrections, tie groups out.

Intervals and tests are Student's t over independent runs (repeats of one training procedure). They
describe the training noise *given* the params and the test set; `harness.comparisons` holds the
bootstrap that adds the test classes. Bad input is a ValueError.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LETTERS = string.ascii_lowercase + string.ascii_uppercase + "αβγδεζηθικλμνξπρστυφχψω"


@dataclass(frozen=True)
class Interval:
    """Mean and half-width of a t interval at `level` over `n` values, in the values' unit.

    `half_width` is infinite for n = 1: one value says nothing of its spread.
    """

    mean: float
    half_width: float
    n: int
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 < self.level < 1 or not self.half_width >= 0:
            raise ValueError(
                f"n = {self.n}, level = {self.level}, half_width = {self.half_width}: "
                "n >= 1, 0 < level < 1 and half_width >= 0 are needed"
            )

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; infinite for n = 1."""
        if self.n == 1:
            return math.inf
        return self.half_width / t_quantile(self.level, self.n - 1)

    @property
    def std(self) -> float:
        """Sample standard deviation (ddof 1) of the values behind the mean."""
        return self.standard_error * math.sqrt(self.n)

    def describe(self, of: str = "repeats", given: str = "") -> str:
        """What the +- is, of how many, and conditional on what, in words."""
        if self.n == 1:
            said = f"one of {of}, no interval"
        else:
            said = f"± {self.level * 100:g} % t interval of the mean of {self.n} {of}"
        return said + (f", given {given}" if given else "")


@dataclass(frozen=True)
class Difference:
    """Mean of a minus b, its t interval's half-width, and the two-sided p-value of no difference.

    `n` is the number of pairs (design "paired") or of a's runs ("welch", where `n_b` is that of
    b's). `p_value` is uncorrected: see `holm`.
    """

    mean: float
    half_width: float
    p_value: float
    n: int
    df: float
    level: float = 0.95
    design: Literal["paired", "welch"] = "paired"
    n_b: int | None = None

    def describe(self, given: str = "") -> str:
        """What the +- and the p-value are, of how many, and conditional on what, in words."""
        runs = f"{self.n} pairs" if self.design == "paired" else f"{self.n} and {self.n_b} runs"
        test = "paired t" if self.design == "paired" else "Welch's t, unpaired"
        said = f"± {self.level * 100:g} % interval of the difference of means ({test}, {runs})"
        return said + (f", given {given}" if given else "")


@functools.lru_cache(maxsize=1024)
def t_quantile(level: float, df: float) -> float:
    """The t that a two-sided interval at `level` multiplies the standard error by."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2))


def _two_sided(t: float, df: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(t)))


def _checked(values: Sequence[float] | Floats, least: int, what: str = "values") -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{what} of shape {array.shape}: at least {least} numbers in a row needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} hold NaN or infinite numbers: leave failed runs out, and say so")
    return array


def t_interval(values: Sequence[float] | Floats, level: float = 0.95) -> Interval:
    """The mean of `values` [n] with its t interval: t(level, n - 1) * s / sqrt(n), s with ddof 1.

    Source: Musgrave et al. 2020, section 3 (the interval of every +- in their tables).
    """
    array = _checked(values, 1)
    if len(array) == 1:
        return Interval(float(array[0]), math.inf, 1, level)
    return summary(float(array.mean()), float(array.std(ddof=1)), len(array), level)


def summary(mean: float, std: float, n: int, level: float = 0.95) -> Interval:
    """The t interval behind a printed mean and sample standard deviation (ddof 1) of n runs."""
    if n < 2 or std < 0:
        raise ValueError(f"std = {std}, n = {n}: std >= 0 and n >= 2 are needed for an interval")
    return Interval(mean, t_quantile(level, n - 1) * std / math.sqrt(n), n, level)


def paired_difference(
    a: Sequence[float] | Floats, b: Sequence[float] | Floats, level: float = 0.95
) -> Difference:
    """a - b over runs that share seeds: a [n] and b [n] in the same order of repeats (n >= 2)."""
    left, right = _checked(a, 2, "a"), _checked(b, 2, "b")
    if left.shape != right.shape:
        raise ValueError(f"a has {len(left)} runs and b {len(right)}: pairs needed, or use welch")
    apart = left - right
    n, mean = len(apart), float(apart.mean())
    error = float(apart.std(ddof=1)) / math.sqrt(n)
    return _difference(mean, error, n - 1, level, "paired", n, None)


def paired_repeats(
    a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95
) -> Difference | None:
    """`paired_difference` of a - b over the repeats that both have; None with fewer than 2."""
    shared = sorted(set(a) & set(b))
    if len(shared) < 2:
        return None
    return paired_difference([a[r] for r in shared], [b[r] for r in shared], level)


def paired_p_values(runs: Mapping[str, Mapping[int, float]]) -> dict[tuple[str, str], float]:
    """P-values of `paired_repeats` for every two of `runs` (name -> repeat -> value), 1 for None.

    Keys are the pairs in the names' order. All are tested at once.
    """
    from scipy.special import stdtr

    repeats = sorted(set().union(*runs.values()))
    shape = (len(runs), len(repeats))
    values = np.array([[one.get(r, np.nan) for r in repeats] for one in runs.values()])
    there = np.array([[r in one for r in repeats] for one in runs.values()], dtype=bool)
    values, there = values.reshape(shape), there.reshape(shape)
    if not np.isfinite(values[there]).all():
        raise ValueError("runs hold NaN or infinite numbers: leave failed runs out, and say so")
    one, other = np.triu_indices(len(values), 1)
    both = there[one] & there[other]
    n = both.sum(1)
    df = np.maximum(n - 1, 1)
    apart = np.where(both, values[one] - values[other], 0.0)
    mean = apart.sum(1) / np.maximum(n, 1)
    squares = np.where(both, apart - mean[:, None], 0.0) ** 2
    error = np.sqrt(squares.sum(1) / df / np.maximum(n, 1))
    spread = error > 0
    p = np.where(mean == 0, 1.0, 0.0)  # no spread at all: equal or certainly apart
    p[spread] = 2 * stdtr(df[spread], -np.abs(mean[spread] / error[spread]))
    p[n < 2] = 1.0
    return dict(zip(combinations(runs, 2), p.tolist(), strict=True))


def welch(
    a: Sequence[float] | Floats | Interval,
    b: Sequence[float] | Floats | Interval,
    level: float = 0.95,
) -> Difference:
    """a - b over independent runs with unequal variances, from values or from printed intervals.

    Source: Welch 1947; degrees of freedom after Satterthwaite. n >= 2 on both sides.
    """
    left = a if isinstance(a, Interval) else t_interval(_checked(a, 2, "a"))
    right = b if isinstance(b, Interval) else t_interval(_checked(b, 2, "b"))
    if min(left.n, right.n) < 2:
        raise ValueError(f"n = {left.n} and {right.n}: at least 2 runs on either side are needed")
    va, vb = left.standard_error**2, right.standard_error**2
    total = va + vb
    df = float(left.n + right.n - 2)
    if total > 0:
        # shares first: squares of tiny variances would underflow
        df = 1 / ((va / total) ** 2 / (left.n - 1) + (vb / total) ** 2 / (right.n - 1))
    apart = left.mean - right.mean
    return _difference(apart, math.sqrt(total), df, level, "welch", left.n, right.n)


def _difference(
    mean: float,
    error: float,
    df: float,
    level: float,
    design: Literal["paired", "welch"],
    n: int,
    n_b: int | None,
) -> Difference:
    if error == 0:  # no spread at all: equal or certainly apart
        return Difference(mean, 0.0, float(mean == 0), n, df, level, design, n_b)
    p_value = _two_sided(mean / error, df)
    return Difference(mean, t_quantile(level, df) * error, p_value, n, df, level, design, n_b)


def holm(p_values: Sequence[float] | Floats) -> list[float]:
    """P-values adjusted for all the comparisons given, in the given order (Holm 1979).

    Reject where the adjusted value is at most alpha: the chance of any false rejection is then at
    most alpha, whatever the dependence among the comparisons.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values must be numbers between 0 and 1 in a row")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped) if len(p) else stepped
    told: list[float] = adjusted.tolist()
    return told


def tie_groups(
    means: Mapping[str, float],
    p_values: Mapping[tuple[str, str], float],
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> dict[str, str]:
    """Letters per name (best first): two names share a letter exactly if they do not differ.

    `p_values` holds one adjusted p-value per pair of names, in either order; p <= alpha is a
    difference. "a" is the group of the best mean. Every letter is a largest possible group.
    Source: the compact letter display, insert and absorb, Piepho 2004.
    """
    names = sorted(means, key=lambda name: -means[name] if higher_is_better else means[name])
    place = {name: i for i, name in enumerate(names)}
    groups = [frozenset(names)] if names else []
    for one, other in combinations(names, 2):
        p = p_values.get((one, other))
        if p is None:
            p = p_values.get((other, one))
        if p is None:
            raise ValueError(f"no p-value for the pair {one}, {other}: every pair is needed")
        if p <= alpha:
            groups = _split(groups, one, other)
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    if len(groups) > len(LETTERS):
        raise ValueError(f"{len(groups)} tie groups: there are letters for {len(LETTERS)}")
    return {
        name: "".join(
            letter for letter, group in zip(LETTERS, groups, strict=False) if name in group
        )
        for name in names
    }


def _split(groups: list[frozenset[str]], one: str, other: str) -> list[frozenset[str]]:
    kept = [group for group in groups if not (one in group and other in group)]
    for group in groups:
        if one in group and other in group:
            kept += [group - {one}, group - {other}]
    unique = set(kept)
    return [group for group in unique if not any(group < larger for larger in unique)]


def pairwise(
    values: Mapping[str, Sequence[float]], design: Literal["paired", "welch"] = "paired"
) -> tuple[dict[tuple[str, str], Difference], dict[tuple[str, str], float]]:
    """Every pair's difference, and its p-value adjusted by Holm over all the pairs."""
    test = paired_difference if design == "paired" else welch
    pairs = list(combinations(values, 2))
    found = {(a, b): test(values[a], values[b]) for a, b in pairs}
    adjusted = holm([found[pair].p_value for pair in pairs])
    return found, dict(zip(pairs, adjusted, strict=True))
