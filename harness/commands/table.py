"""`table`: the tables of studies from their records, as text, figure or bootstrap intervals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands import per_run, selection, terminal, unused

if TYPE_CHECKING:
    from harness.commands.reading import Records
    from harness.tables.page import Page

HELP = "print or draw the table of a dataset from its records"
EPILOG = """\
On a terminal: the answer in sentences, then the columns that there is room for, then what is amiss.
In a file or a pipe, or with --format markdown: the whole table with its caption."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add(
        "--format",
        choices=("markdown", "latex", "csv", "parquet"),
        help="default: markdown, with --per-run csv; on a terminal see below",
    )
    shared.add_explain(parser)
    add(
        "--per-run",
        action="store_true",
        help="instead: a row for every run, with its params and all of its scores as shares of 1, "
        "as csv or parquet (> runs.parquet)",
    )
    add("--json", action="store_true", help="each table as one JSON object")
    add(
        "--uncertainty",
        action="store_true",
        help="instead: bootstrap intervals over repeats, over test classes, over both",
    )
    add(
        "--metrics",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="the columns: map_at_r, r_precision, precision_at_1, recall_at_K, or diagnostics that "
        "the study recorded (study --help lists them); rows go by the first (default: the first "
        "three)",
    )
    add("--figure", type=Path, metavar="FILE", help="also draw the table (.png, .pdf or .svg)")
    selection.add(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print the tables of the selected records, and draw one if --figure is given."""
    from harness.schema import Problem
    from harness.tables import metrics

    per_run.check(options)
    if options.json:
        unused.refuse(options, add_options, {"--format": "is of text; leave it or --json out"})
    if options.uncertainty or options.per_run:
        which = "--uncertainty" if options.uncertainty else "--per-run"
        why = f"is of the table; {which} prints another"
        unused.refuse(options, add_options, dict.fromkeys(("--figure", "--explain"), why))
    if options.per_run:
        per_run.write(options)
        return
    metrics.metrics(options.metrics)  # a Problem if there is none of that name
    if options.uncertainty and options.metrics:
        raise Problem(
            "--uncertainty is of what records hold by class: map_at_r, r_precision and "
            "precision_at_1; leave --metrics out"
        )
    folders = selection.folders_of(options)
    if options.figure is not None:
        shared.check_figure_path(options.figure)
        if len(folders) > 1:
            names = ", ".join(f"{path.parent.name}/{path.name}" for path in folders)
            raise Problem(
                f"--figure draws one table; there are {names}: give --study and --dataset"
            )
    chosen = selection.with_losses(folders, options.loss)
    if options.uncertainty:
        texts = [_uncertainty(options, where, losses) for where, losses in chosen]
        sys.stdout.write("".join(texts))
        return
    for where, losses in chosen:
        show(
            where,
            losses,
            options.metrics,
            text_format=options.format,
            as_json=options.json,
            explain=options.explain,
            figure=options.figure,
        )


def show(
    where: Path,
    losses: Sequence[str] | None,
    metrics: Sequence[str] | None = None,
    *,
    text_format: str | None = None,
    as_json: bool = False,
    explain: bool = False,
    figure: Path | None = None,
) -> None:
    """Print the page of a results folder, an experiment's or the comparison's, and draw its figure.

    Without a format, a terminal gets the answer first and anything else markdown.
    """
    from harness.commands import reading
    from harness.tables import page as pages
    from harness.tables.unfinished import without_scores

    records = reading.read_records(where, losses)
    page = pages.page_of(
        records.study, records.dataset, records.by_loss, records.notes, metrics=metrics
    )
    if text_format is None and not as_json and terminal.is_terminal():
        show_on_terminal(page, records, explain=explain)
    else:
        print_page(page, text_format or "markdown", as_json=as_json)
        if page.comparison is not None and (line := without_scores(page.comparison)) is not None:
            print(f"harness: {line}", file=sys.stderr)
    if figure is not None:
        page.draw(figure)


def show_on_terminal(page: Page, records: Records, *, explain: bool) -> None:
    """Print the answer, the columns that there is room for, and what is amiss."""
    from rich.console import Console

    from harness.commands import terminal_page

    terminal_page.show(Console(), page, records, explain=explain)


def _uncertainty(options: argparse.Namespace, where: Path, losses: Sequence[str] | None) -> str:
    """The bootstrap over repeats, over test classes and over both, as the options ask for it."""
    from harness.commands import reading
    from harness.schema import BY_CLASS, Problem
    from harness.tables import capped, table, uncertainty, unfinished
    from harness.tables.metrics import AS_SHARES, IN_PERCENT

    records = reading.read_records(where, losses)
    reading.check_final_runs(records)
    records.warn()
    study, dataset = records.study, records.dataset
    intervals = uncertainty.lines(study, dataset, records.by_loss)
    if not intervals:
        whole = table.table(study, dataset, records.by_loss)
        if (why := unfinished.without_scores(whole)) is not None:
            raise Problem(why)
        raise Problem(
            f"{study.name}/{dataset} has no scores by class of two repeats or more: older records "
            f"have none, and neither has a dataset of more than {BY_CLASS} test classes; choose "
            "others with --dataset and --study"
        )
    caption = uncertainty.caption(
        intervals,
        study,
        dataset,
        capped.counts(study, records.by_loss),
        lacking=uncertainty.lacking(study, records.by_loss, intervals),
        unit=AS_SHARES if options.json or options.format == "csv" else IN_PERCENT,
    )
    if options.json:
        event = {
            "event": "uncertainty",
            "study": study.name,
            "dataset": dataset,
            "caption": caption,
            "rows": uncertainty.as_data(intervals),
        }
        return json.dumps(event) + "\n"
    form = options.format or "markdown"
    return uncertainty.text(intervals, caption, study, dataset, form=form)


def print_page(page: Page, text_format: str, *, as_json: bool) -> None:
    """Print a page as markdown, latex or csv, or as one JSON object."""
    if as_json:
        print(json.dumps({"event": "table", **page.data()}))
    else:
        sys.stdout.write(page.text(text_format))
