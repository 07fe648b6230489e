"""Slow, obvious twins of retrieval and its scores: plain loops, nothing shared with the harness."""

from __future__ import annotations

import numpy as np


def neighbour_lists(embeddings: np.ndarray) -> list[list[int]]:
    """All other rows of each row, nearest first by float64 Euclidean distance, ties by index."""
    rows = np.asarray(embeddings, dtype=np.float64)
    lists = []
    for i in range(len(rows)):
        squared = [sum((a - b) ** 2 for a, b in zip(rows[i], row, strict=True)) for row in rows]
        lists.append(sorted((j for j in range(len(rows)) if j != i), key=lambda j: (squared[j], j)))
    return lists


def retrieval_scores(lists: list[list[int]], labels: list[int], ks: list[int]) -> dict[str, float]:
    """MAP@R, R-precision, P@1 and R@K from the definitions, query by query."""
    scores: dict[str, list[float]] = {"map_at_r": [], "r_precision": [], "precision_at_1": []}
    scores |= {f"recall_at_{k}": [] for k in ks}
    for query, ranked in enumerate(lists):
        relevant = sum(label == labels[query] for label in labels) - 1
        if relevant == 0:
            continue
        hits = [labels[j] == labels[query] for j in ranked]
        average = 0.0
        for i in range(relevant):
            if hits[i]:
                average += sum(hits[: i + 1]) / (i + 1)
        scores["map_at_r"].append(average / relevant)
        scores["r_precision"].append(sum(hits[:relevant]) / relevant)
        scores["precision_at_1"].append(float(hits[0]))
        for k in ks:
            scores[f"recall_at_{k}"].append(float(any(hits[:k])))
    return {name: sum(values) / len(values) for name, values in scores.items()}


def retrieval_scores_with_galleries(
    embeddings: np.ndarray,
    labels: list[int],
    *,
    is_query: list[bool],
    is_gallery: list[bool],
    groups: list[int],
    ks: list[int],
) -> dict[str, float]:
    """The scores where a query ranks the gallery without itself and without its junk.

    Junk shows the class of the query from the camera of the query, as in Market-1501.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    scores: dict[str, list[float]] = {"map_at_r": [], "r_precision": [], "precision_at_1": []}
    scores |= {f"recall_at_{k}": [] for k in ks}
    for query in [i for i in range(len(labels)) if is_query[i]]:
        ranked = []
        for j in [j for j in range(len(labels)) if is_gallery[j]]:
            junk = labels[j] == labels[query] and groups[j] == groups[query] and groups[j] != -1
            if j != query and not junk:
                ranked.append((float(((rows[j] - rows[query]) ** 2).sum()), j))
        hits = [labels[j] == labels[query] for _, j in sorted(ranked)]
        relevant = sum(hits)
        if relevant == 0:
            continue
        precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(relevant) if hits[i]]
        scores["map_at_r"].append(sum(precisions) / relevant)
        scores["r_precision"].append(sum(hits[:relevant]) / relevant)
        scores["precision_at_1"].append(float(hits[0]))
        for k in ks:
            scores[f"recall_at_{k}"].append(float(any(hits[:k])))
    queries = len(scores["map_at_r"])
    return {name: sum(values) / queries for name, values in scores.items()} | {"queries": queries}
