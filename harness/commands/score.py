"""`score`: the scores of embeddings in a file, without training, with intervals over classes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.embedding_files import Embeddings, Labels
    from harness.tables.scored import Scored

HELP = "score embeddings in a file, without training, with intervals over classes"
EPILOG = """\
Row i of EMBEDDINGS [n, D] (.npy, or .npz with one array) and row i of LABELS are of the same image.
LABELS is a .npy file [n], or a .csv file with the column `label` and, where needed,
  is_query    which images are queries (true or false, 1 or 0); left out: all are
  is_gallery  which images are in the gallery; left out: those that are no query, or all
  group       the camera or session: a query's gallery leaves out the images of its class and group
Queries and gallery in two files: put them one below the other and mark them in LABELS."""

RECALL_AT = (1, 2, 4, 8)
DISTANCES = {
    "cosine": "Neighbours by cosine similarity, exactly, ties by row.",
    "euclidean": "Neighbours by Euclidean distance between the rows as they are, exactly, ties by "
    "row.",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("embeddings", type=Path, metavar="EMBEDDINGS")
    add("labels", type=Path, metavar="LABELS")
    add(
        "--also",
        type=Path,
        metavar="EMBEDDINGS",
        help="embeddings of the same images by another model: also print the paired difference",
    )
    add(
        "--distance",
        choices=("cosine", "euclidean"),
        default="cosine",
        help="cosine: rows are brought to unit length; euclidean: as they are (default: "
        "%(default)s)",
    )
    add(
        "--recall-at",
        type=shared.count,
        nargs="+",
        default=RECALL_AT,
        metavar="K",
        help="the K of R@K, at most the number of rows (default: 1 2 4 8)",
    )
    add(
        "--diagnostics",
        nargs="+",
        metavar="NAME",
        help="also of all rows together, without intervals: nmi, ami, f1 (k-means, which needs "
        "faiss), uniformity, alignment, ...; `study --help` says what each is",
    )
    add("--format", choices=("markdown", "csv", "json"), default="markdown")
    shared.add_json(parser)
    shared.add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Print the scores of one file of embeddings, or of two with their difference."""
    from harness.data import embedding_files
    from harness.tables import scored

    device = shared.device_named(options.device)
    labels = embedding_files.read_labels(options.labels)
    paths = {scored.FIRST: options.embeddings}
    if options.also is not None:
        paths[scored.SECOND] = options.also
    result = scores_of(
        ((name, embedding_files.read_embeddings(path)) for name, path in paths.items()),
        labels,
        distance=options.distance,
        recall_at=options.recall_at,
        diagnostics=options.diagnostics or (),
        device=device,
    )
    if options.format == "json":
        print(json.dumps(scored.as_json(result)))
    else:
        sys.stdout.write(scored.text(result, form=options.format))


def scores_of(
    files: Iterable[tuple[str, Embeddings]],
    labels: Labels,
    *,
    distance: str,
    recall_at: Sequence[int],
    diagnostics: Sequence[str],
    device: str,
) -> Scored:
    """The scores of the embeddings A, or of A and B, with their intervals over classes."""
    from harness.schema import Problem
    from harness.tables import scored

    names = _diagnostic_names(diagnostics, labels)
    n = len(labels.labels)
    if tuple(recall_at) != RECALL_AT and max(recall_at) > n:
        raise Problem(f"R@{max(recall_at)}: {labels.path} has {n:,} rows; give K of at most {n}")
    by_class, lines, of_rows, queries = {}, {}, {}, 0.0
    for name, embeddings in files:
        shape = " x ".join(f"{size:,}" for size in embeddings.rows.shape)
        lines[name] = f"{embeddings.path.name} ({shape}), SHA-256 {embeddings.sha256}"
        by_class[name] = _sums_by_class(embeddings, labels, distance, recall_at, device)
        if names:
            values = _diagnostics(names, embeddings, labels, distance)
            of_rows[name] = {diagnostic: values.get(diagnostic) for diagnostic in names}
        queries = sum(by_class[name]["queries"])
    classes = len(by_class[scored.FIRST]["queries"])
    if classes < 2:
        raise Problem(
            f"{labels.path}: only queries of one class have a positive in their gallery, and an "
            "interval over classes needs two; add images or queries of other classes"
        )
    lines["labels"] = f"{labels.path.name}, SHA-256 {labels.sha256}"
    return scored.Scored(
        intervals=scored.with_intervals(by_class),
        queries=int(queries),
        unscored=_n_queries(labels) - int(queries),
        classes=classes,
        search=f"{_search(labels)} {DISTANCES[distance]}",
        files=lines,
        diagnostics=of_rows,
    )


