"""A table as a picture: one panel per category, a dot and its interval per loss."""

from __future__ import annotations

from pathlib import Path

from harness import records
from harness.schema import UNTRAINED
from harness.tables import CATEGORIES, METRICS, Table


def draw(table: Table, path: Path, metric: str = "map_at_r") -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all.

    Dots are means over the repeats in %, bars their 95 % t intervals; filled: the best of the
    panel and what is not separable from it.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(reversed(table.rows))
    figure, panels = pyplot.subplots(
        1, len(CATEGORIES), sharey=True, figsize=(10, 1.6 + 0.32 * len(rows)), layout="constrained"
    )
    for panel, category in zip(panels, CATEGORIES, strict=True):
        for height, row in enumerate(rows):
            cell = row.cells[category, metric]
            if not cell.values:
                continue
            mean = 100 * sum(cell.values.values()) / len(cell.values)
            half = 100 * cell.interval.half_width if cell.interval else 0.0
            colour = "0.55" if row.loss == UNTRAINED else "C0"
            filled = cell.best or cell.tied_with_best
            panel.errorbar(
                mean,
                height,
                xerr=half,
                fmt="o",
                color=colour,
                mfc=colour if filled else "white",
                capsize=3,
            )
        dim = {"aggregate": table.study.dim, "complete": table.study.complete_dim}.get(
            category, table.study.dim * table.study.folds
        )
        panel.set_title(f"{category.capitalize()} ({dim}-d)")
        panel.set_xlabel(f"test {METRICS[metric]}, %")
        panel.set_xlim(left=0)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(rows)), [row.loss for row in rows])
    panels[0].set_ylim(-0.6, len(rows) - 0.4)
    n = max((len(c.values) for row in rows for c in row.cells.values()), default=0)
    figure.suptitle(
        f"{table.dataset}, study {table.study.name}: mean and 95 % interval over {n} repeats; "
        "filled: best or not separable from it",
        fontsize="medium",
    )
    with records.replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.removeprefix(".") or "png")
    pyplot.close(figure)
