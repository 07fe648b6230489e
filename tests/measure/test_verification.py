"""Verification accuracy: pairs as faces are judged, and thresholds that are tried one by one."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from harness.measure import verification

# few values, so that many similarities are equal
SIMILARITIES = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 2)), min_size=6, max_size=40
)


def accuracy_by_loops(similarities, genuine, fold) -> float:
    """Every similarity and infinity are tried as thresholds; of equally good ones the lowest."""
    accuracies = []
    for number in sorted(set(fold)):
        others = [i for i in range(len(fold)) if fold[i] != number]
        scores = {
            threshold: sum((similarities[i] >= threshold) == genuine[i] for i in others)
            for threshold in [*sorted({similarities[i] for i in others}), float("inf")]
        }
        threshold = min(t for t in scores if scores[t] == max(scores.values()))
        of_fold = [i for i in range(len(fold)) if fold[i] == number]
        right = sum((similarities[i] >= threshold) == genuine[i] for i in of_fold)
        accuracies.append(right / len(of_fold))
    return sum(accuracies) / len(accuracies)


@given(SIMILARITIES)
def test_the_accuracy_is_that_of_thresholds_tried_one_by_one(drawn):
    similarities, genuine, fold = (np.array(column) for column in zip(*drawn, strict=True))
    assume(len(set(fold.tolist())) > 1)
    expected = accuracy_by_loops(similarities.tolist(), genuine.tolist(), fold.tolist())
    value = verification.accuracy(similarities.astype(float), genuine, fold)
    assert value == pytest.approx(expected)


def test_a_fold_does_not_choose_its_own_threshold():
    """Fold 0 would be perfect with a threshold of 5; the other one says 1."""
    similarities = np.array([2.0, 5.0, 0.0, 1.0])
    genuine = np.array([False, True, False, True])
    assert verification.accuracy(similarities, genuine, np.array([0, 0, 1, 1])) == 0.5


def test_pairs_are_what_they_say_and_folds_share_no_class():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(30), 5))
    drawn = verification.pairs(labels, rng=rng)
    counts = Counter(zip(drawn.fold.tolist(), drawn.genuine.tolist(), strict=True))
    assert counts == {(fold, kind): 300 for fold in range(10) for kind in (True, False)}
    assert np.array_equal(labels[drawn.first] == labels[drawn.second], drawn.genuine)
    assert (drawn.first != drawn.second).all()
    of_fold = [
        set(labels[np.concatenate([drawn.first, drawn.second])[np.tile(drawn.fold == f, 2)]])
        for f in range(10)
    ]
    assert sum(map(len, of_fold)) == len(set.union(*of_fold)) == 30


def test_classes_of_one_row_are_in_no_pair_and_too_few_classes_are_refused():
    labels = np.concatenate([np.repeat(np.arange(20), 2), np.arange(20, 40)])
    drawn = verification.pairs(labels, rng=np.random.default_rng(0))
    assert labels[np.concatenate([drawn.first, drawn.second])].max() < 20
    with pytest.raises(ValueError, match="19 classes of two rows or more"):
        verification.pairs(labels[2:], rng=np.random.default_rng(0))


@st.composite
def similarities_of_pairs(draw):
    n = draw(st.integers(4, 60))
    values = draw(st.lists(st.integers(-6, 6), min_size=n, max_size=n))
    genuine = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    genuine[:2] = [True, False]
    return np.array(values, np.float64), np.array(genuine)


@given(similarities_of_pairs())
def test_the_roc_is_that_of_scikit_learn(pairs):
    similarities, genuine = pairs
    false, true = verification.roc(similarities, genuine)
    expected = roc_curve(genuine, similarities, drop_intermediate=False)
    np.testing.assert_allclose(false, expected[0], atol=1e-12)
    np.testing.assert_allclose(true, expected[1], atol=1e-12)


@given(similarities_of_pairs())
def test_the_equal_error_rate_lies_on_the_roc_and_on_the_falling_diagonal(pairs):
    false, true = verification.roc(*pairs)
    rate = verification.equal_error_rate(false, true)
    corners = list(zip(false, true, strict=True))
    distances = []
    for (x, y), (to_x, to_y) in itertools.pairwise(corners):
        along = np.hypot(to_x - x, to_y - y)
        across = abs((to_x - x) * (y - (1 - rate)) - (x - rate) * (to_y - y)) / along
        inside = min(x, to_x) - 1e-9 <= rate <= max(x, to_x) + 1e-9
        inside &= min(y, to_y) - 1e-9 <= 1 - rate <= max(y, to_y) + 1e-9
        distances += [across] if inside else []
    assert min(distances) < 1e-9


@given(similarities_of_pairs(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_true_accepts_at_a_rate_are_the_most_of_any_threshold_that_keeps_to_it(pairs, rate):
    similarities, genuine = pairs
    best = 0.0
    for threshold in [*np.unique(similarities), np.inf]:
        accepted = similarities >= threshold
        if accepted[~genuine].mean() <= rate:
            best = max(best, accepted[genuine].mean())
    false, true = verification.roc(similarities, genuine)
    assert verification.true_accepts_at(false, true, rate) == pytest.approx(best)


def rates(similarities, genuine, accuracy=None):
    return verification.rates(
        similarities, genuine, verification.roc(similarities, genuine), accuracy
    )


def test_separated_pairs_have_no_errors_and_equal_similarities_one_half():
    genuine = np.arange(20) < 10
    apart = rates(np.where(genuine, 1.0, 0.0) + np.arange(20) / 100, genuine, 1.0)
    assert (apart.equal_error_rate, apart.accuracy) == (0.0, 1.0)
    assert apart.d_prime > 10
    alike = rates(np.zeros(20), genuine)
    assert alike.equal_error_rate == 0.5
    assert alike.d_prime is None


def test_a_rate_needs_as_many_impostors_as_its_inverse():
    rng = np.random.default_rng(0)
    few = rates(rng.normal(size=1500), np.arange(1500) < 500)
    assert few.true_accepts_at_1e3 is not None
    assert few.true_accepts_at_1e4 is None
    many = rates(rng.normal(size=10_500), np.arange(10_500) < 500)
    assert many.true_accepts_at_1e4 is not None


def test_pairs_of_one_kind_have_no_rates():
    with pytest.raises(ValueError, match="both kinds"):
        rates(np.zeros(4), np.ones(4, np.bool_))
