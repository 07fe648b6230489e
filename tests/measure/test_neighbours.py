"""The k nearest neighbours against all distances in float64, at the edges of every shortcut."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.files import CHECKOUT
from harness.measure import candidates, neighbours, products, settling, tiles
from harness.measure.neighbours import nearest
from tests.measure.small import small_tiles


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
        small_tiles(*sizes),
        mock.patch.object(neighbours, "MARGIN", 2),
        mock.patch.object(tiles, "best_of_half", wraps=tiles.best_of_half) as of_half,
    ):
        np.testing.assert_array_equal(
            nearest_others(x, k), all_distances(x, x, k, without_self=True)
        )
    of_half.assert_called_once()


@settings(max_examples=80, deadline=None)
@given(rows(), rows(), st.integers(1, 8), st.sampled_from([(16, 1), (32, 2), (16, 8)]))
def test_queries_apart_from_their_gallery_get_the_lists_of_all_distances(a, b, k, sizes):
    """In tiles or, where groups are too large for as many neighbours, in strips."""
    dim = min(a.shape[1], b.shape[1])
    queries, gallery = a[:, :dim].contiguous(), b[:, :dim].contiguous()
    with (
        small_tiles(*sizes),
        mock.patch.object(settling, "RANK_BYTES", 500),
    ):
        lists = nearest(queries, gallery, k, excluded=None)
    np.testing.assert_array_equal(lists, all_distances(queries, gallery, k, without_self=False))


@settings(max_examples=60, deadline=None)
@given(rows(), st.integers(1, 8), st.integers(0, 2**16), st.sampled_from([(16, 1), (16, 8)]))
def test_queries_that_exclude_another_row_of_the_gallery_get_the_lists_without_it(
    x, k, seed, sizes
):
    rng = np.random.default_rng(seed)
    chosen = torch.from_numpy(rng.integers(0, len(x), 20))
    with small_tiles(*sizes):
        lists = nearest(x[chosen], x, k, excluded=chosen)
    np.testing.assert_array_equal(lists, all_distances(x, x, k, without_self=True)[chosen])


@settings(max_examples=150, deadline=None)
@given(rows(), st.integers(1, 8), st.integers(0, 2**16), st.booleans(), st.booleans())
def test_the_kinds_of_neighbours_are_those_of_the_exact_lists(x, k, seed, nearly_equal, symmetric):
    """Also where most distances are so close that only differences tell them apart."""
    x = 1 + x * 2.0**-20 if nearly_equal else x
    kind_of = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, len(x)))
    queries = x if symmetric else x.clone()
    with (
        small_tiles(32, 2),
        mock.patch.object(neighbours, "MARGIN", 2),
    ):
        kinds = neighbours.nearest_kinds(
            queries,
            x,
            k,
            lambda some, indices: (kind_of[indices] + kind_of[some, None]) % 3,
            excluded=torch.arange(len(x)) if symmetric else None,
        )
    lists = torch.from_numpy(all_distances(x, x, k, without_self=symmetric))
    assert torch.equal(kinds, ((kind_of[lists] + kind_of[:, None]) % 3).to(torch.int8))


@pytest.mark.parametrize("kinds", [1, 2])
def test_only_neighbours_of_unlike_kinds_are_told_apart_by_their_differences(kinds):
    x = torch.randn(400, 64, generator=torch.Generator().manual_seed(0)) * 1e-4 + 1
    told_apart = mock.Mock(wraps=settling._by_differences)
    with mock.patch.object(settling, "_by_differences", told_apart):
        neighbours.nearest_kinds(
            x, x, 5, lambda _, indices: indices % kinds, excluded=torch.arange(len(x))
        )
    assert any(call.kwargs["close"].any() for call in told_apart.call_args_list) == (kinds > 1)


def test_more_neighbours_than_a_tile_can_rank_are_found_in_strips():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    with mock.patch.object(tiles, "Tiles", side_effect=AssertionError):
        np.testing.assert_array_equal(
            nearest_others(x, 290), all_distances(x, x, 290, without_self=True)
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


def test_the_distinct_rows_of_a_collapsed_network_are_found_once_for_all_blocks_of_queries():
    x = torch.full((200, 4), 0.3)
    with small_tiles(32, 2), mock.patch.object(torch, "unique", wraps=torch.unique) as unique:
        nearest_others(x, 7)
    unique.assert_called_once()


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
    with small_tiles(16, 8):
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


PEAK_OF_STRIPS = """
import torch
from harness.commands.bench import memory
from harness.measure import products

gallery = torch.randn(200_000, 256)
frame = products.frame_of(gallery[:9], gallery)
before = memory.reset_peak(torch.device("cpu"))
strips = products.Strips(gallery[:9], gallery, frame, excluded=None)
assert strips.values(strips.blocks[0]).shape == (9, 200_000)
print((memory.peak(torch.device("cpu")) - before) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to tell a peak")
def test_a_few_queries_take_little_memory_however_large_their_gallery_is():
    """The gallery has 195 MiB; a copy of it, or holes as large as its parts, would show."""
    run = [sys.executable, "-c", PEAK_OF_STRIPS]
    peak = subprocess.run(run, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert float(peak) < 60


def test_no_queries_have_no_lists():
    assert nearest(torch.empty(0, 2), torch.randn(9, 2), 3, excluded=None).shape == (0, 3)


def test_a_gallery_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="4 neighbours asked of a gallery of 4"):
        nearest_others(torch.randn(4, 2), 4)


@pytest.mark.parametrize(("r", "c", "dim"), [(1, 1, 1), (37, 65, 514), (512, 300, 130)])
def test_a_product_is_within_its_rounding_of_float64s(r, c, dim):
    rng = torch.Generator().manual_seed(0)
    left, right = torch.randn(r, dim, generator=rng), torch.randn(c, dim, generator=rng)
    exact = left.double() @ right.double().T
    sizes = left.double().abs() @ right.double().abs().T
    error = (products.product(left, right).double() - exact).abs()
    counted = -(-dim // 2) + 1  # of each half, and their sum
    assert (error <= counted * torch.finfo(torch.float32).eps / 2 * sizes).all()
    turned = products.product(left[:, : dim // 2 + 1], right[:, : dim // 2 + 1])
    assert turned.shape == (r, c)


def test_rows_whose_floor_was_too_high_are_looked_up_otherwise(monkeypatch):
    """Whatever lies in memory that nothing was written to."""
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(7))
    too_high = mock.Mock(side_effect=lambda tile, *_: tile.new_full((len(tile),), torch.inf))
    monkeypatch.setattr(tiles, "_floor", too_high)
    monkeypatch.setattr(torch, "empty", lambda *shape, **of: torch.zeros(*shape, **of).sub_(10**9))
    np.testing.assert_array_equal(nearest_others(x, 5), all_distances(x, x, 5, without_self=True))
    too_high.assert_called()
