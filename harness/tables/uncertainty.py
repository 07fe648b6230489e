"""The test set's own uncertainty beside training's: bootstrap over classes, repeats and both.

Needs the scores by class that final runs leave in their records (not for more than BY_CLASS test
classes). The first search's runs alone, as in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.measure.bootstrap import Bootstrap, Over, sources_of_uncertainty
from harness.protocol import plan
from harness.schema import BY_CLASS, Record, Study
from harness.seeds import seed_from
from harness.tables import markup
from harness.tables.table import CATEGORIES, METRICS

Floats = npt.NDArray[np.float64]
HEAD = ("loss", "category", "metric", "mean", "over repeats", "over classes", "over both",
        "repeats", "classes")  # fmt: skip
SOURCES: tuple[Over, ...] = ("repeats", "classes", "repeats and classes")


@dataclass(frozen=True)
class Line:
    """One score of one loss: its intervals by what was drawn anew."""

    loss: str
    category: str
    metric: str
    sources: Mapping[Over, Bootstrap]


def by_class_of(
    study: Study, loss: str, records: Sequence[Record], category: str, metric: str
) -> tuple[Floats, Floats] | None:
    """Class means [repeats, classes] and queries per class [classes], or None if not kept.

    Aggregate is the mean over the folds of a repeat; repeats with a failed or missing run are left
    out.
    """
    stage = "repeat" if category == "aggregate" else category
    winner = plan.winner_of(study, loss, records)
    runs: dict[int, list[Record]] = {}
    for record in records:
        if (record.stage, record.trial, record.search_repeat) != (stage, winner, 0):
            continue
        if record.repeat is not None and record.repeat < study.repeats and record.by_class:
            runs.setdefault(record.repeat, []).append(record)
    needed = study.folds if category == "aggregate" else 1
    whole = [runs[repeat] for repeat in sorted(runs) if len(runs[repeat]) == needed]
    if not whole:
        return None
    queries = np.array((whole[0][0].by_class or {})["queries"])
    told = [[np.array((r.by_class or {})[metric]) / queries for r in one] for one in whole]
    return np.array([np.mean(one, axis=0) for one in told]), queries


def lines(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], resamples: int = 10_000
) -> list[Line]:
    """The intervals of every loss, category and metric with two repeats and two classes or more.

    Draws are seeded by names: the same records give the same intervals.
    """
    found = []
    for loss, told in records.items():
        for category in CATEGORIES:
            for metric in METRICS:
                scores = by_class_of(study, loss, told, category, metric)
                if scores is None or min(scores[0].shape) < 2:
                    continue
                seed = seed_from(study.name, dataset, "bootstrap", category, metric)
                rng = np.random.default_rng(seed)
                sources = sources_of_uncertainty(
                    scores[0], rng=rng, sizes=scores[1], resamples=resamples
                )
                found.append(Line(loss, category, metric, sources))
    return found


def caption(study: Study, dataset: str) -> str:
    """What each interval is of, and given what."""
    return (
        f"{dataset}, study {study.name}: test scores in %, in brackets 95 % percentile bootstrap "
        "intervals (10,000 draws). over repeats: the repeats drawn anew, given these test classes: "
        "training noise given the configuration chosen. over classes: the test classes drawn anew, "
        "given these trained models: how much another test set of such classes would change. over "
        "both: repeats and classes drawn anew. None holds the noise of the search. Over n repeats "
        "the percentile interval is narrow, by about sqrt((n - 1) / n), and the table's t interval "
        f"is the one to quote. Scores by class are not kept for more than {BY_CLASS} test classes."
    )


def _body(told: Sequence[Line]) -> list[list[str]]:
    body = []
    for line in told:
        one = line.sources["repeats"]
        intervals = [line.sources[over] for over in SOURCES]
        body.append(
            [
                *(line.loss, line.category, METRICS[line.metric], f"{100 * one.mean:.2f}"),
                *(f"[{100 * found.low:.2f}, {100 * found.high:.2f}]" for found in intervals),
                *(str(one.n_repeats), str(one.n_classes)),
            ]
        )
    return body


def text(form: str, study: Study, dataset: str, told: Sequence[Line]) -> str:
    """The intervals as markdown, LaTeX or CSV; CSV holds shares of 1 and every end by itself."""
    if form != "csv":
        write = markup.latex if form == "latex" else markup.markdown
        return write(HEAD, _body(told), caption(study, dataset))
    rows = as_data(told)
    head = list(rows[0]) if rows else ["loss", "category", "metric", "mean"]
    return markup.comma_separated(head, [list(r.values()) for r in rows], caption(study, dataset))


def as_data(told: Sequence[Line]) -> list[dict[str, Any]]:
    """The intervals for machines, as shares of 1."""
    rows = []
    for line in told:
        one = line.sources["repeats"]
        row: dict[str, Any] = {"loss": line.loss, "category": line.category, "metric": line.metric}
        row |= {"mean": one.mean, "repeats": one.n_repeats, "classes": one.n_classes}
        for over in SOURCES:
            name = over.replace(" ", "_")
            found = line.sources[over]
            row |= {f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return rows
