"""Scores, or printed summaries of them, to t intervals and to tests of differences.

Everything is Student's t over independent runs: repeats of one training procedure. It describes the
training noise, conditional on the params and the test set. The bootstrap over test classes is in
harness/measure/bootstrap.py. Bad input is a ValueError.

A difference without any spread has no test: t would divide by zero, and two repeats that happen to
be equally far apart would look certain. Its interval and p-value are None.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Design = Literal["paired", "welch"]
ROUNDING = 1e-12  # standard errors up to this share of the values are floating-point noise


@dataclass(frozen=True)
class Interval:
    """Mean and half-width of a t interval at `level` over `n` values, in the values' unit.

    `half_width` is infinite for n = 1: one value says nothing about its spread.
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

    def describe(self) -> str:
        """What the +- is and of how many repeats, in words."""
        if self.n == 1:
            return "one of repeats, no interval"
        return f"± {self.level * 100:g} % t interval of the mean of {self.n} repeats"


@dataclass(frozen=True)
class Difference:
    """Mean of a minus b, its t interval's half-width, and the two-sided p-value of no difference.

    `n` is the number of pairs (design "paired") or of a's runs (design "welch", where `n_b` is the
    number of b's). `p_value` is uncorrected: see `multiple_comparisons.holm`. Without any spread
    `half_width` and `p_value` are None: nothing can be tested.
    """

    mean: float
    half_width: float | None
    p_value: float | None
    n: int
    df: float
    level: float = 0.95
    design: Design = "paired"
    n_b: int | None = None

    def describe(self) -> str:
        """What the +- and the p-value are and of how many runs, in words."""
        runs = f"{self.n} pairs" if self.design == "paired" else f"{self.n} and {self.n_b} runs"
        if self.half_width is None:
            return f"no interval of the difference of means ({runs} without any spread)"
        test = "paired t" if self.design == "paired" else "Welch's t, unpaired"
        return f"± {self.level * 100:g} % interval of the difference of means ({test}, {runs})"


@functools.lru_cache(maxsize=1024)
def t_quantile(level: float, df: float) -> float:
    """The factor of the standard error in the half-width of a two-sided interval at `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2))


def _two_sided(t: float, df: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(t)))


def without_spread(error: float, scale: float) -> bool:
    """Whether a standard error is nothing but the rounding of values as large as `scale`."""
    return error <= ROUNDING * scale


def _checked(values: Sequence[float] | Floats, least: int, name: str = "values") -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{name} of shape {array.shape}: at least {least} numbers in a row needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinite numbers: leave failed runs out, and say so")
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
    differences = left - right
    n = len(differences)
    return _difference(
        float(differences.mean()),
        float(differences.std(ddof=1)) / math.sqrt(n),
        scale=float(np.abs([left, right]).max()),
        df=n - 1,
        level=level,
        design="paired",
        n=n,
    )


def paired_repeats(
    a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95
) -> Difference | None:
    """`paired_difference` of a - b over the repeats that both have; None with fewer than 2."""
    shared = sorted(set(a) & set(b))
    if len(shared) < 2:
        return None
    return paired_difference([a[r] for r in shared], [b[r] for r in shared], level)


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
        # Shares first: squares of tiny variances would underflow.
        df = 1 / ((va / total) ** 2 / (left.n - 1) + (vb / total) ** 2 / (right.n - 1))
    return _difference(
        left.mean - right.mean,
        math.sqrt(total),
        scale=max(abs(left.mean), abs(right.mean)),
        df=df,
        level=level,
        design="welch",
        n=left.n,
        n_b=right.n,
    )


def prediction_p_value(value: float, interval: Interval) -> float | None:
    """Two-sided p-value of one more run, `value`, beside the n >= 2 runs of an interval.

    A number of unknown spread is taken for one run of the same spread. None without any spread.
    """
    error = interval.std * math.sqrt(1 + 1 / interval.n)
    if without_spread(error, max(abs(value), abs(interval.mean))):
        return None
    return _two_sided((value - interval.mean) / error, interval.n - 1)


def _difference(
    mean: float,
    error: float,
    *,
    scale: float,
    df: float,
    level: float,
    design: Design,
    n: int,
    n_b: int | None = None,
) -> Difference:
    """The difference of a mean with its standard error `error`, of values as large as `scale`."""
    half_width, p_value = None, None
    if not without_spread(error, scale):
        half_width, p_value = t_quantile(level, df) * error, _two_sided(mean / error, df)
    return Difference(
        mean=mean,
        half_width=half_width,
        p_value=p_value,
        n=n,
        df=df,
        level=level,
        design=design,
        n_b=n_b,
    )
