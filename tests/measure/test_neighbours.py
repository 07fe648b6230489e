"""The k nearest neighbours against all distances in float64, at the edges of every shortcut."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from harness.measure import candidates, neighbours
from harness.measure.neighbours import nearest


def all_distances(
    queries: torch.Tensor, gallery: torch.Tensor, k: int, *, without_self: bool
) -> np.ndarray:
    """Lists by sorting every squared difference, ties by index."""
    a, b = (np.asarray(rows, dtype=np.float64) for rows in (queries, gallery))
    squared = np.array([((b - row) ** 2).sum(1) for row in a])
    if without_self:
        np.fill_diagonal(squared, np.inf)
    return np.argsort(squared, axis=1, kind="stable")[:, :k]


def nearest_others(x: torch.Tensor, k: int) -> np.ndarray:
    return nearest(x, x, k, excluded=torch.arange(len(x))).numpy()


@st.composite
def rows(draw):
    """Rows with few distinct values (exact ties, duplicates) or many, in a sorted order or none."""
    n, dim = draw(st.integers(9, 70)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = rng.integers(-1, 2, (n, dim)) if draw(st.booleans()) else rng.normal(size=(n, dim))
    if draw(st.booleans()):
        x = x[np.argsort(x[:, 0])]
    return torch.from_numpy(np.asarray(x * 2.0 ** draw(st.integers(-9, 9)), dtype=np.float32))


@settings(max_examples=150, deadline=None)
@given(rows(), st.integers(1, 8), st.sampled_from([(32, 2), (64, 4), (16, 1)]))
def test_small_tiles_give_the_lists_of_all_distances(x, k, sizes):
    with (
        mock.patch.multiple(candidates, TILE=sizes[0], GROUP=sizes[1]),
        mock.patch.object(neighbours, "MARGIN", 2),
        mock.patch.object(neighbours, "best_among", wraps=candidates.best_among) as in_tiles,
    ):
        np.testing.assert_array_equal(
            nearest_others(x, k), all_distances(x, x, k, without_self=True)
        )
    in_tiles.assert_called_once()


@settings(max_examples=80, deadline=None)
@given(rows(), rows(), st.integers(1, 8))
def test_queries_apart_from_their_gallery_get_the_lists_of_all_distances(a, b, k):
    dim = min(a.shape[1], b.shape[1])
    queries, gallery = a[:, :dim].contiguous(), b[:, :dim].contiguous()
    with (
        mock.patch.multiple(candidates, TILE=16, STRIP_BYTES=2000),
        mock.patch.object(neighbours, "RANK_BYTES", 500),
    ):
        lists = nearest(queries, gallery, k, excluded=None)
    np.testing.assert_array_equal(lists, all_distances(queries, gallery, k, without_self=False))


def test_more_neighbours_than_a_tile_can_rank_are_found_in_strips():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    with mock.patch.object(neighbours, "best_among", side_effect=AssertionError):
        np.testing.assert_array_equal(
            nearest_others(x, 260), all_distances(x, x, 260, without_self=True)
        )


def test_three_tiles_of_the_real_size_give_the_lists_of_all_distances():
    n = 2 * candidates.TILE + 123
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(n // 5 + 1, 16, generator=generator)
    x = centres[torch.arange(n) // 5] + 0.5 * torch.randn(n, 16, generator=generator)
    lists, some = nearest_others(x, 11), torch.arange(0, n, 37)
    squared = (x[some, None].double() - x[None].double()).square().sum(2)
    squared.scatter_(1, some[:, None], torch.inf)
    expected = squared.sort(dim=1, stable=True).indices[:, :11]
    np.testing.assert_array_equal(lists[some], expected)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_very_short_and_very_long_rows_neither_vanish_nor_overflow(factor):
    x = torch.randn(120, 5, generator=torch.Generator().manual_seed(1))
    long = x.double().mul(factor).float()
    np.testing.assert_array_equal(
        nearest_others(long, 4), all_distances(long, long, 4, without_self=True)
    )


def test_one_row_far_from_all_others_costs_them_no_exactness():
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(2))
    x[17] = 1e6
    np.testing.assert_array_equal(nearest_others(x, 5), all_distances(x, x, 5, without_self=True))


def test_rows_a_float32_step_apart_are_ordered_as_float64_orders_them():
    step = torch.finfo(torch.float32).eps
    x = 1 + step * torch.randint(0, 4, (150, 12), generator=torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(nearest_others(x, 7), all_distances(x, x, 7, without_self=True))


def test_a_collapsed_network_s_equal_rows_come_in_the_order_of_their_indices():
    lists = nearest_others(torch.full((2500, 4), 0.3), 3)
    assert lists[0].tolist() == [1, 2, 3]
    assert lists[1].tolist() == [0, 2, 3]
    assert lists[2400].tolist() == [0, 1, 2]


def test_many_copies_of_a_row_are_ordered_without_distances_to_the_whole_gallery():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(4)).repeat(30, 1)
    with mock.patch.object(torch, "cdist", side_effect=AssertionError):
        np.testing.assert_array_equal(
            nearest_others(x, 7), all_distances(x, x, 7, without_self=True)
        )


def test_where_all_rows_are_equal_one_distance_a_query_is_computed():
    x = torch.full((600, 4), 0.3)
    with mock.patch.object(torch, "cdist", wraps=torch.cdist) as distances:
        np.testing.assert_array_equal(
            nearest_others(x, 7), all_distances(x, x, 7, without_self=True)
        )
    assert {call.args[1].shape for call in distances.call_args_list} == {(1, 4)}


@settings(max_examples=100, deadline=None)
@given(rows(), st.integers(0, 2**16), st.booleans())
def test_hits_within_any_count_are_those_of_the_ranked_lists(x, seed, separate_gallery):
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, len(x)))
    chosen = torch.arange(0, len(x), 2)
    gallery, gallery_labels = x, labels
    if separate_gallery:
        gallery, gallery_labels = x[1::2].contiguous(), labels[1::2]
    positive = labels[chosen, None] == gallery_labels
    left_out = torch.from_numpy(np.random.default_rng(seed + 1).random(positive.shape) < 0.2)
    if not separate_gallery:
        left_out.scatter_(1, chosen[:, None], True)
    has_positive = (positive & ~left_out).any(1)
    if not has_positive.any():
        return
    chosen, positive, left_out = (
        rows_of_all[has_positive] for rows_of_all in (chosen, positive, left_out)
    )
    counts = [1, 2, 3, 5, 8, 1000]
    with mock.patch.multiple(candidates, STRIP_BYTES=3000, TILE=16):
        hits = neighbours.hits_within(
            x[chosen],
            gallery,
            lambda block: positive[block],
            lambda block: left_out[block],
            counts=counts,
        )
    squared = (x[chosen, None].double() - gallery[None].double()).square().sum(2)
    lists = squared.masked_fill(left_out, torch.inf).sort(dim=1, stable=True).indices
    same_by_rank = (positive & ~left_out).gather(1, lists)
    expected = torch.stack([same_by_rank[:, :count].any(1) for count in counts], 1)
    assert torch.equal(hits, expected)


def test_lists_carry_no_gradient_and_the_caller_s_rows_stay_as_they_are():
    x = torch.randn(60, 4, requires_grad=True)
    before = x.detach().clone()
    lists = nearest(x, x, 3, excluded=torch.arange(60))
    assert not lists.requires_grad
    assert torch.equal(x.detach(), before)


def test_a_gallery_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="4 neighbours asked of a gallery of 4"):
        nearest_others(torch.randn(4, 2), 4)


@pytest.mark.parametrize(("r", "c", "dim"), [(1, 1, 1), (37, 65, 514), (512, 300, 130)])
def test_a_product_is_within_its_rounding_of_float64s(r, c, dim):
    rng = torch.Generator().manual_seed(0)
    left, right = torch.randn(r, dim, generator=rng), torch.randn(c, dim, generator=rng)
    exact = left.double() @ right.double().T
    sizes = left.double().abs() @ right.double().abs().T
    error = (candidates.product(left, right).double() - exact).abs()
    assert (error <= dim * torch.finfo(torch.float32).eps / 2 * sizes).all()
    turned = candidates.product(left[:, : dim // 2 + 1], right[:, : dim // 2 + 1])
    assert turned.shape == (r, c)


@pytest.mark.parametrize(("threads", "seen"), [(1, [{1}]), (2, [])])
def test_numpy_computes_a_product_in_one_thread_and_torch_those_in_several(
    monkeypatch, threads, seen
):
    calls, matmul = [], np.matmul

    def watched(*arrays):
        calls.append(blas_threads())
        return matmul(*arrays)

    def blas_threads():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    monkeypatch.setattr(np, "matmul", watched)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        result = candidates.product(torch.ones(3, 4), torch.ones(5, 4))
        assert blas_threads() == before
    assert calls == seen
    assert torch.equal(result, torch.full((3, 5), 4.0))


def test_rows_whose_floor_was_too_high_are_looked_up_otherwise(monkeypatch):
    """Whatever lies in memory that nothing was written to."""
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(7))
    too_high = mock.Mock(side_effect=lambda tile, *_: tile.new_full((len(tile),), torch.inf))
    monkeypatch.setattr(candidates, "_floor", too_high)
    monkeypatch.setattr(torch, "empty", lambda *shape, **of: torch.zeros(*shape, **of).sub_(10**9))
    np.testing.assert_array_equal(nearest_others(x, 5), all_distances(x, x, 5, without_self=True))
    too_high.assert_called()
