"""Does a curve over a swept value rise, keep its level, fall? Tests over repeats, each with a rule.

All take scores [R, K]: R repeats, which share seeds across the K values of the sweep, in the order
of the sweep. A gain is a difference within repeats with its 95 % t interval. Where the place of the
peak is part of a gain, it is chosen on the other repeats (leave one out): a peak that is chosen and
measured on the same numbers would rise from noise alone. R >= 3 and K >= 3 are needed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure.intervals import t_interval

Floats = npt.NDArray[np.float64]
Verdict = Literal["agrees", "disagrees", "undecided"]
LEAST_LEVEL = 3  # neighbouring values that make a plateau
TOLERANCE = 0.25  # of the range of the means: what counts as the same level


class Part(NamedTuple):
    """One part of a shape: its name, the quantity with its interval, and what follows from it."""

    name: str
    estimate: float
    low: float
    high: float
    verdict: Verdict


def rise(scores: Floats) -> Part:
    """From the first value to the peak of the others, the score gains: agrees above 0."""
    return _gain("rise", _checked(scores), first=True)


def fall(scores: Floats) -> Part:
    """From the peak of the others to the last value, the score loses: agrees above 0."""
    return _gain("fall", _checked(scores), first=False)


def plateau_at_peak(scores: Floats) -> Part:
    """Around the peak, LEAST_LEVEL neighbouring values or more have about the same score.

    The quantity is how far the lowest of the best LEAST_LEVEL neighbours lies below the peak, in
    shares of the range of the means, minus TOLERANCE: agrees below 0, disagrees above.
    """
    rows = _checked(scores)
    means = rows.mean(0)
    windows = [means[i : i + LEAST_LEVEL].min() for i in range(len(means) - LEAST_LEVEL + 1)]
    first = int(np.argmax(windows))
    window = slice(first, first + LEAST_LEVEL)
    lowest = first + int(np.argmin(means[window]))
    below = rows[:, int(np.argmax(means))] - rows[:, lowest]
    return _within("plateau", below, means)


def plateau_at_end(scores: Floats) -> Part:
    """The last LEAST_LEVEL values have about the same score.

    The quantity is the distance of the highest of them from the lowest, in shares of the range of
    the means, minus TOLERANCE: agrees below 0, disagrees above.
    """
    rows = _checked(scores)
    tail = rows[:, -LEAST_LEVEL:]
    means = tail.mean(0)
    between = tail[:, int(np.argmax(means))] - tail[:, int(np.argmin(means))]
    return _within("plateau at the end", between, rows.mean(0))


def rise_to_level(scores: Floats) -> Part:
    """The last LEAST_LEVEL values together score more than the first value."""
    rows = _checked(scores)
    gains = rows[:, -LEAST_LEVEL:].mean(1) - rows[:, 0]
    return _part("rise from the first value", gains, above=True)


def joint(parts: tuple[Part, ...]) -> Verdict:
    """A shape has all its parts: it agrees if all do, and disagrees if one does."""
    verdicts = {part.verdict for part in parts}
    if "disagrees" in verdicts:
        return "disagrees"
    return "agrees" if verdicts == {"agrees"} else "undecided"


def rise_plateau_fall(scores: Floats) -> tuple[Part, ...]:
    """Up, level, down again: alpha in DeMoor and Prevost 2024, arXiv 2408.15656, Fig. 6."""
    return rise(scores), plateau_at_peak(scores), fall(scores)


def rise_then_plateau(scores: Floats) -> tuple[Part, ...]:
    """Up, then level: k1 and k2 away from 1, in the order of their distance from it (Fig. 7)."""
    return rise_to_level(scores), plateau_at_end(scores)


def rise_fall_plateau(scores: Floats) -> tuple[Part, ...]:
    """Up, down, then level: the multiplier of the margin (Fig. 8)."""
    return rise(scores), fall(scores), plateau_at_end(scores)


def _gain(name: str, rows: Floats, *, first: bool) -> Part:
    """Of each repeat: its score at the peak that the other repeats have, minus that at one end."""
    rest, end = (rows[:, 1:], rows[:, 0]) if first else (rows[:, :-1], rows[:, -1])
    others = (rest.sum(0) - rest) / (len(rest) - 1)
    at_peak = np.take_along_axis(rest, others.argmax(1)[:, None], axis=1)[:, 0]
    return _part(name, at_peak - end, above=True)


def _within(name: str, distances: Floats, means: Floats) -> Part:
    """Whether distances [R] stay within TOLERANCE of the range of the means; it is 0 for none."""
    spread = float(np.ptp(means))
    shares = distances / spread if spread else np.zeros_like(distances)
    return _part(name, shares - TOLERANCE, above=False)


def _part(name: str, values: Floats, *, above: bool) -> Part:
    interval = t_interval(values)
    low, high = interval.mean - interval.half_width, interval.mean + interval.half_width
    wanted, unwanted = (low > 0, high < 0) if above else (high < 0, low > 0)
    verdict: Verdict = "agrees" if wanted else "disagrees" if unwanted else "undecided"
    return Part(name, interval.mean, low, high, verdict)


def _checked(scores: Floats) -> Floats:
    rows = np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2 or min(rows.shape) < LEAST_LEVEL or not np.isfinite(rows).all():
        raise ValueError(
            f"scores of shape {rows.shape}: finite numbers of at least {LEAST_LEVEL} repeats at "
            f"{LEAST_LEVEL} values are needed"
        )
    return rows
