"""Statistics against scipy.stats, scikit-learn, published tables and slow loops."""

from __future__ import annotations

import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from harness.measure import bootstrap, intervals, ranks

values = st.lists(st.floats(-100, 100, allow_nan=False), min_size=3, max_size=12).filter(
    lambda v: np.std(v) > 1e-3
)
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(deadline=None)
@given(values, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_equals_scipy(v, level):
    found = intervals.t_interval(v, level)
    low, high = scipy.stats.t.interval(level, len(v) - 1, np.mean(v), scipy.stats.sem(v))
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-9, abs=1e-9)
    assert found.std == pytest.approx(np.std(v, ddof=1), rel=1e-9)
    assert found.n == len(v)


def test_the_interval_of_ten_repeats_uses_t_of_nine_degrees():
    v = np.arange(10.0)
    by_hand = 2.2621571628 * v.std(ddof=1) / math.sqrt(10)
    assert intervals.t_interval(v).half_width == pytest.approx(by_hand, rel=1e-9)


def test_one_value_has_an_infinite_interval_and_says_so():
    found = intervals.t_interval([3.0])
    assert (found.mean, found.half_width, found.n) == (3.0, math.inf, 1)
    assert found.describe() == "one of repeats, no interval"


def test_an_interval_says_what_it_is_of_how_many_and_given_what():
    said = intervals.t_interval(range(10)).describe("repeats", "the params the search chose")
    assert said == (
        "± 95 % t interval of the mean of 10 repeats, given the params the search chose"
    )


@settings(deadline=None)
@given(values, st.data())
def test_paired_difference_equals_scipy(a, data):
    b = data.draw(st.lists(st.floats(-100, 100), min_size=len(a), max_size=len(a)))
    if np.std(np.subtract(a, b)) < 1e-3:
        return
    found = intervals.paired_difference(a, b)
    theirs = scipy.stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-7)
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-7, abs=1e-7)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-7, abs=1e-7)


@settings(deadline=None)
@given(values, values)
def test_welch_equals_scipy_from_values_and_from_printed_summaries(a, b):
    theirs = scipy.stats.ttest_ind(a, b, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    summaries = [
        intervals.summary(float(np.mean(v)), float(np.std(v, ddof=1)), len(v)) for v in (a, b)
    ]
    for found in (intervals.welch(a, b), intervals.welch(*summaries)):
        assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
        assert found.df == pytest.approx(theirs.df, rel=1e-6)
        assert found.mean - found.half_width == pytest.approx(low, rel=1e-6, abs=1e-6)
        assert found.mean + found.half_width == pytest.approx(high, rel=1e-6, abs=1e-6)
        assert (found.n, found.n_b) == (len(a), len(b))


def test_welch_from_intervals_of_unequal_level_agrees_with_scipy_from_stats():
    one, other = (
        intervals.Interval(28.47, 0.29, 10),
        intervals.Interval(26.82, 0.30, 10, level=0.99),
    )
    t95, t99 = scipy.stats.t.ppf([0.975, 0.995], 9)
    theirs = scipy.stats.ttest_ind_from_stats(
        28.47, 0.29 * 10**0.5 / t95, 10, 26.82, 0.30 * 10**0.5 / t99, 10, equal_var=False
    )
    assert intervals.welch(one, other).p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_differences_without_any_spread_are_certain_or_nil():
    assert intervals.paired_difference([2, 3, 4], [1, 2, 3]).p_value == 0
    assert intervals.paired_difference([1, 2, 3], [1, 2, 3]).p_value == 1
    assert intervals.welch([1, 1], [2, 2]).p_value == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: intervals.t_interval([]), "at least 1"),
        (lambda: intervals.t_interval([1.0, math.nan]), "NaN"),
        (lambda: intervals.paired_difference([1, 2], [1, 2, 3]), "pairs needed"),
        (lambda: intervals.welch([1.0], [1.0, 2.0]), "at least 2"),
        (
            lambda: intervals.welch(intervals.Interval(1, math.inf, 1), [1.0, 2.0]),
            "at least 2 runs",
        ),
        (lambda: intervals.holm([0.1, 1.2]), "between 0 and 1"),
        (lambda: intervals.holm([math.nan]), "between 0 and 1"),
        (lambda: intervals.Interval(1.0, -0.1, 5), "half_width >= 0"),
        (lambda: intervals.summary(1.0, 0.1, 1), "n >= 2"),
        (lambda: intervals.tie_groups({"a": 1, "b": 2}, {}), "no p-value"),
        (lambda: bootstrap.repeats_needed(0, 1), "other than 0"),
        (lambda: bootstrap.bootstrap([1.0], over="repeats", rng=rng()), "at least 2"),
        (lambda: bootstrap.bootstrap([[1.0], [2.0]], over="classes", rng=rng()), "at least 2"),
        (lambda: ranks.average_ranks({"a": [1, 2]}), "at least 2 losses"),
    ],
)
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def slow_holm(p):
    """Largest of the step-down products met on the way to each p-value, ties at any order."""
    m, out = len(p), []
    for i in range(m):
        order = sorted(range(m), key=lambda j: (p[j], j))
        products = [(m - step) * p[j] for step, j in enumerate(order)]
        out.append(min(1.0, max(products[: order.index(i) + 1])))
    return out


