"""Scores of embeddings in files, with intervals over classes, as text: what `score` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.measure.bootstrap import Bootstrap, over_classes
from harness.schema import DIAGNOSTICS
from harness.seeds import seed_from
from harness.tables import markup
from harness.tables.table import METRICS

Floats = npt.NDArray[np.float64]
FIRST, SECOND, DIFFERENCE = "A", "B", "A - B"
SHARES = "as shares of 1"


@dataclass(frozen=True)
class Scored:
    """The scores of one file of embeddings or of two, A and B, by metric.

    `intervals` maps A, and with two files B and A - B, to metric -> mean and interval;
    `diagnostics` maps A and B to diagnostic -> value, which has no interval;
    None where it is infinite or not defined.
    """

    intervals: Mapping[str, Mapping[str, Bootstrap]]
    queries: int  # that have a positive in their gallery: they are scored
    unscored: int  # the other queries
    classes: int  # that have scored queries
    search: str  # queries, galleries and distance, in sentences
    files: Mapping[str, str]  # what a file holds -> its name and SHA-256
    diagnostics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def with_intervals(by_class: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """The intervals of `Scored` from sums by class (measure/scores.py) of A, or of A and B.

    Every score and the differences are resampled by the same draws of classes, seeded by names: the
    same files give the same intervals.
    """
    queries = np.array(next(iter(by_class.values()))["queries"])
    metrics = [name for name in next(iter(by_class.values())) if name != "queries"]
    means: dict[str, Floats] = {
        name: np.array([sums[metric] for metric in metrics]) / queries
        for name, sums in by_class.items()
    }
    if SECOND in means:
        means[DIFFERENCE] = means[FIRST] - means[SECOND]
    rng = np.random.default_rng(seed_from("score", "bootstrap"))
    rows = over_classes(np.concatenate(list(means.values())), rng=rng, sizes=queries)
    return {
        name: dict(zip(metrics, rows[i * len(metrics) :], strict=False))
        for i, name in enumerate(means)
    }


def text(scored: Scored, *, form: str) -> str:
    """The scores as markdown (in %) or CSV (as shares of 1)."""
    if form == "csv":
        rows = as_data(scored)
        return markup.comma_separated(
            list(rows[0]), [list(r.values()) for r in rows], _caption(scored, SHARES)
        )
    head = ["metric"]
    for name in scored.intervals:
        head += [name, "95 % over classes"]
    body = []
    for metric in scored.intervals[FIRST]:
        row = [shown(metric)]
        for name, of_name in scored.intervals.items():
            interval, sign = of_name[metric], "+" if name == DIFFERENCE else ""
            row.append(f"{100 * interval.mean:{sign}.2f}")
            row.append(f"[{100 * interval.low:{sign}.2f}, {100 * interval.high:{sign}.2f}]")
        body.append(row)
    for diagnostic, values in _diagnostics(scored).items():
        digits, factor = (2, 100) if DIAGNOSTICS[diagnostic].share else (4, 1)
        row = [DIAGNOSTICS[diagnostic].title]
        for name, value in values.items():
            sign = "+" if name == DIFFERENCE else ""
            row += ["-" if value is None else f"{factor * value:{sign}.{digits}f}", "-"]
        body.append(row)
    return markup.markdown(head, body, _caption(scored, "in %"))


def _diagnostics(scored: Scored) -> dict[str, dict[str, float | None]]:
    """Diagnostic -> A, and with two files B and A - B -> value, of those that were asked for."""
    asked = [name for name in DIAGNOSTICS if name in scored.diagnostics.get(FIRST, {})]
    rows = {name: {key: of[name] for key, of in scored.diagnostics.items()} for name in asked}
    for values in rows.values():
        if SECOND in values:
            a, b = values[FIRST], values[SECOND]
            values[DIFFERENCE] = None if a is None or b is None else a - b
    return rows


def as_data(scored: Scored) -> list[dict[str, Any]]:
    """The scores for machines, one row a score, as shares of 1; diagnostics without an interval."""
    diagnostics = [
        {
            "metric": diagnostic,
            "embeddings": name,
            "mean": value,
            "low": None,
            "high": None,
            "queries": None,
            "classes": None,
        }
        for diagnostic, values in _diagnostics(scored).items()
        for name, value in values.items()
    ]
    return [*_rows(scored), *diagnostics]


def _rows(scored: Scored) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "embeddings": name,
            "mean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "queries": scored.queries,
            "classes": scored.classes,
        }
        for name, of_name in scored.intervals.items()
        for metric, interval in of_name.items()
    ]


def as_json(scored: Scored) -> dict[str, Any]:
    """The scores with all that the caption says, for machines."""
    return {
        "scores": as_data(scored),
        "queries": scored.queries,
        "queries_without_a_positive": scored.unscored,
        "classes": scored.classes,
        "files": dict(scored.files),
        "caption": _caption(scored, SHARES),
    }


def shown(metric: str) -> str:
    """A metric's name as tables show it."""
    return METRICS.get(metric) or metric.replace("recall_at_", "R@")


def _caption(scored: Scored, unit: str) -> str:
    first = next(iter(scored.intervals[FIRST].values()))
    scores = f"Scores {unit}, means over {scored.queries:,} queries of {scored.classes:,} classes."
    if scored.unscored:
        scores += (
            f" {scored.unscored:,} more queries have no other image of their class in their "
            "gallery and are not scored."
        )
    intervals = (
        f"Intervals: 95 % percentile bootstrap, {first.resamples:,} draws of the classes, given "
        "these embeddings: how much other classes of this kind would change the scores. They hold "
        "no noise of training."
    )
    if DIFFERENCE in scored.intervals:
        intervals += (
            " A - B is paired: both are scored on the same queries, and on the same draws of "
            "classes."
        )
    if rows := _diagnostics(scored):
        intervals += (
            f" {', '.join(DIAGNOSTICS[name].title for name in rows)}: of all rows together, "
            "queries or not, so without an interval over classes."
        )
        lacking = [
            f"{DIAGNOSTICS[diagnostic].title} of {name}"
            for diagnostic, values in rows.items()
            for name in (FIRST, SECOND)
            if name in values and values[name] is None
        ]
        if lacking:
            intervals += f" Infinite or not defined, so without a value: {', '.join(lacking)}."
    files = [f"{name}: {file}" for name, file in scored.files.items()]
    return "\n".join([f"{scores} {scored.search}", intervals, *files])
