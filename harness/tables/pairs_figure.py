"""The pairs of losses on a dataset as a forest: each difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.measure.multiple_comparisons import ALPHA, differs
from harness.tables import figure, mean_text
from harness.tables.metrics import metric
from harness.tables.pairs import Comparison, Pair

MOST_PAIRS = 45  # above, only the best loss is set against each other one


def draw(comparison: Comparison, path: Path) -> None:
    """Write the forest to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    figure.save(forest(comparison), path)


def forest(comparison: Comparison) -> Any:
    """A pair a line, as a matplotlib figure: the mean of a - b over the repeats that both have.

    Differences are in points for scores. Bars are 95 % t intervals; of few repeats each difference
    is a small tick, without a bar. Filled: told apart by the test of the table (Holm).
    """
    from matplotlib.figure import Figure

    shown = metric(comparison.metric)
    pairs = shown_pairs(comparison)
    canvas = Figure(figsize=(8, 1.4 + 0.3 * len(pairs)), layout="constrained")
    panel = canvas.subplots()
    for height, pair in enumerate(reversed(pairs)):
        few = len(pair.differences) < mean_text.FEW
        half = pair.paired.half_width
        panel.errorbar(
            shown.scale * pair.paired.mean,
            height,
            xerr=None if few or half is None else shown.scale * half,
            fmt="x" if {pair.a, pair.b} & set(comparison.survivors) else "o",
            color="C0",
            mfc="C0" if differs(pair.p_holm) else "white",
            capsize=3,
        )
        if few:
            values = [shown.scale * value for value in pair.differences]
            panel.plot(values, [height] * len(values), "|", color="C0", markersize=9)
    panel.axvline(0, color="0.6", linewidth=1, zorder=0)
    panel.set_yticks(range(len(pairs)), [f"{pair.a} - {pair.b}" for pair in reversed(pairs)])
    panel.set_ylim(-0.6, len(pairs) - 0.4)
    unit = " points of" if shown.share else ""
    panel.set_xlabel(f"difference in{unit} {comparison.category} {shown.title}")
    panel.grid(axis="x", alpha=0.3)
    canvas.suptitle(_title(comparison, pairs), fontsize="medium")
    return canvas


def shown_pairs(comparison: Comparison) -> Sequence[Pair]:
    """All pairs; of too many those of the best loss, which is the first one."""
    if len(comparison.pairs) <= MOST_PAIRS:
        return comparison.pairs
    best = comparison.pairs[0].a
    return [pair for pair in comparison.pairs if best in (pair.a, pair.b)]


def _title(comparison: Comparison, pairs: Sequence[Pair]) -> str:
    few = any(len(pair.differences) < mean_text.FEW for pair in pairs)
    bars = "each repeat (ticks)" if few else "95 % interval"
    title = (
        f"{comparison.dataset}, study {comparison.study}: mean difference and {bars}; "
        f"filled: told apart at {100 * ALPHA:g} %, Holm"
    )
    if len(pairs) < len(comparison.pairs):
        title += f"\n{len(pairs)} of {len(comparison.pairs)} pairs: the best loss and each other"
    if comparison.survivors:
        title += f"\ncross: some repeats failed ({', '.join(comparison.survivors)})"
    return title