@settings(deadline=None)
@given(probabilities)
def test_holm_equals_the_slow_twin_and_lies_between_raw_and_bonferroni(p):
    adjusted = intervals.holm(p)
    assert adjusted == pytest.approx(slow_holm(p))
    assert all(a <= b <= min(1, len(p) * a) + 1e-12 for a, b in zip(p, adjusted, strict=True))


def test_holm_gives_the_textbook_example():
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert intervals.holm([]) == []


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_tie_letters_are_exactly_the_largest_groups_without_a_difference(k, data):
    names = [f"loss_{i}" for i in range(k)]
    means = {name: data.draw(st.floats(0, 100)) for name in names}
    p = {pair: data.draw(st.sampled_from([0.01, 0.5])) for pair in combinations(names, 2)}
    letters = intervals.tie_groups(means, p)
    differs = {frozenset(pair) for pair, value in p.items() if value <= 0.05}
    cliques = [
        set(group)
        for size in range(1, k + 1)
        for group in combinations(names, size)
        if not any(frozenset(pair) in differs for pair in combinations(group, 2))
    ]
    largest = {frozenset(c) for c in cliques if not any(c < other for other in cliques)}
    used = set("".join(letters.values()))
    found = {frozenset(n for n in names if letter in letters[n]) for letter in used}
    assert found == largest
    assert len(used) == len(largest)
    best = max(names, key=means.__getitem__)
    assert letters[next(iter(letters))][0] == "a"
    assert means[next(iter(letters))] == means[best]


def test_pairwise_corrects_over_all_pairs():
    groups = {"a": [1.0, 2.0, 3.0], "b": [1.5, 2.2, 3.9], "c": [5.0, 6.5, 7.0]}
    found, adjusted = intervals.pairwise(groups)
    raw = [scipy.stats.ttest_rel(groups[x], groups[y]).pvalue for x, y in combinations("abc", 2)]
    assert list(adjusted.values()) == pytest.approx(slow_holm(raw))
    assert found["a", "b"].mean == pytest.approx(np.mean(groups["a"]) - np.mean(groups["b"]))


def rng():
    return np.random.default_rng(7)


def test_bootstrap_over_repeats_equals_scipys_percentile_bootstrap():
    v = np.random.default_rng(1).normal(30, 2, 12)
    found = bootstrap.bootstrap(v, over="repeats", rng=rng(), resamples=40_000)
    theirs = scipy.stats.bootstrap(
        (v,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.04)
    assert found.mean == pytest.approx(v.mean())


def test_bootstrap_over_classes_equals_a_loop_that_draws_classes_with_their_queries():
    source = np.random.default_rng(2)
    queries = [source.random((4, size)) for size in (3, 9, 5, 14, 2, 7)]  # [repeats, queries]
    scores = np.stack([q.mean(1) for q in queries], axis=1)
    sizes = [q.shape[1] for q in queries]
    found = bootstrap.bootstrap(
        scores, over="repeats and classes", rng=rng(), sizes=sizes, resamples=20_000
    )
    means = []
    for _ in range(4_000):
        rows = source.integers(0, 4, 4)
        drawn = [queries[c][rows] for c in source.integers(0, 6, 6)]
        means.append(np.concatenate(drawn, axis=1).mean())
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.012
    )
    assert found.mean == pytest.approx(np.concatenate(queries, axis=1).mean())


def test_the_same_generator_state_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch):
    scores = np.random.default_rng(0).random((5, 40))
    one = bootstrap.bootstrap(scores, over="repeats", rng=rng(), resamples=500)
    monkeypatch.setattr(bootstrap, "CHUNK", 4_000)
    assert bootstrap.bootstrap(scores, over="repeats", rng=rng(), resamples=500) == one


