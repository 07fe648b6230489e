"""Corrections for many comparisons at once: Holm's p-values and groups that are not separable."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

LETTERS = string.ascii_lowercase + string.ascii_uppercase + "αβγδεζηθικλμνξπρστυφχψω"


def holm(p_values: Sequence[float] | npt.NDArray[np.float64]) -> list[float]:
    """P-values adjusted for all of these comparisons, in the same order (Holm 1979).

    Reject where the adjusted value is at most alpha. The chance of any false rejection is then at
    most alpha, however the comparisons depend on each other.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values must be numbers between 0 and 1 in a row")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped) if len(p) else stepped
    return [float(value) for value in adjusted]


def tie_groups(
    means: Mapping[str, float], p_values: Mapping[tuple[str, str], float], alpha: float = 0.05
) -> dict[str, str]:
    """Letters per name, highest mean first: two names share one exactly if they do not differ.

    `p_values` holds one adjusted p-value per pair of names, in either order. A pair differs if its
    p is at most alpha. "a" is the group of the highest mean. Every letter is a largest possible
    group. Source: Piepho 2004, the compact letter display by insert and absorb.
    """
    names = sorted(means, key=lambda name: -means[name])
    place = {name: i for i, name in enumerate(names)}
    groups = [frozenset(names)] if names else []
    for a, b in combinations(names, 2):
        p = p_values.get((a, b))
        if p is None:
            p = p_values.get((b, a))
        if p is None:
            raise ValueError(f"no p-value for the pair {a}, {b}: every pair is needed")
        if p <= alpha:
            groups = _split(groups, a, b)
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    if len(groups) > len(LETTERS):
        raise ValueError(f"{len(groups)} tie groups: there are letters for {len(LETTERS)}")
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
