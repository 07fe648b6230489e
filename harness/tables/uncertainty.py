"""The test set's own uncertainty beside training's: bootstrap over classes, repeats and both.

Needs the scores by class that final runs leave in their records (for at most BY_CLASS test
classes). Only the first search's runs count, as in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.measure.bootstrap import Bootstrap, Over, sources_of_uncertainty
from harness.protocol import trials
from harness.schema import BY_CLASS, Record, Study
from harness.seeds import seed_from
from harness.tables import capped, markup, mean_text, search_spread
from harness.tables.failed import failed_repeats
from harness.tables.metrics import IN_PERCENT
from harness.tables.repeats import CATEGORIES, repeat_scores
from harness.tables.table import METRICS

Floats = npt.NDArray[np.float64]
HEAD = [
    "loss",
    "category",
    "metric",
    "mean",
    "over repeats",
    "over classes",
    "over both",
    "repeats",
    "classes",
]
SOURCES: tuple[Over, ...] = ("repeats", "classes", "repeats and classes")


@dataclass(frozen=True)
class Line:
    """One metric of one loss: its intervals, by what was drawn again.

    `values` are the repeats' scores. `failed` more repeats have none because a run failed.
    """

    loss: str
    category: str
    metric: str
    sources: Mapping[Over, Bootstrap]
    values: tuple[float, ...]
    failed: int = 0


def class_means(
    study: Study, loss: str, records: Sequence[Record], *, category: str, metric: str
) -> tuple[Floats, Floats] | None:
    """Class means [repeats, classes] and queries per class [classes], or None if there are none.

    Aggregate is the mean over the folds of a repeat; repeats with a failed or missing run are left
    out.
    """
    stage = "repeat" if category == "aggregate" else category
    winner = trials.winner_of(study, loss, records)
    by_repeat: dict[int, list[Record]] = {}
    for record in records:
        if (record.stage, record.trial, record.search_repeat) != (stage, winner, 0):
            continue
        if record.repeat is not None and record.repeat < study.repeats and record.by_class:
            by_repeat.setdefault(record.repeat, []).append(record)
    needed = study.folds if category == "aggregate" else 1
    complete = [by_repeat[repeat] for repeat in sorted(by_repeat)]
    complete = [runs for runs in complete if len(runs) == needed]
    if not complete:
        return None
    queries = np.array((complete[0][0].by_class or {})["queries"])
    means = [
        np.mean([np.array((run.by_class or {})[metric]) / queries for run in runs], axis=0)
        for runs in complete
    ]
    return np.array(means), queries


def lines(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], resamples: int = 10_000
) -> list[Line]:
    """The intervals of every loss, category and metric with two repeats and two classes or more.

    Draws are seeded by names: the same records give the same intervals.
    """
    result = []
    for loss, of_loss in records.items():
        failed = failed_repeats(study, loss, of_loss, searches=1)
        for category in CATEGORIES:
            for metric in METRICS:
                scores = class_means(study, loss, of_loss, category=category, metric=metric)
                if scores is None or min(scores[0].shape) < 2:
                    continue
                means, queries = scores
                seed = seed_from(study.name, dataset, "bootstrap", category, metric)
                rng = np.random.default_rng(seed)
                sources = sources_of_uncertainty(means, rng=rng, sizes=queries, resamples=resamples)
                result.append(
                    Line(
                        loss=loss,
                        category=category,
                        metric=metric,
                        sources=sources,
                        values=tuple((means @ queries / queries.sum()).tolist()),
                        failed=failed[category],
                    )
                )
    return result


def lacking(
    study: Study, records: Mapping[str, Sequence[Record]], rows: Sequence[Line]
) -> list[str]:
    """In words the losses and repeats that a table of scores has, and that are in no row here."""
    here = {(row.loss, row.category): len(row.values) for row in rows}
    words = []
    for loss, of_loss in records.items():
        scores = repeat_scores(study, loss, of_loss, metrics=["map_at_r"])
        for category in CATEGORIES:
            n, found = len(scores[category, "map_at_r"]), here.get((loss, category), 0)
            if n > max(found, 1):
                words.append(f"{loss} {category} {n - found} of {n} repeats")
    return words


def caption(
    rows: Sequence[Line],
    study: Study,
    dataset: str,
    counted: capped.Counts | None = None,
    *,
    lacking: Sequence[str] = (),
    unit: str = IN_PERCENT,
) -> str:
    """What each interval, in `unit`, is of, and given what.

    `counted` are the capped runs of each loss. `lacking` are in words the losses, or repeats of
    them, that have scores but none by class.
    """
    marked = {
        (line.loss, line.category): mean_text.survivors(len(line.values), line.failed)
        for line in rows
        if line.failed
    }
    text = (
        f"{dataset}, study {study.name}: test scores {unit}, in brackets 95 % percentile bootstrap "
        "intervals (10,000 draws). over repeats: the repeats drawn anew, given these test classes: "
        "training noise given the configuration chosen. over classes: the test classes drawn anew, "
        "given these trained models: how much another test set of such classes would change. over "
        "both: repeats and classes drawn anew. None holds the noise of the search. Over n repeats "
        "the percentile interval is narrow, by about sqrt((n - 1) / n), and the table's t interval "
        f"is the one to quote; of fewer than {mean_text.FEW} repeats each one stands in brackets "
        "in its place, and the interval over both is too narrow as well. Scores by class are not "
        f"kept for more than {BY_CLASS} test classes."
    )
    if study.search_repeats > 1:
        text += " " + search_spread.first_alone(study.search_repeats)
    lines = mean_text.survivors_line(marked) + capped.line(counted or {})
    if lacking:
        lines.insert(0, f"NO SCORES by class, so not here: {'; '.join(lacking)}.")
    return "\n".join([text, *lines])


def text(rows: Sequence[Line], words: str, study: Study, dataset: str, *, form: str) -> str:
    """The intervals as markdown, LaTeX or CSV, with the caption `words`.

    CSV holds shares of 1 and every end by itself, and names study and dataset. There must be a row.
    """
    if form != "csv":
        write = markup.latex if form == "latex" else markup.markdown
        return write(HEAD, _body(rows), words)
    data = [{"study": study.name, "dataset": dataset, **row} for row in as_data(rows)]
    return markup.comma_separated(list(data[0]), [list(row.values()) for row in data], words)


def _body(rows: Sequence[Line]) -> list[list[str]]:
    body = []
    for line in rows:
        first = line.sources["repeats"]  # the mean and the counts are the same in every source
        intervals = [
            f"[{100 * each.low:.2f}, {100 * each.high:.2f}]"
            for each in (line.sources[over] for over in SOURCES)
        ]
        if len(line.values) < mean_text.FEW:
            listed = "; ".join(f"{100 * value:.2f}" for value in line.values)
            intervals[0] = f"({listed})"
        body.append(
            [
                line.loss,
                line.category,
                METRICS[line.metric],
                f"{100 * first.mean:.2f}",
                *intervals,
                mean_text.survivors(first.n_repeats, line.failed) or str(first.n_repeats),
                str(first.n_classes),
            ]
        )
    return body


def as_data(rows: Sequence[Line]) -> list[dict[str, Any]]:
    """The intervals for machines, as shares of 1."""
    data = []
    for line in rows:
        first = line.sources["repeats"]  # the mean and the counts are the same in every source
        row: dict[str, Any] = {
            "loss": line.loss,
            "category": line.category,
            "metric": line.metric,
            "mean": first.mean,
            "repeats": first.n_repeats,
            "classes": first.n_classes,
            "failed": line.failed,
        }
        for over in SOURCES:
            name, interval = over.replace(" ", "_"), line.sources[over]
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        data.append(row)
    return data
