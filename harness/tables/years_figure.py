"""Scores by the year of a loss's publication: has the field moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.schema import Problem
from harness.tables import figure, mean_text
from harness.tables.order import YEAR, Order
from harness.tables.table import Table

LABEL = 0.13  # inches of height that a label takes
STEP = 0.08  # columns that a dot steps aside
HEIGHT, BASE = 4.0, 1.6  # inches of the panel at least, and of all around it


def draw(path: Path, order: Order, table: Table, kinds: Mapping[str, str]) -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    figure.save(years_figure(order, table, kinds), path)


def years_figure(order: Order, table: Table, kinds: Mapping[str, str]) -> Any:
    """A matplotlib figure: means with 95 % t intervals, a column for each year that has a loss.

    Colours are kinds of losses, dashed lines the baselines. A loss without a file here has no year
    and is not drawn. Problem where none has one.
    """
    from matplotlib.figure import Figure

    line = order.line(YEAR)
    years = line.values if line is not None else {}
    drawn = [loss for loss in order.losses if loss in years]
    if not drawn:
        raise Problem(f"{order.dataset}, study {order.study}: no loss has a file with its year")
    colours = {kind: f"C{place}" for place, kind in enumerate(sorted({*kinds.values()}))}
    columns = sorted({int(years[loss]) for loss in drawn})
    by_year = {  # from the top of the panel down
        year: sorted(
            (loss for loss in drawn if years[loss] == year), key=lambda a: -order.scores[a]
        )
        for year in columns
    }
    fullest = max(map(len, by_year.values()))
    height = max(HEIGHT, 1.5 * LABEL * fullest)
    canvas = Figure(figsize=(2.6 + 1.25 * len(columns), BASE + height), layout="constrained")
    panel = canvas.subplots()
    scale = order.metric.scale
    shown = [scale * value for value in (*order.scores.values(), *order.baselines.values())]
    gap = LABEL / height * 1.1 * (max(shown) - min(shown))
    cells = {row.loss: row.cells[order.category, order.metric.name] for row in table.rows}
    for place, losses in enumerate(by_year.values()):
        means = [scale * cells[loss].mean for loss in losses]
        beside = zip(losses, means, aside(means, gap / 2), spread(means, gap), strict=True)
        for loss, mean, shift, height_of in beside:
            interval = cells[loss].interval
            n = len(cells[loss].scores)
            panel.errorbar(
                place + shift,
                mean,
                yerr=scale * interval.half_width if interval and n >= mean_text.FEW else None,
                fmt="o",
                markersize=4,
                capsize=2,
                color=colours[kinds[loss]],
            )
            panel.annotate(
                loss,
                (place + shift, mean),
                (place + 0.12, height_of),
                fontsize=6.5,
                va="center",
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.5},
            )
    for name, value in order.baselines.items():
        panel.axhline(scale * value, color="0.5", linestyle="--", linewidth=0.8, zorder=0)
        panel.annotate(name, (-0.45, scale * value), fontsize=6.5, color="0.4", va="bottom")
    panel.set_xticks(range(len(columns)), [str(year) for year in columns])
    panel.set_xlim(-0.5, len(columns) + 0.05)
    panel.margins(y=0.06)
    unit = ", %" if order.metric.share else ""
    panel.set_ylabel(f"{order.category} {order.metric.title}{unit}")
    panel.set_xlabel("year of publication (years without a loss are left out)")
    panel.grid(axis="y", alpha=0.3)
    for kind, colour in colours.items():
        panel.plot([], [], "o", color=colour, markersize=4, label=kind)
    panel.legend(
        title="kind of loss",
        fontsize="small",
        title_fontsize="small",
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    canvas.suptitle(
        _title(
            order,
            max(len(cells[loss].scores) for loss in drawn),
            searches=table.study.searches,
        ),
        fontsize="medium",
    )
    return canvas


def aside(heights: Sequence[float], gap: float) -> list[float]:
    """How far dots at these heights, highest first, step to the left so that none hides the next.

    Those that follow each other less than `gap` apart take 0, 1, 2 steps in turn.
    """
    steps = [0] * len(heights)
    for i in range(1, len(heights)):
        if heights[i - 1] - heights[i] < gap:
            steps[i] = (steps[i - 1] + 1) % 3
    return [-STEP * count for count in steps]


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights, highest first, moved as little as possible until they lie `gap` apart.

    Least squares under the constraint, which is an isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    steps = gap * np.arange(len(heights))
    moved = isotonic_regression(np.asarray(heights) + steps, increasing=False).x - steps
    return [float(height) for height in moved]


def _title(order: Order, n: int, *, searches: bool) -> str:
    bars = f" and 95 % interval over {n} repeats" if n >= mean_text.FEW else f" of {n} repeats"
    given = "given one search of each loss, " if searches else ""
    title = f"{order.dataset}, study {order.study}: mean{bars}, {given}by year of publication"
    year = order.line(YEAR)
    if year is None or year.correlation is None:
        return title
    found = year.correlation
    interval = f" ({found.bounds})" if found.bounds and not order.variants else ""
    lower = " (above 0: later losses have lower values, which are better)"
    return (
        f"{title}\nKendall's tau of score and year {found.tau:.2f}{interval}, n = {found.n}"
        f"{lower if order.metric.sign < 0 else ''}"
    )
