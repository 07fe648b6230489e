"""Balanced batches: every class equally, every image about once an epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.samplers import MPerClassSampler

from harness.protocol.batches import drawn, epoch_batches, fixed_batches


@st.composite
def labelled(draw):
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=12))
    seed = draw(st.integers(0, 999))
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return labels, draw(st.integers(2, 6)), draw(st.integers(1, 4)), seed


@given(labelled())
def test_a_batch_holds_equally_many_of_different_classes_one_after_the_other(case):
    labels, classes, per_class, seed = case
    rng = np.random.default_rng(seed)
    expected = min(classes, int(labels.max()) + 1)
    for batch in epoch_batches(labels, classes=classes, per_class=per_class, rng=rng):
        rows = labels[batch].reshape(-1, per_class)
        assert len(rows) == expected
        assert (rows == rows[:, :1]).all()
        assert len(set(rows[:, 0].tolist())) == expected


@given(labelled())
def test_an_epoch_leaves_no_image_out(case):
    labels, classes, per_class, seed = case
    rng = np.random.default_rng(seed)
    batches = epoch_batches(labels, classes=classes, per_class=per_class, rng=rng)
    assert set(np.concatenate(batches).tolist()) == set(range(len(labels)))


def test_an_epoch_over_classes_of_fitting_size_sees_every_image_exactly_once():
    labels = np.repeat(np.arange(16), 8)
    batches = epoch_batches(labels, classes=8, per_class=4, rng=np.random.default_rng(0))
    assert np.bincount(np.concatenate(batches)).tolist() == [1] * 128


def test_the_usual_sampler_misses_images_in_an_epoch_where_ours_misses_none():
    labels = np.repeat(np.arange(75), 48)
    usual = list(MPerClassSampler(labels, m=4, batch_size=32, length_before_new_iter=len(labels)))
    ours = np.concatenate(
        epoch_batches(labels, classes=8, per_class=4, rng=np.random.default_rng(0))
    )
    assert len(set(usual)) < 0.95 * len(labels)
    assert len(set(ours.tolist())) == len(labels)
    assert len(ours) < 1.02 * len(labels)


@given(labelled(), st.integers(1, 5))
def test_a_fixed_number_of_iterations_is_that_number_of_balanced_batches(case, iterations):
    labels, classes, per_class, seed = case
    batches = fixed_batches(
        labels,
        classes=classes,
        per_class=per_class,
        iterations=iterations,
        rng=np.random.default_rng(seed),
    )
    assert len(batches) == iterations
    for batch in batches:
        rows = labels[batch].reshape(-1, per_class)
        assert (rows == rows[:, :1]).all()


def test_the_same_generator_gives_the_same_batches():
    labels = np.repeat(np.arange(9), 5)
    first, second = (
        epoch_batches(labels, classes=3, per_class=2, rng=np.random.default_rng(7))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@given(pool=st.integers(1, 30), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_few_are_drawn_as_numpy_draws_them(pool, share, seed):
    """So that batches are those of older records; numpy's own function takes longer."""
    n = round(share * pool)
    values = np.arange(pool) * 7
    ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
    chosen = drawn(values, n, ours)
    np.testing.assert_array_equal(chosen, theirs.choice(values, n, replace=False))
    assert ours.bit_generator.state == theirs.bit_generator.state
