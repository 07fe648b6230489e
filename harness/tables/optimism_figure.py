"""The figure of the study `optimism`: what choosing on test classes is worth, over the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.measure.optimism import QUANTITIES
from harness.schema import Problem
from harness.tables.figure import save
from harness.tables.optimism import Row, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"optimism": "C1", "gain": "C0", "total": "0.3"}
LINES = {"optimism": "-", "gain": "-", "total": ":"}


def draw(table: Table, path: Path) -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    save(figure_of(table), path)


def figure_of(table: Table) -> Figure:
    """A panel for each loss: points of MAP@R over k.

    Bands are 95 % intervals over test classes, thin lines where 95 % of single searches lie, up to
    half of the pool. Problem without any curve.
    """
    from matplotlib.figure import Figure

    rows = [row for row in table.rows if row.curves]
    if not rows:
        raise Problem(
            f"--figure: no loss of {table.study.name}/{table.dataset} has two finished "
            "configurations yet; run the study on"
        )
    figure = Figure(figsize=(max(7.5, 2.9 * len(rows)), 4.0), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(rows), sharey=True))
    for panel, row in zip(panels, rows, strict=True):
        _draw_panel(panel, row)
    panels[0].set_ylabel("points of MAP@R")
    panels[0].legend(loc="upper left", fontsize="small", frameon=False)
    figure.suptitle(
        f"{table.dataset}, study {table.study.name}: choosing on half of the test classes instead "
        "of held-out ones\nbands: 95 % over test classes; thin lines: 95 % of single searches",
        fontsize="medium",
    )
    return figure


def _draw_panel(panel: Any, row: Row) -> None:
    """The three quantities of a loss on matplotlib axes."""
    sizes = np.arange(1, row.size + 1)
    for name in QUANTITIES:
        mean, colour = 100 * row.worth[name], COLOURS[name]
        panel.plot(sizes, mean, LINES[name], color=colour, label=name)
        if name == "total":
            continue
        if row.over_classes is not None:
            width = 100 * row.over_classes[name]
            panel.fill_between(sizes, mean - width, mean + width, color=colour, alpha=0.2, lw=0)
        ranges = {k: ends for k, ends in row.over_searches[name].items() if 2 * k <= row.size}
        for end in (0, 1):
            values = [100 * ends[end] for ends in ranges.values()]
            panel.plot(list(ranges), values, color=colour, linewidth=0.6)
    panel.axhline(0, color="black", linewidth=0.6)
    panel.set_xscale("log")
    panel.set_xticks([k for k in (1, 3, 10, 30, 100, 300) if k <= row.size])
    panel.get_xaxis().set_major_formatter("{x:g}")
    panel.set_title(f"{row.loss}\n{row.size} configurations", fontsize="medium")
    panel.set_xlabel("configurations k")
    panel.grid(alpha=0.3)
