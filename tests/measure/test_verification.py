"""Verification accuracy: pairs as faces are judged, and thresholds that are tried one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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
