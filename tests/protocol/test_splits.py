"""Training, held-out and test classes never meet; the named layouts are exactly the published."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from harness.protocol import splits
from harness.schema import Dataset, Problem
from harness.seeds import seed_from


def dataset(labels, is_test) -> Dataset:
    images = np.zeros((len(labels), 1, 1, 1), dtype=np.uint8)
    names = [str(c) for c in range(labels.max() + 1)]
    return Dataset("made", images, labels, is_test, names, "none")


@st.composite
def labelled(draw):
    sizes = draw(st.lists(st.integers(2, 5), min_size=8, max_size=40))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    labels = rng.permutation(labels)
    test_classes = rng.choice(len(sizes), len(sizes) // 2, replace=False)
    return dataset(labels, np.isin(labels, test_classes))


@given(labelled(), st.sampled_from(["official", "mlrc"]), st.sampled_from(["kfold", "mlrc"]))
def test_training_held_out_and_test_classes_never_meet(made, halves, layout):
    trainval = splits.trainval_part(made, halves)
    test = splits.test_part(made, halves)
    for number in range(4):
        split = splits.fold(trainval.labels, layout, folds=4, number=number)
        train, held = trainval.take(split.train), trainval.take(split.held_out)
        seen = [set(made.labels[part.index].tolist()) for part in (train, held, test)]
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]
        assert len(train) + len(held) == len(trainval)
        assert len(trainval) + len(test) == len(made.labels)


@given(labelled())
def test_kfold_holds_every_trainval_class_out_exactly_once_as_scikit_learn_does(made):
    labels = splits.trainval_part(made, "official").labels
    n = int(labels.max()) + 1
    expected = [set(held.tolist()) for _, held in KFold(4).split(np.arange(n))]
    folds = [splits.fold(labels, "kfold", folds=4, number=number) for number in range(4)]
    assert [set(labels[fold.held_out].tolist()) for fold in folds] == expected


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (100, [(75, 99), (0, 24), (25, 49), (50, 74)]),
        (98, [(74, 97), (0, 23), (25, 48), (49, 72)]),
        (11317, [(8488, 11316), (0, 2828), (2829, 5657), (5658, 8486)]),
    ],
)
def test_mlrc_folds_are_those_of_its_released_code(classes, expected):
    labels = np.arange(classes)
    for number, (first, last) in enumerate(expected):
        held = splits.fold(labels, "mlrc", folds=4, number=number).held_out
        np.testing.assert_array_equal(held, np.arange(first, last + 1))


def test_mlrc_cars_folds_never_validate_classes_24_and_73():
    labels = np.arange(98)
    folds = [splits.fold(labels, "mlrc", folds=4, number=number) for number in range(4)]
    held_out = np.concatenate([fold.held_out for fold in folds])
    assert set(range(98)) - set(held_out.tolist()) == {24, 73}


def test_mlrc_halves_of_an_odd_number_of_classes_put_the_smaller_half_in_training():
    labels = np.arange(7)
    made = dataset(labels, labels < 2)
    assert splits.trainval_part(made, "mlrc").n_classes == 3


def test_labels_of_a_part_start_at_zero_and_leave_no_gap():
    labels = np.array([5, 5, 2, 2, 0, 0])
    part = splits.trainval_part(dataset(labels, labels == 2), "official")
    assert sorted(set(part.labels.tolist())) == [0, 1]


def test_more_folds_than_classes_is_a_problem_that_says_both_numbers():
    with pytest.raises(Problem, match="4 folds over 3 trainval classes"):
        splits.fold(np.array([0, 1, 2]), "kfold", folds=4, number=0)


def classes_in_two_halves(n_trainval, n_test) -> Dataset:
    labels = np.repeat(np.arange(n_trainval + n_test), 2)
    return dataset(labels, labels >= n_trainval)


def in_one_class(held) -> bool:
    """Whether a nearest neighbour among the held-out images cannot be wrong."""
    return len(set(held.tolist())) < 2


@given(st.integers(2, 40), st.integers(2, 9))
def test_folds_are_refused_exactly_where_one_holds_out_a_single_class(n_trainval, folds):
    made = classes_in_two_halves(n_trainval, 3)
    labels = splits.trainval_part(made, "official").labels
    is_blind = n_trainval < folds or any(
        in_one_class(labels[test]) for test in held_out_by_scikit_learn(labels, folds)
    )
    if not is_blind:
        splits.check(made, "official", layout="kfold", folds=folds)
        return
    with pytest.raises(Problem) as caught:
        splits.check(made, "official", layout="kfold", folds=folds)
    advised = re.search(r"set folds = (?:2 to )?(\d+) in a study", str(caught.value))
    if advised is None:
        assert n_trainval < 4
        assert "at least 4 trainval classes" in str(caught.value)
        return
    splits.check(made, "official", layout="kfold", folds=int(advised[1]))
    with pytest.raises(Problem):
        splits.check(made, "official", layout="kfold", folds=int(advised[1]) + 1)


def held_out_by_scikit_learn(labels, folds):
    """The positions that scikit-learn's folds over the classes hold out."""
    classes = np.arange(int(labels.max()) + 1)
    return [np.flatnonzero(np.isin(labels, held)) for _, held in KFold(folds).split(classes)]