def test_sources_of_uncertainty_tell_training_from_test_classes():
    source = np.random.default_rng(5)
    scores = source.normal(0, 1, (1, 60)) + source.normal(0, 0.05, (10, 1))
    found = bootstrap.sources_of_uncertainty(scores, rng=rng(), resamples=2_000)
    width = {over: b.high - b.low for over, b in found.items()}
    assert width["repeats"] < 0.2 * width["classes"] <= 0.21 * width["repeats and classes"]
    expected = 2 * 1.96 * scores.mean(0).std() / math.sqrt(60)
    assert width["classes"] == pytest.approx(expected, rel=0.06)
    assert found["repeats"].describe("the params the search chose") == (
        "95 % percentile bootstrap interval, 10 repeats drawn anew, "
        "given these test classes and the params the search chose"
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=3))
def test_probability_of_improvement_is_the_mean_of_mann_whitney_and_roc_auc(tasks):
    a, b = [t[0] for t in tasks], [t[1] for t in tasks]
    found = bootstrap.probability_of_improvement(a, b, rng=rng(), resamples=50)
    auc = [roc_auc_score([1] * len(x) + [0] * len(y), [*x, *y]) for x, y in zip(a, b, strict=True)]
    u = [
        scipy.stats.mannwhitneyu(x, y).statistic / len(x) / len(y)
        for x, y in zip(a, b, strict=True)
    ]
    assert found.mean == pytest.approx(np.mean(auc))
    assert found.mean == pytest.approx(np.mean(u))


def test_probability_of_improvement_draws_repeats_within_datasets():
    a, b = [1.0, 2.0, 3.0, 4.0], [0.5, 2.5, 2.0, 1.5]
    found = bootstrap.probability_of_improvement([a], [b], rng=rng(), resamples=20_000)
    source, means = np.random.default_rng(9), []
    for _ in range(6_000):
        x, y = source.choice(a, 4), source.choice(b, 4)
        means.append(np.mean([(i > j) + (i == j) / 2 for i in x for j in y]))
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.03
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 6), st.integers(2, 8), st.randoms(use_true_random=False))
def test_ranks_and_friedman_equal_scipy_with_ties(k, n, random):
    table = [[random.randrange(5) for _ in range(n)] for _ in range(k)]
    found = ranks.average_ranks({f"l{i}": row for i, row in enumerate(table)})
    placed = scipy.stats.rankdata(-np.array(table), axis=0).mean(1)
    assert found.ranks == pytest.approx({f"l{i}": r for i, r in enumerate(placed)})
    if all(len({row[j] for row in table}) == 1 for j in range(n)):
        assert found.p_value == 1
    else:
        theirs = scipy.stats.friedmanchisquare(*table).pvalue
        assert found.p_value == pytest.approx(theirs, rel=1e-9)
    assert list(found.ranks.values()) == sorted(found.ranks.values())


