"""Pairs of losses and ranks on a terminal: the answer, then the columns that there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from harness.commands.terminal_page import WARNING, print_lines, sentences, show_rows
from harness.tables import pairs_text
from harness.tables.chosen import CHOSEN
from harness.tables.metrics import metric

if TYPE_CHECKING:
    from harness.commands.reading import Records
    from harness.measure.ranks import Ranks
    from harness.tables.pairs import Comparison


EXPLAIN = "--explain says what each column is; --format markdown prints the whole table."


def show(read: Sequence[Records], comparisons: Sequence[Comparison], *, explain: bool) -> None:
    """Print sentences and pairs of each dataset; what is amiss, or with `explain` the caption."""
    console = Console()
    for records, comparison in zip(read, comparisons, strict=True):
        print_lines(console, [f"study {records.study.name} on {records.dataset}"], "bold")
        shown = metric(comparison.metric)
        print_lines(console, sentences(records, shown, [comparison.category]))
        caption = pairs_text.caption(comparison).splitlines()
        hidden = ""
        if body := pairs_text.body_of(comparison):
            hidden = show_rows(console, pairs_text.HEAD, body)
        if explain:
            print_lines(console, caption)
            continue
        amiss = [line for line in caption if WARNING.match(line) or line in comparison.notes]
        print_lines(console, [line for line in amiss if not line.startswith(CHOSEN)])  # said above
        print_lines(console, [*filter(None, [hidden]), EXPLAIN], "dim")


def show_ranks(ranks: Ranks | None, caption: str) -> None:
    """Print the average ranks, where there are some, and what is to be said of them."""
    console = Console()
    if ranks is not None:
        rows = pairs_text.ranks_as_data(ranks)
        body = [[f"{v:.2f}" if isinstance(v, float) else v for v in row.values()] for row in rows]
        show_rows(console, list(rows[0]), body)
    print_lines(console, [caption])