def _diagnostic_names(given: Sequence[str], labels: Labels) -> list[str]:
    """The diagnostics that are asked for; Problem where one is unknown or cannot be had."""
    from harness.measure import diagnostics
    from harness.schema import DIAGNOSTICS, Problem

    without_training = [name for name in DIAGNOSTICS if name not in diagnostics.OF_TRAINING]
    names = [shared.known("diagnostic of a file", name, without_training) for name in given]
    if (reason := diagnostics.undefined(names, labels.labels)) is not None:
        raise Problem(f"{labels.path}: {reason}; leave it out of --diagnostics")
    return names


def _diagnostics(
    names: list[str], embeddings: Embeddings, labels: Labels, distance: str
) -> dict[str, float]:
    """The diagnostics of a file's rows, as they are compared."""
    import torch

    from harness.measure.diagnostics import diagnostics
    from harness.seeds import seed_from

    rows = _rows(embeddings, distance)
    seed = seed_from("score", "k-means")
    return diagnostics(names, rows, torch.from_numpy(labels.labels), seed=seed)


def _sums_by_class(
    embeddings: Embeddings, labels: Labels, distance: str, recall_at: Sequence[int], device: str
) -> dict[str, list[float]]:
    """Every score's sums by class, and the number of queries that are scored."""
    import torch

    from harness.measure.scores import neighbour_lists, sums_by_class
    from harness.schema import Problem

    if len(embeddings.rows) != len(labels.labels):
        raise Problem(
            f"{embeddings.path} holds {len(embeddings.rows):,} rows and {labels.path} "
            f"{len(labels.labels):,} labels; row i of both must be of the same image"
        )
    rows = _rows(embeddings, distance).to(device)
    is_query, is_gallery, groups = (
        None if values is None else torch.from_numpy(values)
        for values in (labels.is_query, labels.is_gallery, labels.groups)
    )
    try:
        lists = neighbour_lists(
            rows,
            torch.from_numpy(labels.labels),
            recall_at=sorted(set(recall_at)),
            is_query=is_query,
            is_gallery=is_gallery,
            groups=groups,
        )
    except ValueError as error:
        raise Problem(f"{labels.path}: {error}; check its labels and marks") from None
    return sums_by_class(lists, recall=True)


def _rows(embeddings: Embeddings, distance: str) -> Tensor:
    """The rows as they are compared: at unit length in float64 for cosine, else as they are."""
    import torch

    from harness.schema import Problem

    rows = torch.from_numpy(embeddings.rows)
    largest = rows.abs().amax(1, keepdim=True)
    if distance == "euclidean":
        # A power of 2 changes no order, and squares of float64 then neither vanish nor overflow.
        exponent = torch.frexp(largest.max().double()).exponent.clamp(min=-1000).double()
        return rows * torch.exp2(-exponent) if rows.dtype == torch.float64 else rows
    if not bool(largest.all()):
        raise Problem(
            f"{embeddings.path}: row {int(largest.flatten().argmin())} (from 0) is all zeros and "
            "has no direction; leave the image out, or give --distance euclidean"
        )
    rows = rows.double() / largest
    return rows.div_(rows.norm(dim=1, keepdim=True))


def _n_queries(labels: Labels) -> int:
    return len(labels.labels) if labels.is_query is None else int(labels.is_query.sum())


def _search(labels: Labels) -> str:
    """Which images are searched for and in which gallery, in a sentence."""
    n = len(labels.labels)
    if labels.is_query is None and labels.is_gallery is None:
        text = f"Each of {n:,} images queries all others."
    else:
        is_gallery = labels.is_gallery
        in_gallery = n - _n_queries(labels) if is_gallery is None else int(is_gallery.sum())
        text = (
            f"{_n_queries(labels):,} queries, {in_gallery:,} images in the gallery, of {n:,} "
            "images; no query is its own neighbour."
        )
    if labels.groups is not None:
        count = len(set(labels.groups.tolist()) - {-1})
        none = int((labels.groups == -1).sum())
        text += (
            f" A query's gallery leaves out the images of its class and group; there are {count:,} "
            f"groups, and {none:,} images in none."
        )
    if labels.unread:
        text += f" Columns that nothing reads: {', '.join(labels.unread)}."
    return text
