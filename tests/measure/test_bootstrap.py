"""Bootstraps and the probability of improvement against scipy.stats, scikit-learn and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from harness.measure import bootstrap

VALUES = st.lists(st.floats(-100, 100, allow_nan=False), min_size=3, max_size=12).filter(
    lambda v: np.std(v) > 1e-3
)


def rng():
    return np.random.default_rng(7)


def test_bootstrap_over_repeats_equals_scipys_percentile_bootstrap():
    v = np.random.default_rng(1).normal(30, 2, 12)
    interval = bootstrap.bootstrap(v, over="repeats", rng=rng(), resamples=40_000)
    theirs = scipy.stats.bootstrap(
        (v,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx(tuple(theirs), abs=0.04)
    assert interval.mean == pytest.approx(v.mean())


def test_bootstrap_over_classes_equals_a_loop_that_draws_classes_with_their_queries():
    source = np.random.default_rng(2)
    queries = [source.random((4, size)) for size in (3, 9, 5, 14, 2, 7)]  # [repeats, queries]
    scores = np.stack([q.mean(1) for q in queries], axis=1)
    sizes = [q.shape[1] for q in queries]
    interval = bootstrap.bootstrap(
        scores, over="repeats and classes", rng=rng(), sizes=sizes, resamples=20_000
    )
    means = []
    for _ in range(4_000):
        rows = source.integers(0, 4, 4)
        drawn = [queries[c][rows] for c in source.integers(0, 6, 6)]
        means.append(np.concatenate(drawn, axis=1).mean())
    assert (interval.low, interval.high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.012
    )
    assert interval.mean == pytest.approx(np.concatenate(queries, axis=1).mean())


def test_several_scores_from_the_same_draws_of_classes_have_the_intervals_of_each_alone(
    monkeypatch,
):
    scores = np.random.default_rng(3).random((4, 25))
    sizes = np.random.default_rng(4).integers(1, 9, 25)
    monkeypatch.setattr(bootstrap, "CHUNK", 25 * 90)
    together = bootstrap.over_classes(scores, rng=rng(), sizes=sizes, resamples=500)
    for row, interval in zip(scores, together, strict=True):
        alone = bootstrap.bootstrap(
            row[None], over="classes", rng=rng(), sizes=sizes, resamples=500
        )
        assert (interval.mean, interval.low, interval.high) == pytest.approx(
            (alone.mean, alone.low, alone.high), abs=1e-12
        )
        assert (interval.over, interval.n_repeats, interval.n_classes) == ("classes", 1, 25)


def test_the_same_generator_state_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch):
    scores = np.random.default_rng(0).random((5, 40))
    interval = bootstrap.bootstrap(scores, over="repeats", rng=rng(), resamples=500)
    monkeypatch.setattr(bootstrap, "CHUNK", 4_000)
    assert bootstrap.bootstrap(scores, over="repeats", rng=rng(), resamples=500) == interval


def test_sources_of_uncertainty_tell_training_from_test_classes():
    source = np.random.default_rng(5)
    scores = source.normal(0, 1, (1, 60)) + source.normal(0, 0.05, (10, 1))
    sources = bootstrap.sources_of_uncertainty(scores, rng=rng(), resamples=2_000)
    width = {over: b.high - b.low for over, b in sources.items()}
    assert width["repeats"] < 0.2 * width["classes"] <= 0.21 * width["repeats and classes"]
    expected = 2 * 1.96 * scores.mean(0).std() / math.sqrt(60)
    assert width["classes"] == pytest.approx(expected, rel=0.06)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3))
def test_probability_of_improvement_is_the_mean_of_mann_whitney_and_roc_auc(tasks):
    a, b = [t[0] for t in tasks], [t[1] for t in tasks]
    chance = bootstrap.probability_of_improvement(a, b, rng=rng(), resamples=50)
    auc = [roc_auc_score([1] * len(x) + [0] * len(y), [*x, *y]) for x, y in zip(a, b, strict=True)]
    u = [
        scipy.stats.mannwhitneyu(x, y).statistic / len(x) / len(y)
        for x, y in zip(a, b, strict=True)
    ]
    assert chance.mean == pytest.approx(np.mean(auc))
    assert chance.mean == pytest.approx(np.mean(u))


def test_probability_of_improvement_draws_repeats_within_datasets():
    a, b = [1.0, 2.0, 3.0, 4.0], [0.5, 2.5, 2.0, 1.5]
    chance = bootstrap.probability_of_improvement([a], [b], rng=rng(), resamples=20_000)
    source, means = np.random.default_rng(9), []
    for _ in range(6_000):
        x, y = source.choice(a, 4), source.choice(b, 4)
        means.append(np.mean([(i > j) + (i == j) / 2 for i in x for j in y]))
    assert (chance.low, chance.high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.03
    )


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: bootstrap.bootstrap([1.0], over="repeats", rng=rng()), "at least 2"),
        (lambda: bootstrap.bootstrap([[1.0], [2.0]], over="classes", rng=rng()), "at least 2"),
        (
            lambda: bootstrap.bootstrap(np.ones((3, 2, 2)), over="repeats and classes", rng=rng()),
            "finite numbers",
        ),
        (lambda: bootstrap.bootstrap(np.ones((3, 0)), over="repeats", rng=rng()), "finite numbers"),
        (
            lambda: bootstrap.bootstrap([[1.0, np.nan]] * 2, over="repeats and classes", rng=rng()),
            "finite number",
        ),
        (
            lambda: bootstrap.bootstrap(
                np.eye(3), over="repeats and classes", rng=rng(), sizes=[1, 2]
            ),
            "sizes",
        ),
        (
            lambda: bootstrap.bootstrap(
                np.eye(2), over="repeats and classes", rng=rng(), sizes=[1, 0]
            ),
            "sizes",
        ),
    ],
)
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()
