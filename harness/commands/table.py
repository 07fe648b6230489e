"""`table`: the tables of studies from their records, as text, figure or bootstrap intervals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.tables import optimism, table

HELP = "print or draw the table of a dataset from its records"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("--format", choices=("markdown", "latex", "csv"), default="markdown")
    add("--json", action="store_true", help="each table as one JSON object")
    add(
        "--uncertainty",
        action="store_true",
        help="instead: bootstrap intervals over repeats, over test classes, over both",
    )
    add("--figure", type=Path, metavar="FILE", help="also draw the table (.png, .pdf or .svg)")
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print the tables of the selected records, and draw one if --figure is given."""
    from harness.schema import Problem
    from harness.tables import figure, optimism, optimism_figure

    folders = shared.selected_folders(options)
    if options.figure is not None:
        shared.check_figure_path(options.figure)
        if len(folders) > 1:
            names = ", ".join(f"{path.parent.name}/{path.name}" for path in folders)
            raise Problem(
                f"--figure draws one table; there are {names}: give --study and --dataset"
            )
    for where in folders:
        if options.uncertainty:
            _print_uncertainty(options, where)
            continue
        result = table_of(where, options.loss)
        print_table(result, options.format, as_json=options.json)
        if options.figure is not None:
            if isinstance(result, optimism.Table):
                optimism_figure.draw(result, options.figure)
            else:
                figure.draw_table(result, options.figure)


def table_of(where: Path, losses: Sequence[str] | None) -> table.Table | optimism.Table:
    """The table of a results folder; that of the study `optimism` is of its own kind."""
    from harness.commands import reading
    from harness.tables import optimism, table

    records = reading.read_records(where, losses)
    if records.study.test_scored:
        return optimism.table(records.study, records.dataset, records.by_loss, records.notes)
    return table.table(records.study, records.dataset, records.by_loss, records.notes)


def _print_uncertainty(options: argparse.Namespace, where: Path) -> None:
    """Print the bootstrap over repeats, over test classes and over both."""
    from harness.commands import reading
    from harness.schema import BY_CLASS, Problem
    from harness.tables import capped, uncertainty

    records = reading.read_records(where, options.loss)
    reading.check_final_runs(records)
    records.warn()
    study, dataset = records.study, records.dataset
    intervals = uncertainty.lines(study, dataset, records.by_loss)
    if not intervals:
        raise Problem(
            f"{study.name}/{dataset} has no scores by class of two repeats or more: older records "
            f"have none, and neither has a dataset of more than {BY_CLASS} test classes"
        )
    caption = uncertainty.caption(intervals, study, dataset, capped.counts(study, records.by_loss))
    if options.json:
        event = {
            "event": "uncertainty",
            "study": study.name,
            "dataset": dataset,
            "caption": caption,
            "rows": uncertainty.as_data(intervals),
        }
        print(json.dumps(event))
    else:
        sys.stdout.write(uncertainty.text(intervals, caption, form=options.format))


def print_table(result: table.Table | optimism.Table, text_format: str, *, as_json: bool) -> None:
    """Print a table as markdown, latex or csv, or as one JSON object."""
    from harness.tables import optimism, optimism_text, table_text

    if isinstance(result, optimism.Table):
        data, text = optimism_text.as_data(result), optimism_text.FORMATS[text_format](result)
    else:
        data, text = table_text.as_data(result), table_text.FORMATS[text_format](result)
    if as_json:
        print(json.dumps({"event": "table", **data}))
    else:
        sys.stdout.write(text)
