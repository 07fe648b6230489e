"""Whether two tables of one study hold the same scores, as far as their repeats can tell.

The two tables come from code that is written differently. It computes the same but for rounding,
which training amplifies: after a few dozen steps in float32, scores on a few queries differ in the
third digit, and differently on every processor. So the scores are compared as those of two
procedures are, by their spread over repeats, and never by a fixed tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.measure.intervals import Difference, t_interval, welch
from harness.measure.multiple_comparisons import ALPHA, differs, holm
from harness.schema import Problem

Table = dict[str, dict[str, list[float]]]  # loss -> "category metric" -> a score per repeat
Differences = Mapping[tuple[str, str], Difference]  # by loss and "category metric"


def differences(ours: Table, baseline: Table) -> Differences:
    """Ours minus the baseline in each cell, by Welch's t test over repeats.

    A Problem if a cell is in one table only, or has fewer than two repeats on a side.
    """
    our_cells, baseline_cells = _cells(ours), _cells(baseline)
    if unpaired := sorted(our_cells.keys() ^ baseline_cells.keys()):
        raise Problem(f"bench: {' '.join(unpaired[0])} is in one of the two tables only")
    for cell, values in our_cells.items():
        if min(len(values), len(baseline_cells[cell])) < 2:
            raise Problem(
                f"bench: {' '.join(cell)} has {len(values)} and {len(baseline_cells[cell])} "
                "repeats; 2 of each are needed to compare them"
            )
    return {cell: welch(values, baseline_cells[cell]) for cell, values in our_cells.items()}


def separable(cells: Differences) -> list[tuple[str, str]]:
    """The cells whose difference is not zero at ALPHA, Holm-corrected over all cells."""
    adjusted = holm([difference.p_value for difference in cells.values()])
    return [cell for cell, p_value in zip(cells, adjusted, strict=True) if differs(p_value)]


def notes(ours: Table, baseline: Table) -> tuple[str, ...]:
    """The verdict with what it is worth, then a line for each loss and category."""
    cells = differences(ours, baseline)
    unequal = [" ".join(cell) for cell in separable(cells)]
    verdict = f"scores do not differ in any of {len(cells)} cells"
    if unequal:
        verdict = f"SCORES DIFFER in {len(unequal)} of {len(cells)} cells ({', '.join(unequal)})"
    repeats = sorted(
        {len(values) for table in (ours, baseline) for values in _cells(table).values()}
    )
    largest = max(abs(difference.mean) for difference in cells.values())
    untested = sum(difference.p_value is None for difference in cells.values())
    widest = max(difference.half_width or 0.0 for difference in cells.values())
    summary = (
        f"{verdict} by Welch's t test over repeats (Holm-corrected, alpha = {ALPHA}, n = "
        f"{' or '.join(map(str, repeats))} a side); means are at most {largest:.1e} apart; the "
        f"intervals reach ± {widest:.1e}, and a smaller difference than that may go unseen"
    )
    if untested:
        summary += f"; {untested} cells have no spread on either side and are not tested"
    return (summary, *_lines(ours, baseline, cells))


def _lines(ours: Table, baseline: Table, cells: Differences) -> list[str]:
    """A line for each loss and category: the differences, and whether the intervals overlap."""
    rows: dict[tuple[str, str], list[str]] = {}
    for (loss, column), difference in cells.items():
        category, metric = column.split()
        text = f"{metric} {difference.mean:+.4f}"
        if difference.half_width is not None:
            text += f" ± {difference.half_width:.4f}"
        overlap = _intervals_overlap(ours[loss][column], baseline[loss][column])
        text += " (t intervals overlap)" if overlap else " (t intervals DO NOT OVERLAP)"
        rows.setdefault((loss, category), []).append(text)
    return [
        f"{loss} {category}, ours minus the baseline: {', '.join(texts)}"
        for (loss, category), texts in rows.items()
    ]


def _intervals_overlap(ours: Sequence[float], baseline: Sequence[float]) -> bool:
    """Whether the 95 % t intervals of the two means share a point."""
    a, b = t_interval(ours), t_interval(baseline)
    return abs(a.mean - b.mean) <= a.half_width + b.half_width


def _cells(table: Table) -> dict[tuple[str, str], list[float]]:
    return {(loss, column): values for loss, row in table.items() for column, values in row.items()}
