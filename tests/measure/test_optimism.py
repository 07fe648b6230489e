"""What choosing on test classes is worth: against enumeration, and where the truth is known."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats

from harness.measure import optimism
from harness.measure.optimism import HONEST, RULES, TUNED, Pool


def pool_of(rng, size=5, epochs=3, classes=4) -> Pool:
    """A pool of random scores, its classes of unequal size."""
    queries = rng.integers(1, 9, classes).astype(float)
    return Pool(
        held_out=rng.random((size, epochs)),
        sums=rng.random((size, epochs, classes)) * queries,
        queries=queries,
    )


def every_half(classes: int) -> np.ndarray:
    """All halvings of an even number of classes, both ways round."""
    halves = [
        [c in chosen for c in range(classes)]
        for chosen in itertools.combinations(range(classes), classes // 2)
    ]
    return np.array(halves)


def pick_scores(pool: Pool, half, rule, search) -> tuple[float, float]:
    """Scores on A and on B of what a rule picks in one search, one number at a time."""

    def score(configuration, epoch, on):
        classes = [c for c in range(len(pool.queries)) if half[c] == on]
        total = sum(pool.sums[configuration, epoch, c] for c in classes)
        return total / sum(pool.queries[c] for c in classes)

    def by(name, configuration, epoch):
        if name == "held_out":
            return pool.held_out[configuration, epoch]
        return score(configuration, epoch, on=True)

    params_by, epoch_by = rule
    n_epochs = pool.held_out.shape[1]
    chosen = None
    for configuration in search:
        epoch = n_epochs - 1
        if epoch_by != "last":
            epoch = max(range(n_epochs), key=lambda e: by(epoch_by, configuration, e))
        value = by(params_by, configuration, epoch)
        if chosen is None or value > chosen[0]:
            chosen = (value, configuration, epoch)
    _, configuration, epoch = chosen
    return score(configuration, epoch, on=True), score(configuration, epoch, on=False)


def test_the_curves_are_the_means_over_every_search_and_every_halving():
    pool = pool_of(np.random.default_rng(1))
    halves = every_half(4)
    by_rule = optimism.curves(pool, halves)
    assert len(RULES) == 6
    for rule, (on_a, on_b) in by_rule.items():
        for k in range(1, pool.size + 1):
            picks = [
                pick_scores(pool, half, rule, search)
                for half in halves
                for search in itertools.combinations(range(pool.size), k)
            ]
            assert (on_a[k - 1], on_b[k - 1]) == pytest.approx(np.mean(picks, axis=0))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_chance_of_a_rank_is_how_many_searches_have_it_as_their_best(size):
    expected = [
        [comb(size - 1 - rank, k - 1) / comb(size, k) for rank in range(size)]
        for k in range(1, size + 1)
    ]
    assert optimism.pick_chances(size) == pytest.approx(np.array(expected))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 1000),
    size=st.integers(1, 8),
    epochs=st.integers(1, 4),
    classes=st.integers(2, 9),
)
def test_total_is_optimism_and_gain_and_the_whole_pool_has_no_optimism(seed, size, epochs, classes):
    rng = np.random.default_rng(seed)
    pool = pool_of(rng, size, epochs, classes)
    halves = optimism.halvings(classes, 5, rng)
    assert (halves[:5] == ~halves[5:]).all()
    assert set(halves.sum(1)) == {classes // 2, classes - classes // 2}
    by_rule = optimism.curves(pool, halves)
    worth = optimism.worth(by_rule)
    assert worth["total"] == pytest.approx(worth["optimism"] + worth["gain"])
    for rule in ((by, "last") for by in ("held_out", "test")):
        on_a, on_b = by_rule[rule]
        assert on_a[0] == pytest.approx(on_b[0])  # a single configuration: nothing was chosen


def expected_maximum(k: int) -> float:
    """Of k standard normals, by integration."""

    def density(x):
        return x * k * scipy_stats.norm.pdf(x) * scipy_stats.norm.cdf(x) ** (k - 1)

    return integrate.quad(density, -8, 8)[0]


def test_of_equal_configurations_the_optimism_is_the_expected_maximum_of_their_noise():
    rng = np.random.default_rng(2)
    size, classes, pools = 60, 100, 20
    worths = []
    for _ in range(pools):
        pool = Pool(
            rng.normal(size=(size, 1)), rng.normal(size=(size, 1, classes)), np.ones(classes)
        )
        worths.append(optimism.worth(optimism.curves(pool, optimism.halvings(classes, 40, rng))))
    noise = np.sqrt(2 / classes)  # of a mean over half of the classes
    for k in (1, 5, 30):
        values = [worth["optimism"][k - 1] for worth in worths]
        error = np.std(values) / np.sqrt(pools) + 1e-9
        assert np.mean(values) == pytest.approx(noise * expected_maximum(k), abs=4 * error)
        gains = [worth["gain"][k - 1] for worth in worths]
        assert np.mean(gains) == pytest.approx(0, abs=4 * np.std(gains) / np.sqrt(pools) + 1e-9)


def test_without_noise_there_is_no_optimism_and_the_gain_is_what_held_out_scores_do_not_know():
    rng = np.random.default_rng(3)
    truth = rng.random(40)
    sums = np.repeat(truth[:, None, None], 10, axis=2)
    halves = optimism.halvings(10, 20, rng)
    informed = Pool(truth[:, None], sums, np.ones(10))
    for values in optimism.worth(optimism.curves(informed, halves)).values():
        assert values == pytest.approx(0, abs=1e-12)
    blind = Pool(np.zeros((40, 1)), sums, np.ones(10))  # ties: the earliest of a search
    worth = optimism.worth(optimism.curves(blind, halves))
    assert worth["optimism"] == pytest.approx(0, abs=1e-12)
    assert worth["gain"][39] == pytest.approx(truth.max() - truth[0])


def test_single_searches_average_to_the_curve_and_those_of_one_are_the_pool():
    rng = np.random.default_rng(4)
    pool = pool_of(rng, size=50, epochs=2, classes=20)
    halves = optimism.halvings(20, 10, rng)
    worth = optimism.worth(optimism.curves(pool, halves))
    searches = optimism.single_searches(pool, halves, [1, 3], draws=4000, rng=rng)
    for k, by_quantity in searches.items():
        for name, values in by_quantity.items():
            error = np.std(values) / np.sqrt(len(values))
            # with replacement, a search of 3 has less than 3 configurations in 6 % of cases
            slack = 0.1 * abs(worth[name][k - 1]) if k > 1 else 0
            assert np.mean(values) == pytest.approx(worth[name][k - 1], abs=4 * error + slack)
    of_one = {round(value, 12) for value in searches[1]["total"]}
    exact = [
        optimism.worth(
            optimism.curves(
                Pool(pool.held_out[c : c + 1], pool.sums[c : c + 1], pool.queries), halves
            )
        )["total"][0]
        for c in range(50)
    ]
    assert of_one == {round(value, 12) for value in exact}


def test_the_interval_over_classes_holds_the_mean_over_test_sets_as_often_as_it_says():
    rng = np.random.default_rng(5)
    size, classes, tests = 20, 60, 60
    truth = rng.normal(0, 0.1, (size, 1, 1))
    held_out = truth[:, :, 0] + rng.normal(0, 0.1, (size, 1))
    values, widths = [], []
    for _ in range(tests):
        pool = Pool(held_out, truth + rng.normal(size=(size, 1, classes)), np.ones(classes))
        halves = optimism.halvings(classes, 15, rng)
        worth = optimism.worth(optimism.curves(pool, halves, rules=(HONEST, TUNED)))
        over_classes = optimism.over_classes(pool, halves, rng)
        values.append([worth[name][4] for name in optimism.QUANTITIES])
        widths.append([over_classes[name][4] for name in optimism.QUANTITIES])
    inside = np.abs(np.array(values) - np.mean(values, axis=0)) <= np.array(widths)
    assert (inside.mean(0) >= 0.87).all()
    # and it is no wider than it need be: about twice the spread over test sets
    ratio = np.mean(widths, axis=0) / np.std(values, axis=0)
    assert (ratio > 1.6).all()
    assert (ratio < 3.2).all()


def test_arrays_that_do_not_fit_and_too_few_classes_are_refused():
    with pytest.raises(ValueError, match="at least 2 classes"):
        Pool(np.zeros((3, 2)), np.zeros((3, 2, 1)), np.ones(1))
    with pytest.raises(ValueError, match="held_out"):
        Pool(np.zeros((3, 2)), np.zeros((3, 1, 4)), np.ones(4))
    rng = np.random.default_rng(6)
    pool = pool_of(rng, classes=3)
    with pytest.raises(ValueError, match="at least 4 are needed"):
        optimism.over_classes(pool, optimism.halvings(3, 2, rng), rng)
