"""Scores as dots: every repeat, the mean and its interval, a loss a line."""

from __future__ import annotations

from typing import Any

from harness.report import drawing
from harness.report.sources import Render, Source, shown, slug
from harness.report.svg import BLUE, ORANGE, PAPER, SOFT
from harness.schema import BASELINES
from harness.tables import mean_text
from harness.tables.metrics import Metric


def figures(source: Source, metric: Metric, render: Render) -> list[str]:
    """A figure for each category that has scores."""
    return [
        render(
            f"{slug(source.address)}_forest_{metric.name}_{category}",
            f"{category} {metric.title} of {len(source.losses)} losses on {source.dataset}: "
            "each repeat, mean and 95 % interval",
            of_category(source, metric, category),
        )
        for category in source.categories
    ]


def _draw_outside(panel: Any, source: Source, metric: Metric, category: str) -> None:
    """An arrow and the mean for rows that need no loss, where they lie beyond the losses."""
    low, high = panel.get_xlim()
    for height, row in enumerate(source.table.rows):
        cell = row.cells[category, metric.name]
        if row.loss not in BASELINES or not cell.scores:
            continue
        mean = metric.scale * cell.mean
        if low <= mean <= high:
            continue
        left = mean < low
        panel.annotate(
            f"{'← ' if left else ''}{format(mean, metric.spec)}{'' if left else ' →'}",
            (low if left else high, height),
            xytext=(4 if left else -4, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            color=SOFT,
            fontsize=8.5,
        )


def of_category(source: Source, metric: Metric, category: str) -> Any:
    """The matplotlib figure of a category, rows in the order of the table."""
    table = source.table
    figure, panel = drawing.rows([shown(row.loss) for row in table.rows], 400)
    everything: list[float] = []
    searches = {
        line.loss: [metric.scale * mean for mean in line.means]
        for line in table.search_spreads
        if (line.category, line.metric) == (category, metric.name)
    }
    for height, row in enumerate(table.rows):
        cell = row.cells[category, metric.name]
        if not cell.scores:
            continue
        values = [metric.scale * value for value in cell.scores.values()]
        mean = metric.scale * cell.mean
        few = len(values) < mean_text.FEW or cell.interval is None
        half = 0.0 if few or cell.interval is None else metric.scale * cell.interval.half_width
        colour = SOFT if row.loss in BASELINES else ORANGE if cell.failed else BLUE
        if row.loss not in BASELINES or not source.losses_with_scores:
            everything += [*values, mean - half, mean + half]
        panel.plot(values, [height] * len(values), "o", color=colour, alpha=0.35, mew=0, ms=4)
        if half:
            panel.plot([mean - half, mean + half], [height] * 2, "-", color=colour, lw=1.6)
        after_each = searches.get(row.loss, [])
        everything += after_each
        panel.plot(after_each, [height] * len(after_each), "|", color=ORANGE, ms=13, mew=1.6)
        filled = cell.best or cell.tied_with_best
        panel.plot(
            [mean],
            [height],
            "X" if cell.failed else "D",
            color=colour,
            mfc=colour if filled else PAPER,
            ms=6,
            mew=1.3,
        )
    panel.set_xlim(drawing.limits(everything))
    _draw_outside(panel, source, metric, category)
    panel.set_title(f"{category.capitalize()}")
    panel.set_xlabel(f"test {metric.title}{', %' if metric.share else ''}")
    return figure
