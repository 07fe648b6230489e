"""Bootstrap over repeats and test classes, probability of improvement, and power.

Arrays of scores in, frozen results out; randomness is an argument. Bad input is a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Over = Literal["repeats", "classes", "repeats and classes"]
CHUNK = 4_000_000  # resampled class weights held at once


@dataclass(frozen=True)
class Bootstrap:
    """A mean and the percentile interval (low, high) of its resamples, in the scores' unit.

    `over` says what was drawn anew, and thereby what the interval is conditional on: over
    "repeats" the test classes are given; over "classes" the trained models are.
    """

    mean: float
    low: float
    high: float
    over: str
    n_repeats: int
    n_classes: int
    resamples: int
    level: float = 0.95

    def describe(self, given: str = "") -> str:
        """What the interval is, of how many, and conditional on what, in words."""
        fixed = {
            "repeats": ["these test classes"],
            "classes": ["these trained models"],
        }.get(self.over, [])
        fixed += [given] if given else []
        counts = {"repeats": f"{self.n_repeats} repeats", "classes": f"{self.n_classes} classes"}
        drawn = counts.get(self.over, f"{counts['repeats']} and {counts['classes']}")
        said = f"{self.level * 100:g} % percentile bootstrap interval, {drawn} drawn anew"
        return said + (f", given {' and '.join(fixed)}" if fixed else "")


def bootstrap(
    scores: npt.ArrayLike,
    *,
    over: Over,
    rng: np.random.Generator,
    sizes: npt.ArrayLike | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Bootstrap:
    """The mean score with its bootstrap interval over repeats, over test classes or over both.

    scores [repeats, classes]: the mean score of each test class's queries in each repeat ([repeats]
    alone serves `over="repeats"`); sizes [classes]: queries per class, equal if left out, so that
    the mean is the one over queries. For a difference of two losses pass the difference of their
    scores: shared seeds and classes stay paired. Source: Efron and Tibshirani 1993, chapter 13. The
    percentile interval over n repeats is narrow for small n, by about sqrt((n - 1) / n).
    """
    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or 0 in table.shape or not np.isfinite(table).all():
        raise ValueError(f"scores {table.shape}: finite numbers [repeats, classes] are needed")
    n, m = table.shape
    if ("repeats" in over and n < 2) or ("classes" in over and m < 2):
        raise ValueError(f"scores {table.shape}: at least 2 {over} are needed to draw from")
    weights = np.ones(m) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if weights.shape != (m,) or not (weights > 0).all():
        raise ValueError(f"sizes {weights.shape}: one positive number per class ({m}) is needed")
    found = []
    step = max(1, CHUNK // max(n, m))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        rows = _drawn(rng, n, count) if "repeats" in over else np.ones((count, n))
        columns = (_drawn(rng, m, count) if "classes" in over else np.ones((count, m))) * weights
        top = np.einsum("bj,bj->b", rows @ table, columns)
        found.append(top / (rows.sum(1) * columns.sum(1)))
    low, high = np.quantile(np.concatenate(found), [0.5 - level / 2, 0.5 + level / 2])
    mean = float((table @ weights).mean() / weights.sum())
    return Bootstrap(mean, float(low), float(high), over, n, m, resamples, level)


def _drawn(rng: np.random.Generator, n: int, count: int) -> Floats:
    return rng.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64)


def sources_of_uncertainty(
    scores: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    sizes: npt.ArrayLike | None = None,
    resamples: int = 10_000,
) -> dict[Over, Bootstrap]:
    """The same mean's interval over repeats (training), over classes (test set) and over both."""
    kinds: tuple[Over, ...] = ("repeats", "classes", "repeats and classes")
    return {
        over: bootstrap(scores, over=over, rng=rng, sizes=sizes, resamples=resamples)
        for over in kinds
    }


def probability_of_improvement(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    *,
    rng: np.random.Generator,
    resamples: int = 2_000,
    level: float = 0.95,
) -> Bootstrap:
    """Chance that a run of a beats a run of b on a dataset drawn at random; a tie counts half.

    a, b: per dataset (the same order) the values of the repeats. The interval draws repeats anew
    within each dataset (stratified), given the datasets. Source: Agarwal et al. 2021, section 4.3.
    """
    left = [np.asarray(values, dtype=np.float64) for values in a]
    right = [np.asarray(values, dtype=np.float64) for values in b]
    if len(left) != len(right) or not left or any(len(x) < 2 for x in left + right):
        raise ValueError(
            "a and b need the same datasets, at least one, each with 2 repeats or more"
        )
    # wins[d] [n, m] is a's score against b's run by run: 1, 1/2 or 0
    wins = [(np.sign(x[:, None] - y[None, :]) + 1) / 2 for x, y in zip(left, right, strict=True)]
    means = np.zeros(resamples)
    for table in wins:
        n, m = table.shape
        rows, columns = _drawn(rng, n, resamples) / n, _drawn(rng, m, resamples) / m
        means += np.einsum("bi,ij,bj->b", rows, table, columns) / len(wins)
    means = means.clip(0, 1)  # rounding may leave the range of a chance
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    mean = float(np.mean([table.mean() for table in wins]))
    least = min(len(x) for x in left + right)
    return Bootstrap(mean, float(low), float(high), "repeats", least, 0, resamples, level)


def repeats_needed(
    difference: float,
    std: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    design: Literal["paired", "welch"] = "paired",
) -> int:
    """Fewest repeats per loss with which a true `difference` is found with probability `power`.

    `std` is that of the paired differences ("paired") or of one loss's repeats, equal in both
    ("welch"); unit as `difference`. Two-sided t test (Cohen 1988).
    """
    if difference == 0 or std <= 0 or not alpha < power < 1:
        raise ValueError(
            f"difference = {difference}, std = {std}, power = {power}: "
            "a difference other than 0, std > 0 and alpha < power < 1 are needed"
        )
    high = 2
    while power_of(difference, std, high, alpha=alpha, design=design) < power:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(difference, std, middle, alpha=alpha, design=design) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def power_of(
    difference: float,
    std: float,
    n: int,
    *,
    alpha: float = 0.05,
    design: Literal["paired", "welch"] = "paired",
) -> float:
    """Probability that n >= 2 repeats per loss show a true `difference` at `alpha`, two-sided.

    The tails of the noncentral t, as the mean of normal tails over the estimated spread's own
    distribution; scipy's closed form returns NaN for large differences.
    """
    from scipy.special import chdtri, ndtr, stdtrit

    paired = design == "paired"
    df = n - 1 if paired else 2 * (n - 1)
    shift = abs(difference) / std * math.sqrt(n if paired else n / 2)
    critical = float(stdtrit(df, 1 - alpha / 2))
    shares = (np.arange(4000) + 0.5) / 4000
    estimated = np.sqrt(chdtri(df, shares) / df)  # quantiles of s / sigma
    found = ndtr(shift - critical * estimated) + ndtr(-shift - critical * estimated)
    return float(found.mean())
