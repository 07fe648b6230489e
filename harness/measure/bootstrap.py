"""Bootstrap over repeats and test classes, and the probability of improvement.

Arrays of scores to frozen results; randomness is an argument. Bad input is a ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Over = Literal["repeats", "classes", "repeats and classes"]
CHUNK = 4_000_000  # resampled weights held in memory at once


@dataclass(frozen=True)
class Bootstrap:
    """A mean and the percentile interval (low, high) of its resamples, in the scores' unit.

    `over` says what was resampled. The interval is conditional on the rest: over "repeats" on the
    test classes, over "classes" on the trained models.
    """

    mean: float
    low: float
    high: float
    over: Over
    n_repeats: int
    n_classes: int
    resamples: int
    level: float = 0.95


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

    scores [repeats, classes]: the mean score of each test class's queries in each repeat. [repeats]
    is enough for `over="repeats"`. sizes [classes]: queries per class, which make the mean the one
    over queries; equal if left out. For a difference of two losses pass the difference of their
    scores: then shared seeds and classes stay paired. The percentile interval over n repeats is too
    narrow for small n, by about sqrt((n - 1) / n). Source: Efron and Tibshirani 1993, chapter 13.
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
    means = []
    step = max(1, CHUNK // max(n, m))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        rows = _counts_drawn(rng, n, count) if "repeats" in over else np.ones((count, n))
        columns = _counts_drawn(rng, m, count) if "classes" in over else np.ones((count, m))
        columns = columns * weights
        sums = np.einsum("bj,bj->b", rows @ table, columns)
        means.append(sums / (rows.sum(1) * columns.sum(1)))
    low, high = np.quantile(np.concatenate(means), [0.5 - level / 2, 0.5 + level / 2])
    return Bootstrap(
        mean=float((table @ weights).mean() / weights.sum()),
        low=float(low),
        high=float(high),
        over=over,
        n_repeats=n,
        n_classes=m,
        resamples=resamples,
        level=level,
    )


def over_classes(
    scores: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    sizes: npt.ArrayLike,
    resamples: int = 10_000,
    level: float = 0.95,
) -> list[Bootstrap]:
    """`bootstrap` over classes for several scores of one model, all from the same draws of classes.

    scores [scores, classes], sizes [classes] as there. The draws are the costly part.
    """
    table, weights = np.asarray(scores, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    m = table.shape[1]
    means = []
    for start in range(0, resamples, step := max(1, CHUNK // m)):
        drawn = _counts_drawn(rng, m, min(step, resamples - start)) * weights
        means.append(drawn @ table.T / drawn.sum(1, keepdims=True))
    ends = np.quantile(np.concatenate(means), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return [
        Bootstrap(
            mean=mean,
            low=low,
            high=high,
            over="classes",
            n_repeats=1,
            n_classes=m,
            resamples=resamples,
            level=level,
        )
        for mean, low, high in zip(
            (table @ weights / weights.sum()).tolist(), *ends.tolist(), strict=True
        )
    ]


def _counts_drawn(rng: np.random.Generator, n: int, count: int) -> Floats:
    """How often each of n items is drawn by n draws with replacement, `count` times: [count, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64)


def sources_of_uncertainty(
    scores: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    sizes: npt.ArrayLike | None = None,
    resamples: int = 10_000,
) -> dict[Over, Bootstrap]:
    """The interval of one mean over repeats (training), over classes (test set) and over both."""
    sources: tuple[Over, ...] = ("repeats", "classes", "repeats and classes")
    return {
        over: bootstrap(scores, over=over, rng=rng, sizes=sizes, resamples=resamples)
        for over in sources
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

    a, b: per dataset, in the same order, the values of the repeats. The interval resamples repeats
    within each dataset (stratified) and is conditional on the datasets. Source: Agarwal et al.
    2021, section 4.3.
    """
    left = [np.asarray(values, dtype=np.float64) for values in a]
    right = [np.asarray(values, dtype=np.float64) for values in b]
    if len(left) != len(right) or not left or any(len(x) < 2 for x in left + right):
        raise ValueError(
            "a and b need the same datasets, at least one, each with 2 repeats or more"
        )
    # wins[d] [n, m]: whether a run of a beats a run of b on dataset d: 1, 1/2 (a tie) or 0
    wins = [(np.sign(x[:, None] - y[None, :]) + 1) / 2 for x, y in zip(left, right, strict=True)]
    means = np.zeros(resamples)
    for table in wins:
        n, m = table.shape
        rows, columns = _counts_drawn(rng, n, resamples) / n, _counts_drawn(rng, m, resamples) / m
        means += np.einsum("bi,ij,bj->b", rows, table, columns) / len(wins)
    means = means.clip(0, 1)  # rounding may leave the range of a probability
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Bootstrap(
        mean=float(np.mean([table.mean() for table in wins])),
        low=float(low),
        high=float(high),
        over="repeats",
        n_repeats=min(len(x) for x in left + right),
        n_classes=0,
        resamples=resamples,
        level=level,
    )
