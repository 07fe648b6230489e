"""Holm's correction against a slow loop and a textbook, tie letters against all groups."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure.multiple_comparisons import holm, tie_groups

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def slow_holm(p):
    """The largest step-down product up to each p-value, for ties in any order."""
    m, adjusted = len(p), []
    for i in range(m):
        order = sorted(range(m), key=lambda j: (p[j], j))
        products = [(m - step) * p[j] for step, j in enumerate(order)]
        adjusted.append(min(1.0, max(products[: order.index(i) + 1])))
    return adjusted


@settings(deadline=None)
@given(PROBABILITIES)
def test_holm_equals_the_slow_twin_and_lies_between_raw_and_bonferroni(p):
    adjusted = holm(p)
    assert adjusted == pytest.approx(slow_holm(p))
    assert all(a <= b <= min(1, len(p) * a) + 1e-12 for a, b in zip(p, adjusted, strict=True))


def test_holm_gives_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_tie_letters_are_exactly_the_largest_groups_without_a_difference(k, data):
    names = [f"loss_{i}" for i in range(k)]
    means = {name: data.draw(st.floats(0, 100)) for name in names}
    p = {pair: data.draw(st.sampled_from([0.01, 0.5])) for pair in combinations(names, 2)}
    letters = tie_groups(means, p)
    differs = {frozenset(pair) for pair, value in p.items() if value <= 0.05}
    cliques = [
        set(group)
        for size in range(1, k + 1)
        for group in combinations(names, size)
        if not any(frozenset(pair) in differs for pair in combinations(group, 2))
    ]
    largest = {frozenset(c) for c in cliques if not any(c < larger for larger in cliques)}
    used = set("".join(letters.values()))
    groups = {frozenset(n for n in names if letter in letters[n]) for letter in used}
    assert groups == largest
    assert len(used) == len(largest)
    best = max(names, key=means.__getitem__)
    assert letters[next(iter(letters))][0] == "a"
    assert means[next(iter(letters))] == means[best]


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: holm([0.1, 1.2]), "between 0 and 1"),
        (lambda: holm([math.nan]), "between 0 and 1"),
        (lambda: tie_groups({"a": 1, "b": 2}, {}), "no p-value"),
    ],
)
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()