@pytest.mark.parametrize(
    ("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)]
)
def test_the_critical_difference_uses_demsars_printed_q(k, q):
    scores = {f"l{i}": [i, i + 0.5, i] for i in range(k)}
    expected = q * math.sqrt(k * (k + 1) / (6 * 3))
    assert ranks.average_ranks(scores).critical_difference == pytest.approx(expected, abs=2e-3)


def test_demsars_example_of_four_classifiers_on_fourteen_datasets_gives_a_cd_of_1_25():
    scores = {name: list(np.random.default_rng(i).random(14)) for i, name in enumerate("abcd")}
    assert ranks.average_ranks(scores, alpha=0.05).critical_difference == pytest.approx(
        1.25, abs=0.005
    )


def test_rank_groups_hold_exactly_the_pairs_within_the_critical_difference():
    source = np.random.default_rng(4)
    scores = {f"l{i}": list(source.normal(i, 1.5, 9)) for i in range(7)}
    found = ranks.average_ranks(scores)
    together = {frozenset(p) for g in found.groups for p in combinations(g, 2)}
    close = {
        frozenset((a, b))
        for a, b in combinations(scores, 2)
        if abs(found.ranks[a] - found.ranks[b]) < found.critical_difference
    }
    assert together == close
    assert len(found.groups) > 1


def test_the_diagram_is_well_formed_names_every_loss_and_bars_every_group_of_two_or_more():
    source = np.random.default_rng(4)
    scores = {f"l{i}<&": list(source.normal(i, 1.5, 9)) for i in range(5)}
    found = ranks.average_ranks(scores)
    root = ET.fromstring(ranks.diagram(found))
    texts = [e.text or "" for e in root if e.tag.endswith("text")]
    for name, rank in found.ranks.items():
        assert f"{name} {rank:.2f}" in texts
    bars = [e for e in root if e.tag.endswith("line") and e.get("stroke-width") == "4"]
    assert len(bars) == sum(len(g) > 1 for g in found.groups)


@pytest.mark.parametrize(
    ("d", "design", "n"),
    [(0.5, "paired", 34), (0.5, "welch", 64), (0.8, "welch", 26), (0.2, "welch", 394)],
)
def test_repeats_needed_gives_cohens_tables(d, design, n):
    assert bootstrap.repeats_needed(d, 1.0, design=design) == n


def test_power_equals_the_share_of_simulated_studies_that_find_the_difference():
    source = np.random.default_rng(11)
    a, b = source.normal(0.9, 1, (20_000, 10)), source.normal(0, 1, (20_000, 10))
    paired = np.mean(scipy.stats.ttest_1samp(a, 0, axis=1).pvalue < 0.05)
    unpaired = np.mean(scipy.stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert bootstrap.power_of(0.9, 1, 10) == pytest.approx(paired, abs=0.012)
    assert bootstrap.power_of(0.9, 1, 10, design="welch") == pytest.approx(unpaired, abs=0.012)


@pytest.mark.parametrize("n", [2, 3, 10, 200])
@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0, 6.0])
def test_power_equals_scipys_noncentral_t(n, shift):
    critical = scipy.stats.t.ppf(0.975, n - 1)
    theirs = scipy.stats.nct(n - 1, shift)
    expected = theirs.sf(critical) + theirs.cdf(-critical)
    assert bootstrap.power_of(shift / math.sqrt(n), 1, n) == pytest.approx(expected, abs=2e-4)


def test_power_of_a_huge_difference_of_two_repeats_equals_simulation():
    d = 45 / math.sqrt(2)
    simulated = np.random.default_rng(0).normal(d, 1, (200_000, 2))
    share = np.mean(scipy.stats.ttest_1samp(simulated, 0, axis=1).pvalue < 0.05)
    assert bootstrap.power_of(d, 1, 2) == pytest.approx(share, abs=0.002)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.05, 4), st.floats(0.1, 3))
def test_one_repeat_fewer_than_needed_has_too_little_power(d, std):
    n = bootstrap.repeats_needed(d, std)
    assert bootstrap.power_of(d, std, n) >= 0.8
    assert n == 2 or bootstrap.power_of(d, std, n - 1) < 0.8


def test_importing_the_statistics_pulls_in_neither_torch_nor_scipy_stats():
    code = (
        "import sys, harness.stats, harness.comparisons, harness.ranks;"
        "print([m for m in ('torch', 'scipy.stats', 'pandas') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 7))
def test_p_values_of_all_pairs_are_scipys_over_the_repeats_that_both_have(seed, names, repeats):
    rng = np.random.default_rng(seed)
    runs = {
        str(name): {r: float(rng.normal(name / 3)) for r in range(repeats) if rng.random() < 0.8}
        for name in range(names)
    }
    found = intervals.paired_p_values(runs)
    assert list(found) == list(combinations(runs, 2))
    for (one, other), p in found.items():
        shared = sorted(set(runs[one]) & set(runs[other]))
        if len(shared) < 2:
            assert p == 1.0
        else:
            left, right = ([runs[name][r] for r in shared] for name in (one, other))
            assert p == pytest.approx(scipy.stats.ttest_rel(left, right).pvalue, rel=1e-9)


def test_pairs_without_any_spread_are_equal_or_certainly_apart_and_nan_is_refused():
    runs = {"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0, 1: 2.0}, "c": {0: 2.0, 1: 3.0}, "d": {5: 1.0}}
    assert intervals.paired_p_values(runs) == {
        ("a", "b"): 1.0, ("a", "c"): 0.0, ("a", "d"): 1.0,
        ("b", "c"): 0.0, ("b", "d"): 1.0, ("c", "d"): 1.0,
    }  # fmt: skip
    assert intervals.paired_p_values({"a": {0: 1.0}}) == {}
    with pytest.raises(ValueError, match="NaN or infinite"):
        intervals.paired_p_values({"a": {0: float("nan")}, "b": {0: 1.0}})
