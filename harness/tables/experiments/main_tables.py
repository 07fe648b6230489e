"""The page of `main_tables`: R@K and NMI of single 512-d models, as the literature prints them.

Findings of DeMoor and Prevost 2024, arXiv 2408.15656, Table I and section IV-B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.measure import intervals
from harness.measure.multiple_comparisons import ALPHA
from harness.schema import BASELINES, Record, Study
from harness.tables import figure, mean_text, table
from harness.tables.experiments import _sheet
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, by_interval
from harness.tables.table import Cell, Table
from harness.tables.table_caption import warnings

CATEGORY = "complete"
R_AT_1 = "recall_at_1"
WARPED, COMPARED = "warped", "proxy_nca_pp"  # the two rows that the paper tuned with validation


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table of the single models, the paper's findings judged; the figure is the table's."""
    names = [*(f"recall_at_{k}" for k in study.recall_at), "nmi"]
    made = table.table(study, dataset, records, notes, metrics=names)
    head = ["loss", *(metric.title for metric in made.metrics), "n"]
    lines = [
        f"Scores in % of single {study.complete_dim}-d models, trained on the whole trainval half. "
        f"Params and epochs were chosen on {study.folds} splits of that half by classes, by "
        "held-out MAP@R; the test classes chose nothing. Crops of "
        f"{study.crop} pixels. Bold: best mean; ≈: not separable from it (paired t over repeats "
        f"with equal seeds, Holm-corrected over all pairs of a column at {100 * ALPHA:g} %).",
        *notes,
        *(line for row in made.rows for line in warnings(row.loss, row.progress)),
    ]
    return _sheet.page(
        head,
        [_row(row.loss, made) for row in made.rows],
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(made),
        data={"study": study.name, "dataset": dataset, "rows": _data(made)},
        draw=lambda path: figure.draw_table(made, path),
    )


def _cells(made: Table, loss: str) -> dict[str, Cell]:
    (row,) = (row for row in made.rows if row.loss == loss)
    return {metric.name: row.cells[CATEGORY, metric.name] for metric in made.metrics}


def _row(loss: str, made: Table) -> list[str]:
    cells = _cells(made, loss)
    texts = []
    for cell in cells.values():
        text = mean_text.text(mean_text.in_order(cell.scores), failed=cell.failed)
        text = f"**{text}**" if cell.best else text
        texts.append(f"{text} ≈" if cell.tied_with_best else text)
    return [loss, *texts, str(len(cells[R_AT_1].scores) if R_AT_1 in cells else "")]


def _data(made: Table) -> list[dict[str, object]]:
    return [
        {
            "loss": row.loss,
            **{name: dict(cell.scores) for name, cell in _cells(made, row.loss).items()},
        }
        for row in made.rows
    ]


def statements(made: Table) -> list[Statement]:
    """The paper's findings that the records can judge: with warped and another loss in them."""
    cells = {row.loss: _cells(made, row.loss) for row in made.rows if row.loss not in BASELINES}
    column = {loss: of_loss[R_AT_1] for loss, of_loss in cells.items() if R_AT_1 in of_loss}
    column = {loss: cell for loss, cell in column.items() if cell.ranks is not None}
    if WARPED not in column or len(column) < 2:
        return []
    result = [_best(column)]
    if COMPARED in column:
        result.append(_above_the_other(column))
    return result


def _best(column: Mapping[str, Cell]) -> Statement:
    cell = column[WARPED]
    first, last = cell.ranks or (1, len(column))
    rank = f"{first}" if first == last else f"{first} to {last}"
    n = len(column)
    decided: Verdict = "agrees" if last == 1 else "disagrees" if first > 1 else "undecided"
    return Statement(
        paper="warped is the best loss overall on CUB (R@1)",
        here=f"the tests leave it rank {rank} of {n} losses by R@1",
        verdict=decided,
        rule="agrees if the tests leave it no rank but the first, disagrees if another loss is "
        "separably better, undecided otherwise",
    )


def _above_the_other(column: Mapping[str, Cell]) -> Statement:
    gap = intervals.paired_repeats(column[WARPED].scores, column[COMPARED].scores)
    half = gap.half_width if gap is not None else None
    if gap is None or half is None:
        here, verdict = "their difference has no spread", by_interval(-1, 1)
    else:
        here = f"{WARPED} - {COMPARED} is {100 * gap.mean:+.2f} ± {100 * half:.2f} points"
        verdict = by_interval(gap.mean - half, gap.mean + half)
    return Statement(
        paper=f"with a validation split {WARPED} has a higher R@1 than {COMPARED}, 71.8 against "
        "65.9 on CUB",
        here=here,
        verdict=verdict,
        rule="above 0 by its 95 % paired t interval",
    )