def test_folds_of_mlrc_with_a_single_class_are_refused_with_those_that_work():
    splits.check(classes_in_two_halves(8, 8), "official", layout="mlrc", folds=4)
    with pytest.raises(Problem, match="folds = 2 to 3 and fold_layout = 'kfold'"):
        splits.check(classes_in_two_halves(7, 7), "official", layout="mlrc", folds=4)


@pytest.mark.parametrize(("n_test", "halves"), [(0, "official"), (1, "official"), (1, "mlrc")])
def test_a_single_test_class_is_refused_with_the_count(n_test, halves):
    made = classes_in_two_halves(1 if halves == "mlrc" else 20, n_test)
    with pytest.raises(Problem, match=rf"{n_test} test classes .* at least 2 are needed"):
        splits.check(made, halves, layout="kfold", folds=2)


def test_a_part_and_what_is_taken_from_it_keep_their_images_groups():
    made = classes_in_two_halves(4, 3)
    made = replace(made, groups=np.arange(len(made.labels)) * 10)
    trainval, test = splits.trainval_part(made, "official"), splits.test_part(made, "official")
    np.testing.assert_array_equal(trainval.groups, trainval.index * 10)
    np.testing.assert_array_equal(test.groups, test.index * 10)
    some = trainval.take(np.array([5, 0, 3]))
    np.testing.assert_array_equal(some.groups, [50, 0, 30])


def test_a_half_or_a_fold_in_which_no_query_has_a_positive_is_refused():
    made = classes_in_two_halves(8, 4)
    splits.check(made, "official", layout="kfold", folds=4)
    in_pairs = np.where(made.is_test, made.labels, -1)  # both images of a test class in one group
    with pytest.raises(Problem, match="no query of the test half has another image of its class"):
        splits.check(replace(made, groups=in_pairs), "official", layout="kfold", folds=4)
    in_fold = np.where(np.isin(made.labels, [4, 5]), 7, -1)
    with pytest.raises(Problem, match="no image that fold 2 holds out has another image"):
        splits.check(replace(made, groups=in_fold), "official", layout="kfold", folds=4)
    one_kept = np.where(made.labels == 4, 7, -1)
    splits.check(replace(made, groups=one_kept), "official", layout="kfold", folds=4)
    first_apart = np.where(made.is_test, 1, -1)  # the first test image alone has positives
    first_apart[np.flatnonzero(made.is_test)[0]] = -1
    splits.check(replace(made, groups=first_apart), "official", layout="kfold", folds=4)
    queries = np.isin(made.labels, [8, 9])  # whole classes are queries: none is in the gallery
    with pytest.raises(Problem, match="no query of the test half"):
        splits.check(replace(made, is_query=queries), "official", layout="kfold", folds=4)
    splits.check(
        replace(made, is_query=queries, is_gallery=made.is_test),
        "official",
        layout="kfold",
        folds=4,
    )


def test_a_seed_depends_on_every_name_and_on_their_order():
    seeds = [seed_from("a", "b", 1), seed_from("a", "b", 2), seed_from("b", "a", 1)]
    assert len(set(seeds)) == 3
    assert seed_from("a", "1") != seed_from("a", 1)
    # Pinned: a change here would silently change every study.
    assert seed_from("appendix_d", "cars", "search", 2) == 800473825
