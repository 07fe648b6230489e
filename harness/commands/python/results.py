"""The records of a results folder as data frames and figures, for notebooks and programs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import reading, selection
from harness.commands.python import figures, frames
from harness.report.sources import Source
from harness.schema import Problem, Record, Study
from harness.tables import record_rows, table, table_text
from harness.tables.record_rows import Kind, Line

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

Names = str | Sequence[str] | None
Lines = Callable[[Study, str, Mapping[str, Sequence[Record]]], list[Line]]
LISTED = 8  # losses that are named one by one
TABLE: dict[str, Kind] = {
    **dict.fromkeys(("study", "dataset", "loss", "category", "metric", "group"), "text"),
    **dict.fromkeys(("mean", "ci95"), "number"),
    **dict.fromkeys(("n", "rank_first", "rank_last", "failed"), "whole"),
    **dict.fromkeys(("repeats_for_1_point", "searched_dimensions"), "whole"),
    **dict.fromkeys(("best", "tied", "untested"), "truth"),
}


def names_of(names: Names) -> list[str] | None:
    """One name or several as a list; None for all. Problem where there is none, or no text."""
    if names is not None and not names:
        raise Problem("a list of names is empty; name something, or leave it out for all")
    wrong = [name for name in names or () if not isinstance(name, str)]
    if wrong:
        raise Problem(f"{wrong[0]!r} is a {type(wrong[0]).__name__} and no name; give texts")
    return [names] if isinstance(names, str) else None if names is None else list(names)


def load(
    results: str | Path = "results",
    *,
    study: Names = None,
    datasets: Names = None,
    losses: Names = None,
) -> Results:
    """The records of a results folder, checked as every command checks them.

    `study`, `datasets` and `losses` select, by the names of the command line; all that there is
    without them. What was left out, is mixed or torn is a warning; `notes` keeps it. A Problem
    where nothing is selected.
    """
    chosen = argparse.Namespace(
        results=Path(results).expanduser(), study=names_of(study), dataset=names_of(datasets)
    )
    of_folders = {}
    for where, here in selection.with_losses(selection.folders_of(chosen), names_of(losses)):
        records = reading.read_records(where, here)
        of_folders[where] = records
        for note in records.amiss:
            warnings.warn(f"{records.study.name}/{records.dataset}: {note}", stacklevel=2)
    return Results(of_folders)


@dataclass(frozen=True, repr=False)
class Results:
    """The records of studies on datasets as `load` found them; every frame is made when called.

    Scores are shares of 1, as in CSV. results/PYTHON.md describes the columns.
    """

    records: Mapping[Path, reading.Records]

    def __repr__(self) -> str:
        parts = []
        for one in self.records.values():
            names = list(one.by_loss)
            losses = f"{len(names)} losses" if len(names) > LISTED else ", ".join(names)
            runs = sum(map(len, one.by_loss.values()))
            parts.append(f"{one.study.name}/{one.dataset}: {runs} runs of {losses}")
        return f"<Results of {'; '.join(parts)}>"

    @property
    def notes(self) -> list[str]:
        """What was checked of the records, left out, mixed or torn, a sentence each."""
        return [
            f"{one.study.name}/{one.dataset}: {note}"
            for one in self.records.values()
            for note in one.notes
        ]

    def runs(self) -> pandas.DataFrame:
        """A row for every run: what it is, how it ended, scores, diagnostics, params."""
        return self._frame(record_rows.RUNS, record_rows.runs)

    def trials(self) -> pandas.DataFrame:
        """A row for every trial of the searches: folds, mean held-out MAP@R, params."""
        return self._frame(record_rows.TRIALS, record_rows.trials_with_scores)

    def scores_by_class(self) -> pandas.DataFrame:
        """A row for every test class of every final run: queries, and mean scores over them."""
        return self._frame(record_rows.CLASSES, record_rows.classes)

    def curves(self) -> pandas.DataFrame:
        """A row for every epoch of every run; the curves are read from disk when this is called."""
        lines: list[Line] = []
        for where, one in self.records.items():
            with_curves = self._with_curves(where)
            lines += record_rows.curves(one.study, one.dataset, with_curves)
        return frames.frame(record_rows.rows_of(record_rows.CURVES, lines))

    def table(self, metrics: Names = None) -> pandas.DataFrame:
        """A row for every loss, category and metric: the lines of `table --format csv`.

        `metrics` as in `table --metrics`. Of an experiment this is the comparison of its losses and
        not the experiment's own page. A pool of configurations has no final
        runs and is left out with a warning; a Problem where there is nothing else.
        """
        compared = [one for one in self.records.values() if not one.study.test_scored]
        for one in self.records.values():
            if one in compared:
                continue
            if not compared:
                reading.check_final_runs(one)
            warnings.warn(
                f"{one.study.name}/{one.dataset} has no final runs and is in no table", stacklevel=2
            )
        lines: list[Line] = []
        for one in compared:
            made = table.table(
                one.study, one.dataset, one.by_loss, one.notes, metrics=names_of(metrics)
            )
            lines += table_text.lines(made)
        ordered = {name: TABLE[name] for name in table_text.HEAD}
        return frames.frame(record_rows.rows_of(ordered, lines))

    def table_figure(self, metric: str = "map_at_r") -> Figure:
        """Means and intervals of all losses, a panel a category; of one study on one dataset."""
        return figures.of_table(self._source("table_figure"), metric)

    def score_figure(self, category: str = "complete", metric: str = "map_at_r") -> Figure:
        """Every repeat, mean and interval of a category; of one study on one dataset."""
        return figures.of_scores(self._source("score_figure"), category, metric)

    def curve_figure(self, loss: str) -> Figure:
        """Held-out MAP@R by epoch of the best trial's runs; of one study on one dataset."""
        return figures.of_curves(self._source("curve_figure", curves=True), loss)

    def ranks_figure(self, category: str = "complete", metric: str = "map_at_r") -> Figure:
        """The critical-difference diagram over two datasets or more, of one study or several."""
        return figures.of_ranks([self._source_of(w) for w in self.records], category, metric)

    def _frame(self, known: Mapping[str, Kind], lines: Lines) -> pandas.DataFrame:
        every: list[Line] = []
        for one in self.records.values():
            every += lines(one.study, one.dataset, one.by_loss)
        return frames.frame(record_rows.rows_of(known, every))

    def _with_curves(self, where: Path) -> Mapping[str, Sequence[Record]]:
        """The records that were loaded, read again with their curves."""
        of_folder = self.records[where].by_loss
        keys = {loss: {record.key for record in records} for loss, records in of_folder.items()}
        again = reading.read_records(where, list(of_folder), curves=True).by_loss
        return {loss: [r for r in again[loss] if r.key in keys[loss]] for loss in of_folder}

    def _source(self, asked: str, *, curves: bool = False) -> Source:
        """The records of the only study on the only dataset; Problem where there are several."""
        if len(self.records) > 1:
            names = ", ".join(f"{where.parent.name}/{where.name}" for where in self.records)
            raise Problem(
                f"{asked} draws one study on one dataset, and there are {names}; give study= and "
                "datasets= to load"
            )
        return self._source_of(next(iter(self.records)), curves=curves)

    def _source_of(self, where: Path, *, curves: bool = False) -> Source:
        one = self.records[where]
        reading.check_final_runs(one)
        return Source(
            address=f"{where.parent.name}/{where.name}",
            results=str(where.parent.parent),
            study=one.study,
            dataset=one.dataset,
            records=self._with_curves(where) if curves else one.by_loss,
            notes=one.notes,
        )
