"""Corrections for many comparisons at once: Holm's p-values and groups that are not separable."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

ALPHA = 0.05
LETTERS = string.ascii_lowercase + string.ascii_uppercase + "αβγδεζηθικλμνξπρστυφχψω"
MOST_GROUPS = 200  # on the way to the groups there may be more than in the end


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for all of these comparisons, in the same order (Holm 1979).

    Reject where the adjusted value is at most alpha. The chance of any false rejection is then at
    most alpha, however the comparisons depend on each other. None is a comparison without a test:
    it stays None, and counts as one of the comparisons.
    """
    p = np.array([1.0 if value is None else value for value in p_values], dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values must be numbers between 0 and 1 (or None) in a row")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped) if len(p) else stepped
    return [
        None if value is None else result
        for value, result in zip(p_values, adjusted.tolist(), strict=True)
    ]


def differs(p_value: float | None, alpha: float = ALPHA) -> bool:
    """Whether an adjusted p-value tells two losses apart; without a test (None) nothing does."""
    return p_value is not None and p_value <= alpha


def tie_groups(
    means: Mapping[str, float],
    p_values: Mapping[tuple[str, str], float | None],
    alpha: float = ALPHA,
) -> dict[str, str]:
    """Letters per name, highest mean first: two names share one exactly if they do not differ.

    `p_values` holds one adjusted p-value per pair of names, in either order. A pair differs if its
    p is at most alpha. "a" is the group of the highest mean. Every letter is a largest possible
    group. ValueError for more groups than letters. Source: Piepho 2004, the compact letter display
    by insert and absorb.
    """
    names = sorted(means, key=lambda name: -means[name])
    place = {name: i for i, name in enumerate(names)}
    groups = [frozenset(names)] if names else []
    for a, b in combinations(names, 2):
        pair = (a, b) if (a, b) in p_values else (b, a)
        if pair not in p_values:
            raise ValueError(f"no p-value for the pair {a}, {b}: every pair is needed")
        if differs(p_values[pair], alpha):
            groups = _split(groups, a, b)
        if len(groups) > MOST_GROUPS:
            break
    if len(groups) > len(LETTERS):
        raise ValueError(f"{len(groups)} tie groups: there are letters for {len(LETTERS)}")
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {
        name: "".join(
            letter for letter, group in zip(LETTERS, groups, strict=False) if name in group
        )
        for name in names
    }


def _split(groups: list[frozenset[str]], a: str, b: str) -> list[frozenset[str]]:
    """Insert the difference of a and b: no group holds both, and no group lies within another."""
    joint = [group for group in groups if a in group and b in group]
    split = {group for group in groups if group not in joint}
    for group in joint:
        split |= {group - {a}, group - {b}}
    return [group for group in split if not any(group < larger for larger in split)]
