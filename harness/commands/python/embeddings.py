"""Scores of embeddings in memory, as the command `score` computes those of files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.commands import options as shared
from harness.commands import score as command
from harness.data import embedding_files
from harness.schema import Problem
from harness.tables import scored

ROWS, LABELS = Path("embeddings"), Path("labels")  # what messages call the arrays
DISTANCES = tuple(command.DISTANCES)


def score(
    embeddings: Any,
    labels: Any,
    *,
    is_query: Any = None,
    is_gallery: Any = None,
    groups: Any = None,
    distance: Literal["cosine", "euclidean"] = "cosine",
    recall_at: Sequence[int] = command.RECALL_AT,
    diagnostics: Sequence[str] = (),
    device: str = "auto",
) -> dict[str, dict[str, float | None]]:
    """The scores of embeddings [n, D] with labels [n], as shares of 1, with intervals over classes.

    Arrays, tensors or lists. `is_query` and `is_gallery` [n] mark which images are searched for and
    in which gallery; all are where both are left out. `groups` [n] (cameras, sessions; -1 for none)
    take the images of a query's class and group out of its gallery. Of each score its `mean`, `low`
    and `high` (95 %, over classes), `queries` and `classes`; a diagnostic has a `mean` alone.
    A Problem where the arrays cannot be scored.
    """
    shared.known("distance", distance, DISTANCES)
    if not recall_at or any(type(k) is bool or k != int(k) or k < 1 for k in recall_at):
        raise Problem(f"recall_at = {list(recall_at)}: whole numbers of 1 or more are needed")
    on = shared.device_named(device)
    rows = embedding_files.checked_rows(_array("embeddings", embeddings), ROWS)
    columns = {"label": embedding_files.texts_of(LABELS, _array("labels", labels))}
    marks = {"is_query": is_query, "is_gallery": is_gallery, "group": groups}
    for name, values in marks.items():
        if values is not None:
            columns[name] = [_text(value) for value in _array(name, values).ravel().tolist()]
            sizes = [len(columns[one]) for one in (name, "label")]
            if sizes[0] != sizes[1]:
                raise Problem(
                    f"{name} has {sizes[0]:,} values and labels {sizes[1]:,}; value i of both must "
                    "be of the same image"
                )
    result = command.scores_of(
        [(scored.FIRST, embedding_files.Embeddings(ROWS, "", rows))],
        embedding_files.labels_of(columns, LABELS, sha256=""),
        distance=distance,
        recall_at=[int(k) for k in recall_at],
        diagnostics=diagnostics,
        device=on,
    )
    if result.unscored:
        warnings.warn(
            f"{result.unscored:,} queries have no other image of their class in their gallery and "
            "are not scored",
            stacklevel=2,
        )
    fields = ("mean", "low", "high", "queries", "classes")
    return {row["metric"]: {name: row[name] for name in fields} for row in scored.as_data(result)}


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    """Values as an array; texts that an array of objects holds become one of texts."""
    if hasattr(values, "detach"):  # a tensor of torch, on whatever device
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise Problem(f"{name} are no array: {error}; give rows of equal length") from None
    if array.dtype.kind != "O":
        return array
    return np.array([_text(value) for value in array.ravel().tolist()]).reshape(array.shape)


def _text(value: object) -> str:
    """A value as a file would hold it; nothing for a missing one."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.17g}"
    return "" if value is None else str(value)
