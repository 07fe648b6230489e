"""Scores of test embeddings: over all queries, and by class where they are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.measure.galleries import Masks
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.schema import BY_CLASS, Bools, Dataset, Ints, Part, Run


def test_scores(
    run: Run, embedded: Tensor, test: Part, dataset: Dataset
) -> tuple[dict[str, float], dict[str, list[float]] | None]:
    """Scores over all queries, and by class where there are not too many classes to keep them."""
    lists = neighbour_lists(
        embedded,
        torch.from_numpy(test.labels),
        recall_at=run.study.recall_at,
        **masks_of(dataset, test),
    )
    return lists.scores(), sums_by_class(lists) if test.n_classes <= BY_CLASS else None


def masks_of(dataset: Dataset, test: Part) -> Masks:
    """The queries, gallery and groups among a dataset's test images."""

    def of_test(values: Ints | Bools | None) -> Tensor | None:
        return None if values is None else torch.from_numpy(values[test.index])

    return Masks(
        is_query=of_test(dataset.is_query),
        is_gallery=of_test(dataset.is_gallery),
        groups=of_test(dataset.groups),
    )
