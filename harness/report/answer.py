"""The answer in sentences: what beats what by how much, and what more repeats would settle."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.differences import Column
from harness.report.sources import Source, listed
from harness.schema import BASELINES
from harness.tables import mean_text, pairs
from harness.tables.metrics import Metric
from harness.tables.pairs import Pair

LISTED = 6  # names that a sentence lists


def sentences(source: Source, columns: Sequence[Column]) -> list[str]:
    """What is clear, then what is undecided, then what is missing; or why there is no answer yet.

    `columns` are of one metric, a category each. The best loss of each is set against the next.
    """
    compared = [one for one in columns if one.tested.paired]
    clear = [one for one in compared if one.is_clear(*one.compared[:2])]
    undecided = [_undecided(source, one) for one in compared if one not in clear]
    return [
        *(_clear(source, clear) + undecided or [_no_answer(source)]),
        *_unfinished(source),
        *_capped(source),
    ]


def _first_pair(source: Source, column: Column) -> Pair:
    """The best loss and the next one as `compare` has them; its p is not that of the column."""
    first = column.compared[:2]
    (pair,) = pairs.compare(
        source.study,
        source.dataset,
        {loss: source.records[loss] for loss in first},
        category=column.category,
        metric=column.metric.name,
        difference=1 / column.metric.scale,
    ).pairs
    return pair


def _clear(source: Source, columns: Sequence[Column]) -> list[str]:
    """A sentence for the categories in which the same loss beats the same next one."""
    winners: dict[tuple[str, ...], list[Column]] = {}
    for one in columns:
        winners.setdefault(tuple(one.compared[:2]), []).append(one)
    lines = []
    for (a, b), of_pair in winners.items():
        parts = [
            f"on {one.category.capitalize()} by {_size(_first_pair(source, one), one.metric)}"
            f"{_p(one)}"
            for one in of_pair
        ]
        others = len(of_pair[0].compared) - 1
        beaten = b if others == 1 else f"each of {others} other losses, the next of them, {b},"
        lines.append(f"{a} beats {beaten} {listed(parts)}.")
    return lines


def _undecided(source: Source, column: Column) -> str:
    best, second = column.compared[:2]
    category, pair = column.category.capitalize(), _first_pair(source, column)
    others = column.compared[1:]
    if len(others) == 1:
        return (
            f"{category} is undecided between {best} and {second}: a difference of "
            f"{_size(pair, column.metric)}{_p(column)}{_more(pair)}."
        )
    tied = [loss for loss in others if not column.is_clear(best, loss)]
    beaten = len(others) - len(tied)
    names = [*tied[:LISTED], *([f"{len(tied) - LISTED} more"] if len(tied) > LISTED else [])]
    does = f"beats {beaten} of {len(others)} others" if beaten else "beats none of the others"
    return (
        f"On {category} {best} has the best mean and {does}; not separable from it: "
        f"{listed(names)}{_more(pair)}."
    )


def _p(column: Column) -> str:
    p_value = column.tested.tests.p_value(*column.compared[:2])
    if p_value is None:
        return ""
    return f" (p {'< 0.001' if p_value < 0.001 else f'= {p_value:.2g}'}, Holm)"


def _size(pair: Pair, shown: Metric) -> str:
    """The difference with its interval, or each of few differences."""
    scale, spec = shown.scale, shown.spec
    unit = " points" if shown.share else ""
    mean = format(scale * abs(pair.paired.mean), spec)
    if len(pair.differences) < mean_text.FEW or pair.paired.half_width is None:
        each = "; ".join(format(scale * value, f"+{spec}") for value in pair.differences)
        return f"{mean}{unit} of {shown.title} (by repeat: {each})"
    return f"{mean} ± {format(scale * pair.paired.half_width, spec)}{unit} of {shown.title}"


def _more(pair: Pair) -> str:
    """How many more repeats would show a difference of this size, where that is known."""
    needed = pair.repeats_for_this
    if needed is None or needed <= pair.paired.n:
        return ""
    more = needed - pair.paired.n
    return (
        f"; {more} more repeat{'s' * (more > 1)} of {pair.a} and {pair.b} would settle their "
        "difference, if it is as large as it looks"
    )


def _no_answer(source: Source) -> str:
    count = len(source.losses)
    have = f"{count} losses have records" if count != 1 else "1 loss has records"
    return (
        f"No answer yet: {have}, and no two losses have two repeats in common on the test "
        "classes. What follows is how far the study is."
    )


def _unfinished(source: Source) -> list[str]:
    rows = [row for row in source.table.rows if row.loss not in BASELINES]
    names = [row.loss for row in rows if not row.progress.finished]
    if not names:
        return []
    shown = [*names[:LISTED], *([f"{len(names) - LISTED} more"] if len(names) > LISTED else [])]
    return [f"The study is not finished for {listed(shown)}: these numbers may still change."]


def _capped(source: Source) -> list[str]:
    capped = sum(count for count, _ in source.table.capped.values())
    runs = sum(count for _, count in source.table.capped.values())
    if not capped:
        return []
    return [
        f"{capped} of {runs} runs ended at their most epochs and not at a plateau: longer training "
        "might change these numbers."
    ]
