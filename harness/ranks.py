"""Average ranks of losses over datasets, and the critical-difference diagram as SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """Average ranks over datasets (1 is best) and how far apart they must lie to differ.

    `critical_difference` is Nemenyi's at `alpha`; `p_value` Friedman's of no difference at all;
    `groups` the largest sets of names, in the order of their ranks, that it does not tell apart.
    """

    ranks: Mapping[str, float]
    n_datasets: int
    critical_difference: float
    p_value: float
    groups: tuple[tuple[str, ...], ...]
    alpha: float = 0.05


def average_ranks(
    scores: Mapping[str, Sequence[float]], alpha: float = 0.05, higher_is_better: bool = True
) -> Ranks:
    """Ranks of losses by their scores (one per dataset, the same order for all), ties averaged.

    At least 2 losses and 2 datasets. Source: Demsar 2006, section 3.2.2 (Friedman, Nemenyi).
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata, studentized_range

    table = np.array(list(scores.values()), dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            "at least 2 losses, each with a finite score on the same 2 or more datasets"
        )
    k, n = table.shape
    placed = rankdata(-table if higher_is_better else table, axis=0)
    mean = placed.mean(axis=1)
    # Friedman's statistic from the ranks' own variance, which corrects it for ties
    spread = float(((placed - (k + 1) / 2) ** 2).sum())
    statistic = (
        n * n * (k - 1) * float(((mean - (k + 1) / 2) ** 2).sum()) / spread if spread else 0.0
    )
    p_value = float(chdtrc(k - 1, statistic))
    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    apart = q * math.sqrt(k * (k + 1) / (6 * n))
    ordered = dict(sorted(zip(scores, map(float, mean), strict=True), key=lambda pair: pair[1]))
    return Ranks(ordered, n, apart, p_value, _runs_within(ordered, apart), alpha)


def _runs_within(ordered: Mapping[str, float], apart: float) -> tuple[tuple[str, ...], ...]:
    names, end, groups = list(ordered), 0, []
    for start, name in enumerate(names):
        close = [other for other in names[start:] if ordered[other] - ordered[name] < apart]
        if start + len(close) > end:
            groups.append(tuple(close))
            end = start + len(close)
    return tuple(groups)


def diagram(ranks: Ranks, width: int = 640) -> str:
    """The critical-difference diagram as SVG: an axis of ranks, names, a bar over each tie group.

    Names in a group under one bar are not told apart. Source of the layout: Demsar 2006, Figure 1.
    """
    names = list(ranks.ranks)
    k = len(names)
    left, right, top, row = 150.0, width - 150.0, 62.0, 17.0
    half = (k + 1) // 2
    bars = 12.0 * len(ranks.groups)

    def x(rank: float) -> float:
        return left + (right - left) * (rank - 1) / (k - 1)

    def line(x1: float, y1: float, x2: float, y2: float, thick: float = 1) -> str:
        points = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        return f'<line {points} stroke="black" stroke-width="{thick:g}"/>'

    def text(at: float, y: float, anchor: str, words: str) -> str:
        return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

    drawn = [line(left, top, right, top)]
    for rank in range(1, k + 1):
        drawn += [line(x(rank), top - 5, x(rank), top), text(x(rank), top - 9, "middle", str(rank))]
    wide = ranks.critical_difference * (right - left) / (k - 1)
    said = f"critical difference {ranks.critical_difference:.2f} ({ranks.n_datasets} datasets)"
    drawn += [line(left, 24, left + wide, 24, 2), text(left, 16, "start", said)]
    for i, group in enumerate(ranks.groups):
        y = top + 9 + 12 * i
        ends = [ranks.ranks[group[0]], ranks.ranks[group[-1]]]
        if len(group) > 1:
            drawn.append(line(x(ends[0]) - 3, y, x(ends[1]) + 3, y, 4))
    for i, name in enumerate(names):
        best = i < half
        y = top + bars + 20 + row * (i if best else k - 1 - i)
        side, anchor = (left - 8, "end") if best else (right + 8, "start")
        at = x(ranks.ranks[name])
        drawn += [line(at, top, at, y - 4), line(at, y - 4, side + (4 if best else -4), y - 4)]
        drawn.append(text(side, y, anchor, f"{name} {ranks.ranks[name]:.2f}"))
    height = top + bars + 30 + row * half
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}"'
    return f'{head} font-family="sans-serif" font-size="12">' + "".join(drawn) + "</svg>"
