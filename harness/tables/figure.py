"""Figures: a table as dots with their intervals, and ranks as a critical-difference diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files
from harness.measure.ranks import Ranks
from harness.schema import BASELINES
from harness.tables import mean_text
from harness.tables.metrics import Metric
from harness.tables.table import Table

MOST_NUMBERS = 20  # ranks on an axis above which every fifth has a number


def draw_table(table: Table, path: Path) -> None:
    """Write the table's figure to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    save(table_figure(table), path)


def table_figure(table: Table) -> Any:
    """The table as a matplotlib figure, a loss a line, a category a panel.

    It shows the first metric: dots are means over the repeats (of scores in %), bars their 95 % t
    intervals; filled: the best of the panel and what is not separable from it. Of few repeats each
    is a small tick, without a bar. A cross is a mean of survivors, with how many of how many. Where
    the search was repeated a diamond is the mean after each search, the first one's under the dot.
    """
    from matplotlib.figure import Figure

    losses = [row.loss for row in reversed(table.rows)]
    categories = table.categories
    figure = Figure(figsize=(10, 1.6 + 0.32 * len(losses)), layout="constrained")
    # one scale of scores for all, which need not begin at 0: dots have no length to be compared
    panels = figure.subplots(1, len(categories), sharex=True, sharey=True, squeeze=False)[0]
    for panel, category in zip(panels, categories, strict=True):
        _draw_panel(panel, table, category, table.metrics[0])
    panels[0].set_yticks(range(len(losses)), losses)
    panels[0].set_ylim(-0.6, len(losses) - 0.4)
    n = max((len(cell.scores) for row in table.rows for cell in row.cells.values()), default=0)
    bars = "95 % interval" if n >= mean_text.FEW else "each repeat (ticks)"
    study = table.study
    title = (
        f"{table.dataset}, study {study.name}: mean and {bars} over {n} repeats; "
        "filled: best or not separable from it"
    )
    if any(cell.failed for row in table.rows for cell in row.cells.values()):
        title += "; cross: the other repeats failed"
    if table.search_spreads:
        title += (
            f"\ndots: the first of {study.search_repeats} searches; diamonds: the mean after each"
        )
    capped_runs = sum(count for count, _ in table.capped.values())
    if capped_runs:
        runs = sum(runs for _, runs in table.capped.values())
        title += f"\nCAPPED: {capped_runs} of {runs} runs ended at their limit, not at a plateau"
    figure.suptitle(title, fontsize="medium")
    return figure


def _draw_panel(panel: Any, table: Table, category: str, metric: Metric) -> None:
    """One category on matplotlib axes: a loss a line, the best at the top."""
    scale = metric.scale
    searches = {
        line.loss: line.means
        for line in table.search_spreads
        if (line.category, line.metric) == (category, metric.name)
    }
    for height, row in enumerate(reversed(table.rows)):
        cell = row.cells[category, metric.name]
        if not cell.scores:
            continue
        colour = "0.55" if row.loss in BASELINES else "C0"
        means = [scale * mean for mean in searches.get(row.loss, ())]
        panel.plot(means, [height] * len(means), "d", color="C1", markersize=6)
        filled = cell.best or cell.tied_with_best
        few = len(cell.scores) < mean_text.FEW
        panel.errorbar(
            scale * cell.mean,
            height,
            xerr=None if few or cell.interval is None else scale * cell.interval.half_width,
            fmt="x" if cell.failed else "o",
            color=colour,
            mfc=colour if filled else "white",
            capsize=3,
        )
        if few:
            values = [scale * value for value in cell.scores.values()]
            panel.plot(values, [height] * len(values), "|", color=colour, markersize=9)
        if cell.failed:
            count = mean_text.survivors(len(cell.scores), cell.failed)
            panel.annotate(
                count, (scale * cell.mean, height), xytext=(0, 5), textcoords="offset points"
            )
    study = table.study
    dims = {
        "aggregate": study.dim,
        "ensemble": study.dim * study.folds,
        "complete": study.complete_dim,
    }
    panel.set_title(f"{category.capitalize()} ({dims[category]}-d)")
    panel.set_xlabel(f"test {metric.title}{', %' if metric.share else ''}")
    panel.grid(axis="x", alpha=0.3)


def draw_ranks(ranks: Ranks, path: Path, title: str, over: str = "datasets") -> None:
    """Write the critical-difference diagram to `path` (PNG, PDF or SVG), whole or not at all."""
    save(ranks_figure(ranks, title, over), path, bbox_inches="tight")


def ranks_figure(ranks: Ranks, title: str, over: str = "datasets") -> Any:
    """The critical-difference diagram: an axis of average ranks, a bar over what is not told apart.

    `over`: what the ranks vary over. Source of the layout: Demsar 2006, Figure 1.
    """
    from matplotlib.figure import Figure

    losses = list(ranks.ranks)
    n_left = (len(losses) + 1) // 2  # the better half stands on the left, best at the top
    bars = [group for group in ranks.groups if len(group) > 1]
    top_label = -1.0 - 0.5 * len(bars)
    figure = Figure(figsize=(8, 1.6 + 0.28 * (n_left + len(bars))))
    axes = figure.subplots()
    axes.set_xlim(0.4, len(losses) + 0.6)
    axes.set_ylim(top_label - n_left, 2.0)
    axes.axis("off")
    _draw_axis(axes, ranks, over)
    for i, group in enumerate(bars):
        best, worst = ranks.ranks[group[0]], ranks.ranks[group[-1]]
        axes.hlines(-0.4 - 0.5 * i, best - 0.03, worst + 0.03, color="black", linewidth=4)
    for i, loss in enumerate(losses):
        on_left = i < n_left
        height = top_label - (i if on_left else len(losses) - 1 - i)
        end = 0.75 if on_left else len(losses) + 0.25
        rank = ranks.ranks[loss]
        axes.vlines(rank, height, 0, color="black", linewidth=0.8)
        axes.hlines(height, min(rank, end), max(rank, end), color="black", linewidth=0.8)
        label = f"{loss} {rank:.2f} " if on_left else f" {loss} {rank:.2f}"
        axes.text(end, height, label, ha="right" if on_left else "left", va="center")
    axes.set_title(title, fontsize="medium")
    return figure


def _draw_axis(axes: Any, ranks: Ranks, over: str) -> None:
    """The axis of ranks at height 0, and the critical difference as a ruler above it."""
    n = len(ranks.ranks)
    axes.hlines(0, 1, n, color="black", linewidth=1)
    for rank in range(1, n + 1):
        axes.vlines(rank, 0, 0.15, color="black", linewidth=1)
        if rank == 1 or n <= MOST_NUMBERS or rank % 5 == 0:
            axes.text(rank, 0.25, str(rank), ha="center")
    axes.hlines(1.3, 1, 1 + ranks.critical_difference, color="black", linewidth=2)
    label = f"critical difference {ranks.critical_difference:.2f} ({ranks.n_datasets} {over})"
    axes.text(1, 1.45, label, ha="left")


def save(figure: Any, path: Path, *, bbox_inches: str | None = None) -> None:
    """Write a matplotlib figure in the format of the path's ending, whole or not at all."""
    # names of datasets and classes may hold dollars, which would start mathematics
    for text in (*figure.texts, *(panel.title for panel in figure.axes)):
        text.set_parse_math(False)
    with files.replacing(path) as temporary:
        ending = path.suffix.removeprefix(".") or "png"
        figure.savefig(temporary, dpi=150, format=ending, bbox_inches=bbox_inches)
