"""A page on a terminal: the answer in sentences, then the columns that there is room for."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from harness.report import answer, differences
from harness.report.sources import Source
from harness.schema import BASELINES
from harness.tables import table_text
from harness.tables.chosen import CHOSEN
from harness.tables.metrics import Metric
from harness.tables.repeats import CATEGORIES
from harness.tables.unfinished import without_scores

if TYPE_CHECKING:
    from harness.commands.reading import Records
    from harness.tables.page import Page
    from harness.tables.table import Table

WARNING = re.compile(r"[A-Z]{2,}( [A-Z]{2,})*\b")  # how a caption's lines on what is amiss begin
SAID = ("CAPPED", "UNFINISHED", CHOSEN)  # those that the sentences of a comparison say already
EXPLAIN = (
    "`python -m harness table --explain` says what every number and mark is; --format markdown "
    "prints the whole table."
)


def show(console: Console, page: Page, records: Records, *, explain: bool) -> None:
    """Print a page: its sentences, its tables, what is amiss, and with `explain` its caption."""
    title = Text(f"study {records.study.name} on {records.dataset}", style="bold")
    if page.comparison is not None and (line := without_scores(page.comparison)) is not None:
        print_lines(console, [line, *_amiss(page, records, said=SAID)])
        return
    console.print(title)
    if page.comparison is None:
        print_lines(console, page.answer)
        hidden = [show_rows(console, sheet.head, sheet.body) for sheet in page.sheets]
    else:
        print_lines(console, sentences(records, page.comparison.metrics[0], CATEGORIES))
        print_lines(console, page.answer)
        hidden = [_show_comparison(console, page.comparison)]
    caption = page.caption().splitlines()
    if explain:
        print_lines(console, caption)
        return
    said = SAID if page.comparison is not None else ()
    print_lines(console, _amiss(page, records, said=said))
    print_lines(console, [*filter(None, hidden), EXPLAIN], style="dim")


def _amiss(page: Page, records: Records, *, said: tuple[str, ...]) -> list[str]:
    """The lines of a caption on what is amiss, but for those that are `said`, and the notes."""
    caption = page.caption().splitlines()
    amiss = [line for line in caption if WARNING.match(line) and not line.startswith(said)]
    notes = [n for n in records.amiss if n not in amiss and not n.startswith(said)]
    return [*amiss, *notes]


def sentences(records: Records, metric: Metric, categories: Sequence[str]) -> list[str]:
    """What beats what by a metric, what is undecided, what is missing; as the report has it."""
    source = Source(
        address=f"{records.study.name}/{records.dataset}",
        results="",
        study=records.study,
        dataset=records.dataset,
        records=records.by_loss,
        notes=records.notes,
    )
    columns = [
        one
        for one in differences.columns(source)
        if one.metric == metric and one.category in categories
    ]
    lines = answer.sentences(source, columns)
    if any(one.contenders for one in columns) or metric.better == "neither":
        return lines
    return [
        f"No comparison yet: no two losses have two repeats with {metric.title} in common.",
        *lines[1:],
    ]


def print_lines(console: Console, lines: Sequence[str], style: str = "") -> None:
    """Print each line, folded between words."""
    for line in lines:
        console.print(Text(line, style=style))


def _show_comparison(console: Console, table: Table) -> str:
    """Print the columns of as many metrics as there is room for; what is left out, in words."""
    every = table.metrics
    for count in range(len(every), 0, -1):
        grid = _comparison(table, every[:count])
        if count == 1 or _width(grid) <= console.width:
            break
    console.print(grid)
    lines = []
    if left_out := [metric.title for metric in every[count:]]:
        lines.append(f"No room for {', '.join(left_out)}: a wider terminal shows them.")
    if table.search_spreads:
        lines.append("The spread of the whole search is in --format markdown.")
    return " ".join(lines)


def _comparison(table: Table, metrics: Sequence[Metric]) -> Grid:
    """A row for each loss, a column for each category that has scores and each metric."""
    keys = [
        (category, metric)
        for category in CATEGORIES
        for metric in metrics
        if any(row.cells[category, metric.name].scores for row in table.rows)
    ]
    grid = _grid()
    grid.add_column("loss", no_wrap=True, min_width=max(len(row.loss) for row in table.rows))
    for category, metric in keys:
        grid.add_column(f"{category.capitalize()} {metric.title}", overflow="fold")
    for row in table.rows:
        cells = []
        for category, metric in keys:
            cell = row.cells[category, metric.name]
            mean, marks = table_text.cell_texts(table, metric, cell)
            style = "bold green" if cell.best else "bold" if cell.tied_with_best else ""
            cells.append(Text.assemble((mean, style), (f" {marks}" if marks else "", "dim")))
        grid.add_row(Text(row.loss), *cells, style="dim" if row.loss in BASELINES else None)
    return grid


def print_rows(head: Sequence[str], body: Sequence[Sequence[object]], *notes: str) -> None:
    """Print the first columns of a table that the terminal has room for, then the notes."""
    console = Console()
    hidden = show_rows(console, head, body)
    print_lines(console, [line for line in (*notes, hidden) if line])


def show_rows(console: Console, head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Print the first columns of a table that there is room for; what is left out, in words."""
    grid, count = _fitting(console, head, [[str(cell) for cell in row] for row in body])
    console.print(grid)
    left_out = head[count:]
    return f"No room for {', '.join(left_out)}: a wider terminal shows them." if left_out else ""


def _fitting(
    console: Console, head: Sequence[str], body: Sequence[Sequence[str]]
) -> tuple[Grid, int]:
    """The first columns of a table that the console has room for, and how many; two at least."""
    for count in range(len(head), 1, -1):
        grid = _grid()
        for i, name in enumerate(head[:count]):
            grid.add_column(name, no_wrap=i == 0, overflow="fold")
        for row in body:
            grid.add_row(*(_styled(text) for text in row[:count]))
        if count == 2 or _width(grid) <= console.width:
            break
    return grid, count


def _styled(text: str) -> Text:
    """A cell of markdown: what stands between ** is bold."""
    pieces = text.split("**")
    styles = ("", "bold green")
    return Text.assemble(*((piece, styles[i % 2]) for i, piece in enumerate(pieces)))


def _grid() -> Grid:
    return Grid(box=box.SIMPLE_HEAD, pad_edge=False)


def _width(grid: Grid) -> int:
    """How many columns of a terminal a table takes where nothing is folded."""
    return Console(file=io.StringIO(), width=10_000).measure(grid).maximum
