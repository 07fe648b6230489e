"""The comparison table for a page: the cells as `table` prints them, and the runs behind each."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from harness.report.sources import Source
from harness.schema import BASELINES
from harness.tables import mean_text, table_text
from harness.tables.metrics import Metric
from harness.tables.table import Cell, Row


@dataclass(frozen=True)
class Column:
    """A category and a metric, by its place among the metrics."""

    category: str
    metric: Metric
    metric_number: int


@dataclass(frozen=True)
class PageCell:
    """A cell: its text and marks, what it is sorted by, what stands behind it."""

    text: str
    marks: str
    kind: str  # best, tied, survivors or plain
    value: str  # a number as text; "" where there is none
    runs: str


@dataclass(frozen=True)
class PageRow:
    """A loss, the state of its study, and the command that makes its numbers again."""

    loss: str
    state: str
    command: str
    cells: tuple[PageCell, ...]


def columns(source: Source) -> list[Column]:
    """Categories that have scores x metrics."""
    return [
        Column(category, metric, number)
        for category in source.categories
        for number, metric in enumerate(source.metrics)
    ]


def rows(source: Source) -> list[PageRow]:
    """The rows of the table in its order."""
    return [_row(source, row) for row in source.table.rows]


def _row(source: Source, row: Row) -> PageRow:
    state = "" if row.loss in BASELINES or row.progress.finished else "unfinished"
    if row.progress.failures:
        state = f"{state + ', ' if state else ''}{row.progress.failures} runs failed"
    return PageRow(
        loss=row.loss,
        state=state,
        command=shlex.join(
            ["python", "-m", "harness", "verify", f"{source.address}/{row.loss}"]
            + ([] if source.results == "results" else ["--results", source.results])
        ),
        cells=tuple(
            _cell(source, column, row.cells[column.category, column.metric.name])
            for column in columns(source)
        ),
    )


def _cell(source: Source, column: Column, cell: Cell) -> PageCell:
    metric = column.metric
    text = mean_text.text(
        mean_text.in_order(cell.scores), failed=cell.failed, spec=metric.spec, scale=metric.scale
    )
    group = table_text.group_text(source.table, cell)
    near = ("?" if cell.untested else "≈") if cell.tied_with_best and not cell.best else ""
    kind = "best" if cell.best else "tied" if cell.tied_with_best else "plain"
    runs = "; ".join(
        f"repeat {repeat}: {format(metric.scale * value, metric.spec)}"
        for repeat, value in sorted(cell.scores.items())
    )
    ranks = ""
    if cell.ranks is not None:
        first, last = cell.ranks
        ranks = f"rank {first}" if first == last else f"rank {first} to {last}"
    interval = ""
    if cell.interval is not None and math.isfinite(cell.interval.half_width):
        half = format(metric.scale * cell.interval.half_width, metric.spec)
        interval = f"95 % interval ± {half} over {len(cell.scores)} repeats"
    lost = f"{cell.failed} repeats failed" if cell.failed else ""
    return PageCell(
        text=text,
        marks=f"{near} {group}".strip(),
        kind="survivors" if cell.failed else kind,
        value=f"{cell.mean:.9g}" if cell.scores else "",
        runs=" · ".join(part for part in (runs, interval, ranks, lost) if part),
    )
