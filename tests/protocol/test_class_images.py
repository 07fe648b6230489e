"""Which images of a training class train: counts, disjointness, the same classes in every form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocol.class_images import divide
from harness.schema import LATER, Problem, Study

TAIL = Study(name="made", class_images=(3, 36), seen_class_images=12)
BALANCED = replace(TAIL, class_images=(13, 13))
LABELS = np.repeat(np.arange(20), 50)


def test_a_study_takes_all_images_unless_it_says_otherwise():
    assert divide(LABELS, Study(name="made"), 0) is None


def test_the_fields_at_their_defaults_leave_older_digests_as_they_are():
    assert LATER["class_images"] is None
    assert LATER["seen_class_images"] == 0
    assert Study(name="made").digest() != TAIL.digest() != BALANCED.digest()


def test_the_largest_class_has_the_most_images_the_smallest_the_fewest_and_the_ratio_is_constant():
    counts = np.sort(np.bincount(LABELS[divide(LABELS, TAIL, 5).train]))[::-1]
    assert (counts[0], counts[-1]) == (36, 3)
    exact = 36 * (3 / 36) ** (np.arange(20) / 19)
    assert np.abs(counts - exact).max() <= 0.5


def test_a_balanced_set_has_the_same_thirds_and_the_same_unseen_images():
    tail, balanced = divide(LABELS, TAIL, 5), divide(LABELS, BALANCED, 5)
    assert set(np.bincount(LABELS[balanced.train])) == {13}
    assert np.array_equal(tail.third, balanced.third)
    assert np.array_equal(tail.seen, balanced.seen)


def test_classes_of_an_earlier_third_have_at_least_as_many_training_images():
    tail = divide(LABELS, TAIL, 5)
    counts = np.bincount(LABELS[tail.train])
    for first, second in ((0, 1), (1, 2)):
        assert counts[tail.third == first].min() >= counts[tail.third == second].max()


@given(
    sizes=st.lists(st.integers(8, 30), min_size=2, max_size=12),
    seed=st.integers(0, 2**32),
    fewest=st.integers(1, 3),
    apart=st.integers(0, 3),
)
def test_every_class_trains_nothing_trains_twice_and_what_is_apart_never_trains(
    sizes, seed, fewest, apart
):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    study = replace(TAIL, class_images=(fewest, 5), seen_class_images=max(apart, 2))
    divided = divide(labels, study, seed)
    both = np.concatenate([divided.train, divided.seen])
    assert len(set(both.tolist())) == len(both)
    assert set(labels[divided.train]) == set(labels[divided.seen]) == set(range(len(sizes)))
    assert set(np.bincount(labels[divided.seen])) == {max(apart, 2)}


def test_another_seed_makes_other_classes_large():
    thirds = {tuple(divide(LABELS, TAIL, seed).third.tolist()) for seed in range(5)}
    assert len(thirds) == 5


def test_a_class_with_too_few_images_is_refused():
    with pytest.raises(Problem, match="a training class has 20 images"):
        divide(np.repeat(np.arange(20), 20), TAIL, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_images": (0, 5)}, "1 <= fewest <= most"),
        ({"class_images": (6, 5)}, "1 <= fewest <= most"),
        ({"class_images": None}, "together with class_images"),
        ({"seen_class_images": 1}, "at least 2"),
        ({"seen_class_images": 0, "diagnostics": ("map_at_r_few",)}, "set class_images"),
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(changes, message):
    with pytest.raises(Problem, match=message):
        replace(TAIL, **changes)
