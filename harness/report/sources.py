"""What a report is made of: the records of a study on a dataset, and the numbers of its table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.protocol.search import Space
from harness.schema import BASELINES, DIAGNOSTICS, TRIAL_STAGES, Record, Study
from harness.tables import metrics, table
from harness.tables.repeats import CATEGORIES
from harness.tables.table import Table

# A name, what it shows in words, and a matplotlib figure -> the figure as a text for the page.
Render = Callable[[str, str, Any], str]


@dataclass(frozen=True)
class Source:
    """The records of a study on a dataset, with their curves, as a report takes them.

    `spaces` holds the search space of the losses whose files are there; `galleries`
    what `gallery --keep` left of a loss; `results` is the folder as commands take it.
    """

    address: str  # STUDY/DATASET
    results: str
    study: Study
    dataset: str
    records: Mapping[str, Sequence[Record]]
    notes: Sequence[str]
    spaces: Mapping[str, Space] = field(default_factory=dict)
    galleries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> tuple[metrics.Metric, ...]:
        """Every score and diagnostic of the final runs that a table can show, MAP@R first."""
        final = [r for rs in self.records.values() for r in rs if r.stage not in TRIAL_STAGES]
        names = {name for run in final for name in (*run.scores, *(run.diagnostics or {}))}
        recalls = [name for name in names if metrics.RECALL.fullmatch(name)]
        ordered = [
            *metrics.TITLES,
            *sorted((n for n in recalls if n != "recall_at_1"), key=lambda n: int(n[10:])),
            *(name for name in DIAGNOSTICS if name in names),
        ]
        return metrics.metrics(ordered)

    @cached_property
    def table(self) -> Table:
        """The table of all `metrics`."""
        return table.table(
            self.study,
            self.dataset,
            self.records,
            self.notes,
            metrics=[metric.name for metric in self.metrics],
        )

    @cached_property
    def default_table(self) -> Table:
        """The table that `python -m harness table` prints."""
        return table.table(self.study, self.dataset, self.records, self.notes)

    @property
    def losses(self) -> list[str]:
        """The losses in the order of the table, the untrained trunk left out."""
        return [row.loss for row in self.table.rows if row.loss not in BASELINES]

    @cached_property
    def losses_with_scores(self) -> list[str]:
        """Those of `losses` that have a test score."""
        return [
            row.loss
            for row in self.table.rows
            if row.loss in self.losses and any(cell.scores for cell in row.cells.values())
        ]

    @property
    def categories(self) -> list[str]:
        """The categories of which there is a score."""
        rows, first = self.table.rows, self.metrics[0].name
        return [c for c in CATEGORIES if any(row.cells[c, first].scores for row in rows)]


def slug(text: str) -> str:
    """A text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.") or "x"


def shown(text: str, most: int = 26) -> str:
    """A name as a label in a figure: one line, no control characters, not too long."""
    plain = "".join(c if c.isprintable() else "�" for c in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def finite(values: Sequence[float]) -> list[float]:
    """The values that are numbers."""
    return [value for value in values if math.isfinite(value)]
