"""Marks, letters and ranks of one family of tests: never at odds, and wrong in 5 % at most."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.measure.multiple_comparisons import tie_groups
from harness.measure.separation import Separation, separation

# (losses, repeats) of the simulation
SIZES = list(itertools.product([3, 7, 11, 43], [3, 10]))


def equal_losses(
    rng: np.random.Generator, losses: int, repeats: int
) -> dict[str, dict[int, float]]:
    """Runs of losses with one mean; a seed shifts all losses alike, as shared seeds do."""
    values = rng.normal(0.3, 0.01, (losses, repeats)) + rng.normal(0, 0.02, repeats)
    return {f"l{i:02}": dict(enumerate(row.tolist())) for i, row in enumerate(values)}


def assert_nothing_disagrees(tests: Separation) -> None:
    """The mark, the letters and the ranks say the same of every loss."""
    names = list(tests.ranks)
    best = tests.best
    assert tests.ranks[best][0] == 1
    for place, name in enumerate(names, start=1):
        first, last = tests.ranks[name]
        assert 1 <= first <= place <= last <= len(names)
    for a, b in itertools.combinations(names, 2):
        p = tests.p_value(a, b)
        apart = p is not None and p <= tests.alpha
        if tests.letters:
            assert apart != bool(set(tests.letters[a]) & set(tests.letters[b]))
        if a == best:
            assert (b in tests.tied_with_best) != apart
            if apart:
                assert tests.ranks[b][0] > 1


def errors(losses: int, repeats: int, draws: int) -> int:
    """In how many draws of equal losses some loss counts as worse than the best."""
    rng = np.random.default_rng([losses, repeats])
    wrong = 0
    for _ in range(draws):
        tests = separation(equal_losses(rng, losses, repeats))
        assert_nothing_disagrees(tests)
        wrong += len(tests.tied_with_best) < losses - 1
    return wrong


@pytest.mark.parametrize(("losses", "repeats"), [size for size in SIZES if size[0] < 43])
def test_of_equal_losses_one_counts_as_worse_than_the_best_in_at_most_5_percent(losses, repeats):
    draws = 400
    allowed = scipy_stats.binom.ppf(0.9999, draws, 0.05)
    assert errors(losses, repeats, draws) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "repeats"), SIZES)
def test_the_error_is_at_most_5_percent_up_to_the_error_of_a_long_simulation(losses, repeats):
    draws = 4_000 if losses < 43 else 800
    wrong = errors(losses, repeats, draws)
    print(f"{losses} losses, {repeats} repeats: {100 * wrong / draws:.2f} % of {draws} draws")
    assert wrong <= scipy_stats.binom.ppf(0.999, draws, 0.05)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 6), st.floats(0, 0.1))
def test_marks_letters_and_ranks_never_disagree_whatever_the_scores(seed, losses, repeats, apart):
    """Losses of unequal means and spreads, with repeats that are missing and values on a grid."""
    rng = np.random.default_rng(seed)
    runs = {}
    for i in range(losses):
        sd = 10 ** rng.uniform(-4, -1)
        values = np.round(rng.normal(0.3 + apart * i, sd, repeats), rng.integers(2, 6))
        kept = [r for r in range(repeats) if r == 0 or rng.random() < 0.8]
        runs[f"l{i}"] = {r: float(values[r]) for r in kept}
    assert_nothing_disagrees(separation(runs))


def test_the_tests_are_scipys_with_holm_over_all_pairs():
    rng = np.random.default_rng(1)
    runs = {name: dict(enumerate(rng.normal(i, 0.8, 5).tolist())) for i, name in enumerate("abcd")}
    tests = separation(runs)
    pairs = list(itertools.combinations("abcd", 2))
    raw = [
        scipy_stats.ttest_rel(list(runs[a].values()), list(runs[b].values())).pvalue
        for a, b in pairs
    ]
    order = np.argsort(raw)
    stepped = np.maximum.accumulate(np.sort(raw) * [6, 5, 4, 3, 2, 1]).clip(max=1)
    for place, i in enumerate(order):
        assert tests.p_value(*pairs[i]) == pytest.approx(stepped[place])
        assert tests.p_value(*reversed(pairs[i])) == tests.p_value(*pairs[i])


def test_far_losses_are_told_apart_and_ranked_each_alone():
    rng = np.random.default_rng(2)
    runs = {f"l{i}": dict(enumerate((i + rng.normal(0, 0.01, 5)).tolist())) for i in range(5)}
    tests = separation(runs)
    assert list(tests.ranks) == ["l4", "l3", "l2", "l1", "l0"]
    assert list(tests.ranks.values()) == [(place, place) for place in range(1, 6)]
    assert list(tests.letters.values()) == list("abcde")
    assert not tests.tied_with_best


def test_two_repeats_with_equal_differences_tell_no_losses_apart():
    runs = {"a": {0: 0.50, 1: 0.60}, "b": {0: 0.10, 1: 0.20}, "c": {0: 0.30, 1: 0.42}}
    tests = separation(runs)
    assert tests.untested == (("a", "b"),)
    assert tests.untested_with_best == {"b"}
    assert "b" in tests.tied_with_best


def test_a_comparison_without_a_test_still_counts_in_the_correction():
    """Otherwise a loss with one repeat would make the other tests easier to pass."""
    rng = np.random.default_rng(3)
    runs = {name: dict(enumerate(rng.normal(i, 0.5, 4).tolist())) for i, name in enumerate("ab")}
    alone = separation(runs).p_value("a", "b")
    assert separation(runs | {"c": {0: 0.0}}).p_value("a", "b") == pytest.approx(min(1, 3 * alone))


def test_more_groups_than_letters_leave_the_ranks_and_no_letters():
    """Rivals in pairs, each told apart from its own partner alone: 2^k largest groups."""
    names = [f"l{i}" for i in range(20)]
    p = dict.fromkeys(itertools.combinations(names, 2), 1.0)
    p |= {(names[i], names[i + 1]): 0.0 for i in range(0, 20, 2)}
    with pytest.raises(ValueError, match="tie groups"):
        tie_groups({name: -i for i, name in enumerate(names)}, p)


def test_no_losses_and_one_loss_need_no_test():
    assert separation({}).best is None
    assert separation({}).tied_with_best == frozenset()
    alone = separation({"a": {0: 1.0, 1: 2.0}})
    assert (alone.best, alone.ranks) == ("a", {"a": (1, 1)})
