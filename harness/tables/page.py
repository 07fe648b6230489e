"""What is shown of a study on a dataset: its table as text and as data, and its figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.schema import Record, Study
from harness.tables import experiments, figure, statement, table, table_caption, table_text
from harness.tables.statement import Statement
from harness.tables.table import Table


@dataclass(frozen=True)
class Sheet:
    """A table of texts: the names of its columns, and its rows."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Page:
    """A table in every form: `text` takes markdown, latex or csv, `draw` the path of the figure.

    A terminal shows `answer`, then `sheets`, and `caption` where it is asked for. The page of a
    comparison has `comparison` in place of sheets, and before its answer come the sentences about
    the comparison.
    """

    data: Callable[[], Mapping[str, Any]]
    text: Callable[[str], str]
    draw: Callable[[Path], None]
    answer: Sequence[str] = ()
    sheets: Sequence[Sheet] = ()
    caption: Callable[[], str] = field(default=lambda: "")
    comparison: Table | None = None


def page_of(
    study: Study,
    dataset: str,
    records: Mapping[str, Sequence[Record]],
    notes: Sequence[str],
    *,
    metrics: Sequence[str] | None = None,
) -> Page:
    """The page of each loss's records: an experiment's own, else the table of the comparison.

    `metrics` are the columns of a comparison; with them an experiment's runs are compared too.
    """
    experiment = experiments.load(study.name) if metrics is None or study.test_scored else None
    if experiment is not None:
        page: Page = experiment.page(study, dataset, records, notes)
        return page
    return comparison_page(table.table(study, dataset, records, notes, metrics=metrics))


def comparison_page(comparison: Table, found: Sequence[Statement] = ()) -> Page:
    """The page of a comparison of losses, and what came of a paper's findings in it.

    The caption of `comparison` holds their sentences already.
    """
    statements = {"statements": statement.as_data(found)} if found else {}
    return Page(
        data=lambda: {**table_text.as_data(comparison), **statements},
        text=lambda form: table_text.FORMATS[form](comparison),
        draw=lambda path: figure.draw_table(comparison, path),
        answer=statement.answer(found) if found else (),
        caption=lambda: table_caption.caption(comparison),
        comparison=comparison,
    )
