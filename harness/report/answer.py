"""The answer in sentences: what beats what by how much, and what more repeats would settle."""

from __future__ import annotations

from collections.abc import Sequence

from harness.measure.multiple_comparisons import ALPHA
from harness.report.differences import Column
from harness.report.sources import Source, listed
from harness.schema import BASELINES
from harness.tables import mean_text, pairs, search_order
from harness.tables.chosen import CHOSEN
from harness.tables.metrics import Metric
from harness.tables.pairs import Pair

LISTED = 6  # names that a sentence lists


def sentences(source: Source, columns: Sequence[Column]) -> list[str]:
    """What is clear, then what is undecided, then what is missing; or why there is no answer yet.

    `columns` are of one metric, a category each.
    """
    neither = next((one.metric for one in columns if one.metric.better == "neither"), None)
    compared = [one for one in columns if one.contenders]
    clear = [one for one in compared if _is_first(one)]
    undecided = [_undecided(source, one) for one in compared if one not in clear]
    answer = _clear(source, clear) + undecided or [_no_answer(source)]
    if neither is not None:
        answer = [f"Neither a higher nor a lower {neither.title} is better: no loss is, by it."]
    if neither is None:
        answer += _searches(source, [one for one in compared if _beats_some(one)])
    answer += [note for note in source.notes if note.startswith(CHOSEN)]
    return [*answer, *_survivors(columns), *_unfinished(source), *_capped(source)]


def _is_first(column: Column) -> bool:
    """Whether the best loss is told apart from every other one."""
    best, *others = column.contenders
    return all(column.is_clear(best, other) for other in others)


def _beats_some(column: Column) -> bool:
    """Whether the best loss is told apart from some other one."""
    best, *others = column.contenders
    return any(column.is_clear(best, other) for other in others)


def _pair(source: Source, column: Column, a: str, b: str) -> Pair | None:
    """Two losses as `compare` has them, alone; its p is not that of the column.

    None where they share fewer than 2 repeats.
    """
    compared = pairs.compare(
        source.study,
        source.dataset,
        {loss: source.records[loss] for loss in (a, b)},
        category=column.category,
        metric=column.metric.name,
        difference=1 / column.metric.scale,
    )
    return next(iter(compared.pairs), None)


def _clear(source: Source, columns: Sequence[Column]) -> list[str]:
    """A sentence for the categories in which the same loss beats all others, with the same next."""
    winners: dict[tuple[str, ...], list[Column]] = {}
    for one in columns:
        next_best = *one.contenders[:2], str(len(one.contenders) - 1)
        winners.setdefault(next_best, []).append(one)
    lines = []
    for (a, b, others), of_pair in winners.items():
        parts = [
            f"on {one.category.capitalize()} by {_size(pair, one.metric)}{_p(one, a, b)}"
            for one in of_pair
            if (pair := _pair(source, one, a, b)) is not None  # there is a test of it
        ]
        beaten = b if others == "1" else f"each of {others} other losses, the next of them, {b},"
        lines.append(f"{a} beats {beaten} {listed(parts)}.")
    return lines


def _undecided(source: Source, column: Column) -> str:
    best, *others = column.contenders
    category = column.category.capitalize()
    tied = [loss for loss in others if not column.is_clear(best, loss)]
    found = (_pair(source, column, best, loss) for loss in tied)
    pair = next((one for one in found if one is not None), None)
    if len(others) == 1:
        (second,) = others
        if pair is None:
            return f"{category} is undecided between {best} and {second}: no two repeats in common."
        return (
            f"{category} is undecided between {best} and {second}: a difference of "
            f"{_size(pair, column.metric)}{_p(column, best, second)}{_more(column, pair)}."
        )
    beaten = len(others) - len(tied)
    names = [*tied[:LISTED], *([f"{len(tied) - LISTED} more"] if len(tied) > LISTED else [])]
    does = f"beats {beaten} of {len(others)} others" if beaten else "beats none of the others"
    more = "" if pair is None else _more(column, pair)
    return (
        f"On {category} {best} has the best mean and {does}; not separable from it: "
        f"{listed(names)}{more}."
    )


def _searches(source: Source, columns: Sequence[Column]) -> list[str]:
    """What another search would do to the order, as far as the study's own searches show it.

    `columns` are of one metric, and in each a loss beats another: nothing where there are none.
    """
    if not columns or not source.study.searches:
        return []
    shown = {(one.category, one.metric) for one in columns}
    found = [
        line for line in search_order.lines(source.table) if (line.category, line.metric) in shown
    ]
    if not found:
        return [
            "All of it is given one search of each loss: another search may find other params and "
            "another order (--search-repeats 3 shows how far)."
        ]
    parts = [
        f"{sum(pair.changed > 0 for pair in line.pairs)} of {len(line.pairs)} pairs of losses on "
        f"{line.category.capitalize()}"
        for line in found
    ]
    return [
        f"All of it is given the first search of each loss: the others put {listed(parts)} in "
        "another order."
    ]


def _survivors(columns: Sequence[Column]) -> list[str]:
    """The losses whose means are of survivors, where they are."""
    names = [
        f"{loss} ({mean_text.survivors(n, failed)} on {one.category.capitalize()})"
        for one in columns
        for loss, (n, failed) in one.survivors.items()
    ]
    if not names:
        return []
    shown = [*names[:LISTED], *([f"{len(names) - LISTED} more"] if len(names) > LISTED else [])]
    return [f"In no comparison, because their other repeats failed: {listed(shown)}."]


def _p(column: Column, a: str, b: str) -> str:
    p_value = column.tested.tests.p_value(a, b)
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


def _more(column: Column, pair: Pair) -> str:
    """How many more repeats would tell a pair apart among all others, where that is known.

    Holm's test of the first of m pairs that are not told apart is at ALPHA / m.
    """
    still_tied = sum(not column.is_clear(*names) for names in column.tested.tests.p_values)
    needed = pairs.repeats_for(pair.paired.mean, pair.sd, alpha=ALPHA / max(still_tied, 1))
    if needed is None or needed <= pair.paired.n:
        return ""
    more = needed - pair.paired.n
    return (
        f"; {more} more repeat{'s' * (more > 1)} of {pair.a} and {pair.b} would tell them apart "
        f"with a chance of {100 * pairs.POWER:g} %, if their difference is as large as it looks"
    )


def _no_answer(source: Source) -> str:
    """Why there is none: no loss, one alone, or several without two repeats in common."""
    if not source.losses:
        return "No answer yet: no loss has been trained."
    if len(source.losses) == 1:
        (loss,) = source.losses
        return f"No answer: {loss} alone has records here; a comparison needs a second loss."
    return (
        f"No answer yet: {len(source.losses)} losses have records, and no two of them have two "
        "repeats in common on the test classes. What follows is how far the study is."
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
