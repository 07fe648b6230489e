"""What the order of the losses goes with, as text: markdown, CSV and data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.measure.multiple_comparisons import ALPHA
from harness.measure.rank_correlation import LEAST
from harness.tables import markup, search_spread
from harness.tables.order import Line, Order

HEAD = ("beside", "losses", "Kendall's tau", "95 % interval", "p (Holm)", "in words")


def markdown(order: Order) -> str:
    """A heading, a table with a line for each thing, and what its columns mean."""
    title = f"## {_title(order)}\n\n"
    return title + markup.markdown(HEAD, [_cells(line) for line in order.lines], caption(order))


def comma_separated(orders: Sequence[Order]) -> str:
    """One CSV table of all orders, their captions as comments above."""
    rows = [row for order in orders for row in as_data(order)]
    head = list(rows[0]) if rows else []
    captions = "\n".join(dict.fromkeys(caption(order) for order in orders))
    return markup.comma_separated(head, [list(row.values()) for row in rows], captions)


def as_data(order: Order) -> list[dict[str, Any]]:
    """A row for each line, with unrounded numbers."""
    rows = []
    for line in order.lines:
        found = line.correlation
        tested = None if order.variants else found
        rows.append(
            {
                "study": order.study,
                "dataset": order.dataset,
                "category": order.category,
                "metric": order.metric.name,
                "beside": line.what,
                "losses": len(line.values.keys() & order.scores.keys()),
                "tau": found and found.tau,
                "low": tested and tested.low,
                "high": tested and tested.high,
                "p": tested and tested.p_value,
                "p_holm": line.p_holm,
                "in_words": in_words(line),
            }
        )
    return rows


def in_words(line: Line) -> str:
    """What the correlation says by its corrected test."""
    if line.correlation is None:
        return f"no correlation: fewer than {LEAST} losses, or one value for all"
    if line.p_holm is None:
        return "not tested"
    if line.p_holm > ALPHA:
        return "not told apart from chance"
    return "goes with the order" if line.correlation.tau > 0 else "goes against the order"


def caption(order: Order) -> str:
    """What the columns are, and what they do not say."""
    parts = [
        "tau is 1 for the same order, 0 for none in common, -1 for the opposite one; the better "
        "score counts as the higher one (Kendall's tau-b). Its interval and p take these losses as "
        "a sample of all that there are (Bonett and Wright 2000), and the means as they stand: the "
        "noise of repeats is in `compare`. An interval is of its line alone; p, and the words "
        "after it, are corrected by Holm over the lines of a table.",
        "A run's seconds are of whatever ran on its machine besides; epochs are not.",
    ]
    if order.searches > 1:
        parts.append(search_spread.first_alone(order.searches))
    if order.variants:
        parts.append(
            f"Not tested in {order.dataset} of study {order.study}: some of its losses are "
            "variants of one loss, and no sample of losses. Name one of each with --loss."
        )
    if order.left_out:
        parts.append(
            f"Left out in {order.dataset} of study {order.study}, for repeats failed or are still "
            f"to be run: {', '.join(order.left_out)}."
        )
    return " ".join(parts)


def _title(order: Order) -> str:
    losses = "1 loss" if len(order.scores) == 1 else f"{len(order.scores)} losses"
    return (
        f"{losses} by {order.category} {order.metric.title}, {order.dataset}, study "
        f"{order.study}: what does their order go with?"
    )


def _cells(line: Line) -> list[str]:
    found = line.correlation
    if found is None:
        return [line.what, "", "", "", "", in_words(line)]
    p_holm = "" if line.p_holm is None else f"{line.p_holm:.2g}"
    return [
        line.what,
        str(found.n),
        f"{found.tau:.2f}",
        (found.bounds if line.p_holm is not None else "") or "-",
        p_holm,
        in_words(line),
    ]
