"""`table --per-run`: every record of the selected studies as a row, for other programs."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

from harness.commands import selection

if TYPE_CHECKING:
    from harness.tables.record_rows import Rows

FORMATS = ("csv", "parquet")


def check(options: argparse.Namespace) -> None:
    """Problem where the options of `table` do not go together with --per-run, or need it."""
    from harness.schema import Problem

    if not options.per_run:
        if options.format == "parquet":
            raise Problem("--format parquet is of --per-run alone; add it, or give --format csv")
        return
    unlike = ("metrics", "figure", "uncertainty", "json")
    given = [f"--{name}" for name in unlike if getattr(options, name)]
    if given:
        raise Problem(
            f"--per-run prints every run with all of its scores; leave {' and '.join(given)} out"
        )
    if options.format not in (None, *FORMATS):
        raise Problem(f"--per-run --format {options.format}: known: {', '.join(FORMATS)}")


def write(options: argparse.Namespace) -> None:
    """Write the rows of all selected records to standard output, what was left out to the other."""
    from harness.commands import reading
    from harness.tables import record_rows

    lines: list[record_rows.Line] = []
    for where, losses in selection.selected(options):
        records = reading.read_records(where, losses)
        records.warn()
        lines += record_rows.runs(records.study, records.dataset, records.by_loss)
    rows = record_rows.rows_of(record_rows.RUNS, lines)
    if options.format == "parquet":
        _write_bytes(parquet(rows))
    else:
        sys.stdout.write(comma_separated(rows))


def comma_separated(rows: Rows) -> str:
    """A head and a line a row; truths as 1 and 0, nothing where there is no value."""
    from harness.tables import markup

    body = [
        [int(cell) if isinstance(cell, bool) else cell for cell in row]
        for row in zip(*rows.values.values(), strict=True)
    ]
    return markup.comma_separated(list(rows.values), body, "")


def parquet(rows: Rows) -> bytes:
    """The rows as a Parquet file; Problem where the package pyarrow is missing."""
    from harness.schema import Problem

    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Problem(
            "--format parquet needs the package pyarrow, which is not installed: python -m pip "
            "install pyarrow, or give --format csv"
        ) from None
    types = {
        "text": pyarrow.string(),
        "whole": pyarrow.int64(),
        "number": pyarrow.float64(),
        "truth": pyarrow.bool_(),
    }
    columns = {
        name: pyarrow.array(values, type=types[rows.kinds[name]])
        for name, values in rows.values.items()
    }
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def _write_bytes(content: bytes) -> None:
    from harness.schema import Problem

    if sys.stdout.isatty():
        raise Problem("a Parquet file is no text for a terminal; put `> runs.parquet` behind it")
    sys.stdout.buffer.write(content)
