"""The neighbours that a gallery shows: against a full sort, and which queries it chooses."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure.galleries import galleries_of
from harness.measure.retrieved import chosen_queries, first_neighbours

CPU = torch.device("cpu")


@given(st.integers(0, 10_000), st.integers(3, 20), st.integers(1, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_neighbours_are_those_of_a_full_sort_without_what_is_left_out(seed, n, count, grouped):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, 3, generator=generator)
    labels = torch.randint(0, 3, (n,), generator=generator)
    groups = torch.randint(-1, 2, (n,), generator=generator) if grouped else None
    galleries = galleries_of(labels, groups=groups, device=CPU)
    lists = first_neighbours(embeddings, galleries, galleries.queries, count)
    for query, row in enumerate(lists.tolist()):
        expected = []
        for other in torch.cdist(embeddings[[query]], embeddings)[0].argsort().tolist():
            same_group = grouped and groups[other] == groups[query] and int(groups[query]) >= 0
            if other != query and not (same_group and labels[other] == labels[query]):
                expected.append(other)
        expected = expected[:count]
        assert row == expected + [-1] * (count - len(expected))


def test_queries_and_gallery_may_be_other_images():
    embeddings = torch.tensor([[0.0], [5.0], [1.0], [6.0]])
    is_query = torch.tensor([True, False, False, True])
    labels = torch.tensor([0, 1, 0, 1])
    galleries = galleries_of(labels, is_query=is_query, device=CPU)
    assert first_neighbours(embeddings, galleries, torch.tensor([0, 3]), 2).tolist() == [
        [2, 1],
        [1, 2],
    ]


def test_the_best_the_median_and_the_worst_are_of_unlike_classes_and_none_is_shown_twice():
    scores = torch.tensor([1.0, 1.0, 0.9, 0.5, 0.55, 0.5, 0.1, 0.0, 0.0, 0.2])
    labels = torch.tensor([0, 0, 1, 0, 1, 2, 2, 3, 3, 0])
    chosen = chosen_queries(scores, labels, 2)
    assert chosen["best"] == [0, 2]  # not 1, which is of the class of 0
    assert chosen["worst"] == [8, 6]
    assert list(chosen) == ["best", "median", "worst"]
    shown = [query for queries in chosen.values() for query in queries]
    assert len(set(shown)) == len(shown) == 6


def test_few_queries_are_all_shown_once():
    chosen = chosen_queries(torch.tensor([0.2, 0.7, 0.4, 0.9]), torch.tensor([0, 0, 0, 0]), 3)
    assert chosen == {"best": [3, 1, 2], "median": [], "worst": [0]}
