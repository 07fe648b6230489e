"""An experiment's page from its rows: table, caption, statements, data and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.schema import Record, Study
from harness.tables import markup, mean_text, origins, statement
from harness.tables.page import Page, Sheet
from harness.tables.statement import Statement
from harness.tables.table_caption import network_of

Column = Callable[[Record], float | None]


@dataclass(frozen=True)
class Runs:
    """The Complete runs of one loss or variant: repeat -> record, and repeats that failed."""

    done: Mapping[int, Record]
    failed: Mapping[int, str]  # repeat -> why

    def values(self, column: Column) -> dict[int, float]:
        """Repeat -> a number of its record, where it has one."""
        values = {repeat: column(record) for repeat, record in self.done.items()}
        return {repeat: value for repeat, value in values.items() if value is not None}


def complete_runs(study: Study, records: Sequence[Record]) -> Runs:
    """The Complete runs among the records of one loss, by repeat."""
    runs = [record for record in records if record.stage == "complete"]
    by_repeat = {r.repeat: r for r in runs if r.repeat is not None and r.repeat < study.repeats}
    return Runs(
        done={n: record for n, record in sorted(by_repeat.items()) if record.failure is None},
        failed={n: r.failure for n, r in sorted(by_repeat.items()) if r.failure is not None},
    )


def score(name: str) -> Column:
    """A test score of a record."""
    return lambda record: record.scores.get(name)


def diagnostic(name: str) -> Column:
    """A diagnostic of a record."""
    return lambda record: (record.diagnostics or {}).get(name)


def at_the_end(name: str) -> Column:
    """The last value of the record's curve that has the name."""
    return lambda record: next((e[name] for e in reversed(record.curve) if name in e), None)


def cell(values: Mapping[int, float], failed: int = 0, *, share: bool = True) -> str:
    """Mean and interval over repeats; `share` of 1 in %."""
    listed = mean_text.in_order(values)
    return mean_text.text(listed, failed=failed, scale=100 if share else 1)


def caption(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], lines: Sequence[str]
) -> list[str]:
    """What every experiment's caption says: study, repeats, network, code; `lines` in between."""
    fixed = "" if study.searches else " Every configuration is fixed; nothing was searched."
    return [
        f"{dataset}, study {study.name}: mean ± half-width of the 95 % t interval over "
        f"{study.repeats} repeats, which share their seeds across rows.{fixed}",
        *lines,
        f"Network: {network_of(study)}.",
        *origins.lines(origins.origins(rs) for rs in records.values()),
    ]


def page(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    *,
    caption: Sequence[str],
    statements: Sequence[Statement],
    data: Mapping[str, Any],
    draw: Callable[[Path], None],
) -> Page:
    """The page: its text ends with what the statements come to, and each of them with its rule."""
    text = "\n".join([*caption, "", *statement.lines(statements)])
    return Page(
        data=lambda: {**data, "statements": statement.as_data(statements)},
        text=lambda form: markup.FORMATS[form](head, body, text),
        draw=draw,
        answer=statement.answer(statements),
        sheets=(Sheet(head, body),),
        caption=lambda: text,
    )
