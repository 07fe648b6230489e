"""The table command: records to the tables of studies, their figure, their bootstrap."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.found import loaded, places_of

if TYPE_CHECKING:
    from harness import inflation, tables


def table(options: argparse.Namespace) -> None:
    """Print (and draw) tables from records."""
    from harness import inflation
    from harness.schema import Problem

    places = places_of(options)
    if options.figure is not None:
        check_figure(options.figure)
        if len(places) > 1:
            there = ", ".join(f"{path.parent.name}/{path.name}" for path in places)
            raise Problem(
                f"--figure draws one table; there are {there}: give --study and --dataset"
            )
    for where in places:
        if options.uncertainty:
            _show_uncertainty(options, where)
            continue
        told = assembled(where, options.loss)
        show(options, options.format, told)
        if options.figure is not None:
            if isinstance(told, inflation.Table):
                raise Problem(
                    f"--figure draws no table of the study {told.study.name!r}, whose columns are "
                    "two ways to choose; leave it out"
                )
            from harness import figure

            figure.draw(told, options.figure)


def assembled(where: Path, losses: Sequence[str] | None) -> tables.Table | inflation.Table:
    """The table of what lies in the folder of a study and dataset."""
    from harness import inflation, tables

    study, title, lines, notes = loaded(where, losses)
    if study.test_tuned:
        return inflation.table(study, title, lines, notes)
    return tables.table(study, title, lines, notes)


def check_figure(path: Path) -> None:
    """A Problem unless a figure can be drawn to a file of that name."""
    from harness.schema import Problem

    if path.suffix not in (".png", ".pdf", ".svg"):
        raise Problem(f"--figure {path}: the name must end in .png, .pdf or .svg")


def _show_uncertainty(options: argparse.Namespace, where: Path) -> None:
    """Print the bootstrap over repeats, over test classes and over both."""
    from harness import uncertainty
    from harness.schema import BY_CLASS, Problem

    told, title, lines, _ = loaded(where, options.loss)
    found = uncertainty.lines(told, title, lines)
    if not found:
        raise Problem(
            f"{told.name}/{title} has no scores by class of two repeats or more: older records "
            f"have none, and neither has a dataset of more than {BY_CLASS} test classes"
        )
    if options.json:
        said = uncertainty.caption(told, title)
        rows = uncertainty.as_data(found)
        print(json.dumps({"event": "uncertainty", "study": told.name, "dataset": title,
                          "caption": said, "rows": rows}))  # fmt: skip
    else:
        sys.stdout.write(uncertainty.text(options.format, told, title, found))


def show(options: argparse.Namespace, form: str, told: tables.Table | inflation.Table) -> None:
    """Print a table in a form, or as JSON where the options say so."""
    from harness import inflation, inflation_text, tables_text

    if isinstance(told, inflation.Table):
        data = inflation_text.as_data(told)
        text = inflation_text.FORMATS[form](told)
    else:
        data, text = tables_text.as_data(told), tables_text.FORMATS[form](told)
    if options.json:
        print(json.dumps({"event": "table", **data}))
    else:
        sys.stdout.write(text)
