"""The runs behind the numbers: cost, failures, held-out against test scores, scores by class."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.report import drawing
from harness.report.sources import Render, Source, finite, shown, slug
from harness.report.svg import BLUE, SOFT
from harness.schema import BASELINES, TRIAL_STAGES
from harness.tables import uncertainty
from harness.tables.table import Cell, Row

WORST = 12  # classes that are shown
MOST_LOSSES = 8  # losses beside each other in the table of classes


@dataclass(frozen=True)
class Runs:
    """What ran for a loss: counts, hours, the reasons of failures with how often each came."""

    loss: str
    done: int
    planned: int
    failed: int
    capped: str
    raced_out: int
    search_hours: float
    final_hours: float
    failures: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Classes:
    """The test classes with the lowest scores: a row each, a column a loss, in %."""

    category: str
    losses: tuple[str, ...]
    rows: tuple[tuple[int, int, tuple[float, ...]], ...]  # class, queries, scores
    n_classes: int
    n_losses: int


def runs(source: Source) -> list[Runs]:
    """The rows of the table, with what ran for each."""
    return [_runs(source, row) for row in source.table.rows]


def _runs(source: Source, row: Row) -> Runs:
    records = source.records[row.loss]
    capped = source.table.capped.get(row.loss)
    hours = {True: 0.0, False: 0.0}
    for record in records:
        hours[record.stage in TRIAL_STAGES] += record.seconds / 3600
    failures = Counter(record.failure for record in records if record.failure is not None)
    return Runs(
        loss=row.loss,
        done=sum(row.progress.done.values()),
        planned=sum(row.progress.planned.values()),
        failed=row.progress.failures,
        capped=f"{capped[0]} of {capped[1]}" if capped else "",
        raced_out=row.progress.raced_out,
        search_hours=hours[True],
        final_hours=hours[False],
        failures=tuple(failures.most_common()),
    )


def held_out_figure(source: Source, render: Render) -> str:
    """Held-out MAP@R of each best trial against its fold models' test scores; "" if none."""
    points = [
        (row.loss, 100 * row.progress.best_score, row.cells["aggregate", source.metrics[0].name])
        for row in source.table.rows
        if row.loss not in BASELINES and row.progress.best_score is not None
    ]
    points = [point for point in points if point[2].scores]
    if not points:
        return ""
    figure, panel = drawing.axes(440, 330)
    _draw_points(panel, points)
    panel.set_xlabel("held-out MAP@R of the best trial, %")
    panel.set_title("test MAP@R of its fold models (Aggregate), %")
    label = f"held-out against test MAP@R, a point a loss, on {source.dataset}"
    return render(f"{slug(source.address)}_held_out", label, figure)


def cost_figure(source: Source, render: Render) -> str:
    """The first category's first metric against the hours that a loss took; "" if there is none."""
    if not source.categories:
        return ""
    category, metric = source.categories[0], source.metrics[0]
    hours = {one.loss: one.search_hours + one.final_hours for one in runs(source)}
    points = [
        (row.loss, hours[row.loss], row.cells[category, metric.name])
        for row in source.table.rows
        if row.loss not in BASELINES and row.cells[category, metric.name].scores
    ]
    if not points:
        return ""
    figure, panel = drawing.axes(440, 330)
    _draw_points(panel, points)
    panel.set_xlabel("hours of all runs, search and final")
    panel.set_title(f"test {metric.title}, %, {category.capitalize()}")
    label = f"score against hours of computing, a point a loss, on {source.dataset}"
    return render(f"{slug(source.address)}_cost", label, figure)


def _draw_points(panel: Any, points: list[tuple[str, float, Cell]]) -> None:
    """A point a loss with its interval; names where there is room for them."""
    for _, x, cell in points:
        y = 100 * cell.mean
        half = 0.0 if cell.interval is None else 100 * cell.interval.half_width
        panel.plot([x, x], [y - half, y + half], color=SOFT, lw=1)
        panel.plot([x], [y], "o", color=BLUE, ms=6, mew=0)
    means = [100 * cell.mean for _, _, cell in points]
    spread = drawing.limits(means, 0.25)
    panel.set_ylim(spread)
    panel.set_xlim(drawing.limits(finite([x for _, x, _ in points]), 0.15))
    if len(points) <= 16:
        named = [(shown(loss), x, 100 * cell.mean) for loss, x, cell in points]
        drawing.labels_beside(panel, named)


def classes(source: Source) -> Classes | None:
    """The worst test classes by the mean over losses, of the first category that has them."""
    for category in source.categories:
        of_loss = {}
        queries = None
        for loss in source.losses:
            scores = uncertainty.class_means(
                source.study.for_loss(loss),
                loss,
                source.records[loss],
                category=category,
                metric="map_at_r",
            )
            if scores is not None:
                means, queries = scores
                of_loss[loss] = 100 * np.mean(means, axis=0)
        if queries is not None:
            mean = np.mean(list(of_loss.values()), axis=0)
            order = [int(c) for c in np.argsort(mean, kind="stable")[:WORST]]
            chosen = tuple(of_loss)[:MOST_LOSSES]
            rows = tuple(
                (c, int(queries[c]), tuple(_number(of_loss[loss][c]) for loss in chosen))
                for c in order
            )
            return Classes(category, chosen, rows, len(mean), len(of_loss))
    return None


def _number(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
