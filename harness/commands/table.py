"""`table`: records to the tables of studies, their figure, their bootstrap."""

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

HELP = "compare losses on a dataset from their records"
FIGURES = (".png", ".pdf", ".svg")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("--format", choices=("markdown", "latex", "csv"), default="markdown")
    add("--json", action="store_true", help="the table as one JSON object")
    add(
        "--uncertainty",
        action="store_true",
        help="instead: intervals over repeats, over test classes, over both (bootstrap)",
    )
    add("--figure", type=Path, metavar="FILE", help="draw it too (.png, .pdf or .svg)")
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print (and draw) tables from records."""
    from harness.schema import Problem
    from harness.tables import figure, optimism

    folders = shared.selected_folders(options)
    if options.figure is not None:
        check_figure(options.figure)
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
                raise Problem(
                    f"--figure draws no table of the study {result.study.name!r}, whose columns "
                    "are two ways to choose; leave it out"
                )
            figure.draw(result, options.figure)


def table_of(where: Path, losses: Sequence[str] | None) -> table.Table | optimism.Table:
    """The table of the records in the folder of a study and dataset."""
    from harness.tables import optimism, table

    study, title, records, torn = shared.read_selected(where, losses)
    if study.test_tuned:
        return optimism.table(study, title, records, torn)
    return table.table(study, title, records, torn)


def check_figure(path: Path) -> None:
    """A Problem unless a figure can be drawn to a file of that name."""
    from harness.schema import Problem

    if path.suffix not in FIGURES:
        raise Problem(f"--figure {path}: the name must end in .png, .pdf or .svg")


def _print_uncertainty(options: argparse.Namespace, where: Path) -> None:
    """Print the bootstrap over repeats, over test classes and over both."""
    from harness.schema import BY_CLASS, Problem
    from harness.tables import uncertainty

    study, title, records, _ = shared.read_selected(where, options.loss)
    lines = uncertainty.lines(study, title, records)
    if not lines:
        raise Problem(
            f"{study.name}/{title} has no scores by class of two repeats or more: older records "
            f"have none, and neither has a dataset of more than {BY_CLASS} test classes"
        )
    if options.json:
        event = {
            "event": "uncertainty",
            "study": study.name,
            "dataset": title,
            "caption": uncertainty.caption(study, title),
            "rows": uncertainty.as_data(lines),
        }
        print(json.dumps(event))
    else:
        sys.stdout.write(uncertainty.text(options.format, study, title, lines))


def print_table(result: table.Table | optimism.Table, form: str, *, as_json: bool) -> None:
    """Print a table in a form, or as one JSON object."""
    from harness.tables import optimism, optimism_text, table_text

    if isinstance(result, optimism.Table):
        data, text = optimism_text.as_data(result), optimism_text.FORMATS[form](result)
    else:
        data, text = table_text.as_data(result), table_text.FORMATS[form](result)
    if as_json:
        print(json.dumps({"event": "table", **data}))
    else:
        sys.stdout.write(text)
