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
