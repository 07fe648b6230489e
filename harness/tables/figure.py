"""A table as a picture (a dot and its interval per loss), and ranks as a diagram."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from harness import files
from harness.measure.ranks import Ranks
from harness.schema import UNTRAINED
from harness.tables.table import CATEGORIES, METRICS, Table


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
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.removeprefix(".") or "png")
    pyplot.close(figure)


def draw_ranks(ranks: Ranks, path: Path, title: str) -> None:
    """The critical-difference diagram: an axis of average ranks, a bar over what is not told apart.

    Written to `path` (PNG, PDF or SVG by its ending), whole or not at all. Source of the layout:
    Demsar 2006, Figure 1.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, k = list(ranks.ranks), len(ranks.ranks)
    half, bars = (k + 1) // 2, [group for group in ranks.groups if len(group) > 1]
    figure, axes = pyplot.subplots(figsize=(8, 1.6 + 0.28 * (half + len(bars))))
    axes.set_xlim(0.4, k + 0.6)
    lowest = -1.0 - 0.5 * len(bars) - half
    axes.set_ylim(lowest, 2.0)
    axes.axis("off")
    axes.hlines(0, 1, k, color="black", linewidth=1)
    for rank in range(1, k + 1):
        axes.vlines(rank, 0, 0.15, color="black", linewidth=1)
        axes.text(rank, 0.25, str(rank), ha="center")
    axes.hlines(1.3, 1, 1 + ranks.critical_difference, color="black", linewidth=2)
    said = f"critical difference {ranks.critical_difference:.2f} ({ranks.n_datasets} datasets)"
    axes.text(1, 1.45, said, ha="left")
    for i, group in enumerate(bars):
        ends = ranks.ranks[group[0]], ranks.ranks[group[-1]]
        height = -0.4 - 0.5 * i
        axes.hlines(height, ends[0] - 0.03, ends[1] + 0.03, color="black", linewidth=4)
    for i, name in enumerate(names):
        first = i < half
        height = -1.0 - 0.5 * len(bars) - (i if first else k - 1 - i)
        side = 0.75 if first else k + 0.25
        at = ranks.ranks[name]
        axes.vlines(at, height, 0, color="black", linewidth=0.8)
        axes.hlines(height, min(at, side), max(at, side), color="black", linewidth=0.8)
        words = f"{name} {at:.2f}"
        axes.text(side, height, f"{words} " if first else f" {words}",
                  ha="right" if first else "left", va="center")  # fmt: skip
    axes.set_title(title, fontsize="medium")
    with files.replacing(path) as temporary:
        form = path.suffix.removeprefix(".") or "png"
        figure.savefig(temporary, dpi=150, format=form, bbox_inches="tight")
    pyplot.close(figure)


def diagram(ranks: Ranks, width: int = 640) -> str:
    """The critical-difference diagram as SVG: an axis of ranks, names, a bar over each tie group.

    Names in a group under one bar are not told apart. Source of the layout: Demsar 2006, Figure 1.
    """
    names = list(ranks.ranks)
    k = len(names)
    left, right, top, row = 150.0, width - 150.0, 62.0, 17.0
    half = (k + 1) // 2
    bars = 12.0 * len(ranks.groups)

    def x(rank: float) -> float:
        return left + (right - left) * (rank - 1) / (k - 1)

    def line(x1: float, y1: float, x2: float, y2: float, thick: float = 1) -> str:
        points = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        return f'<line {points} stroke="black" stroke-width="{thick:g}"/>'

    def text(at: float, y: float, anchor: str, words: str) -> str:
        return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

    drawn = [line(left, top, right, top)]
    for rank in range(1, k + 1):
        drawn += [line(x(rank), top - 5, x(rank), top), text(x(rank), top - 9, "middle", str(rank))]
    wide = ranks.critical_difference * (right - left) / (k - 1)
    said = f"critical difference {ranks.critical_difference:.2f} ({ranks.n_datasets} datasets)"
    drawn += [line(left, 24, left + wide, 24, 2), text(left, 16, "start", said)]
    for i, group in enumerate(ranks.groups):
        y = top + 9 + 12 * i
        ends = [ranks.ranks[group[0]], ranks.ranks[group[-1]]]
        if len(group) > 1:
            drawn.append(line(x(ends[0]) - 3, y, x(ends[1]) + 3, y, 4))
    for i, name in enumerate(names):
        best = i < half
        y = top + bars + 20 + row * (i if best else k - 1 - i)
        side, anchor = (left - 8, "end") if best else (right + 8, "start")
        at = x(ranks.ranks[name])
        drawn += [line(at, top, at, y - 4), line(at, y - 4, side + (4 if best else -4), y - 4)]
        drawn.append(text(side, y, anchor, f"{name} {ranks.ranks[name]:.2f}"))
    height = top + bars + 30 + row * half
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}"'
    return f'{head} font-family="sans-serif" font-size="12">' + "".join(drawn) + "</svg>"
