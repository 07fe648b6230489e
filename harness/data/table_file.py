"""A table of images as any program saved it, .csv or .parquet: columns of texts by their names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.list_files import read_rows, read_text
from harness.data.listing import named
from harness.files import meant_path
from harness.schema import Bools, Problem

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
EMPTY = frozenset({"", "nan", "none", "null", "<na>", "na", "n/a"})
TRUE, FALSE = (
    frozenset({"true", "1", "1.0", "yes", "t"}),
    frozenset({"false", "0", "0.0", "no", "f"}),
)


@dataclass(frozen=True)
class Table:
    """The known columns of a table as texts [n].

    `rows` [n] say where each row stands ("line 7"), for messages; `notes` are to be said once.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[str]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def refuse(self, wrong: Sequence[bool] | Bools, what: str) -> None:
        """Problem that names the rows [n] that are wrong, if there are any, and says `what` is."""
        rows = [row for row, is_wrong in zip(self.rows, wrong, strict=True) if is_wrong]
        if rows:
            raise Problem(f"{self.path}: {what}: {named(rows)}")

    def optional(self, column: str) -> list[str]:
        """A column whose cells may be empty, which is "" however it is spelled."""
        return ["" if text.casefold() in EMPTY else text for text in self.columns[column]]

    def booleans(self, column: str) -> list[bool | None]:
        """A column of True and False, however they are spelled; None where a cell is empty."""
        texts = [text.casefold() for text in self.optional(column)]
        unknown = [text not in TRUE and text not in FALSE and text != "" for text in texts]
        self.refuse(unknown, f"{column} is neither True nor False nor empty")
        return [text in TRUE if text else None for text in texts]


def read(path: Path, known: Collection[str], needed: Collection[str]) -> Table:
    """The `known` columns of a table; Problem where one that is `needed` is missing.

    Names of columns may be in any case; other columns are left out, and a note says so.
    """
    if path.is_dir():
        raise Problem(f"table: {path} is a folder; give the table in it, or folder:{path}")
    if not path.is_file():
        raise Problem(
            f"table: there is no file {path};{meant_path(path)} give the path of a .csv or .parquet"
        )
    if path.suffix.lower() in (".parquet", ".pq"):
        table = _from_parquet(path, known)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        table = _from_csv(path, known)
    else:
        raise Problem(f"table: {path} ends in neither .csv nor .parquet; save it as one of them")
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise Problem(
            f"{path}: no column {named(missing)} in its header; needed are {named(list(needed))}, "
            f"known are also {named([name for name in known if name not in needed])}"
        )
    if not len(table):
        raise Problem(f"{path}: holds no rows under its header; list an image in each")
    return table


def _from_csv(path: Path, known: Collection[str]) -> Table:
    """A table of a text file, whichever of SEPARATORS it has."""
    text = read_text(path)
    first = next((line for line in text.split("\n") if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    full = [
        (line, row)
        for line, row in read_rows(text, path, separator)
        if any(cell.strip() for cell in row)
    ]
    cells, rows = [row for _, row in full], [f"line {line}" for line, _ in full]
    header = cells.pop(0) if cells else []
    rows = rows[1:]
    columns, notes = _known_columns(path, header, known)
    if separator != ",":
        notes.append(f"its columns are separated by {SEPARATORS[separator]}")
    width = len(header)
    uneven = [len(row) < width or any(cell.strip() for cell in row[width:]) for row in cells]
    Table(path, {}, rows, notes).refuse(
        uneven, f"rows with more or fewer cells than the {width} of its header"
    )
    texts = {name: [row[i].strip() for row in cells] for name, i in columns.items()}
    return Table(path, texts, rows, notes)


def _from_parquet(path: Path, known: Collection[str]) -> Table:
    """A table of a Parquet file, which needs the package pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Problem(
            f"{path}: the package pyarrow reads .parquet and is not installed; `python -m pip "
            "install pyarrow`, or save the table as CSV"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        columns, notes = _known_columns(path, file.schema_arrow.names, known)
        names = [file.schema_arrow.names[i] for i in columns.values()]
        values = file.read(columns=names)
    except (pyarrow.ArrowException, OSError) as error:
        raise Problem(f"{path} is no readable Parquet file ({error}); save it again") from None
    texts = {
        column: [_text(value) for value in values.column(name).to_pylist()]
        for column, name in zip(columns, names, strict=True)
    }
    rows = [f"row {number}" for number in range(1, values.num_rows + 1)]
    return Table(path, texts, rows, notes)


def _known_columns(
    path: Path, header: Iterable[str], known: Collection[str]
) -> tuple[dict[str, int], list[str]]:
    """Where each known column stands, and a note of those that are left out."""
    names = [name.strip().casefold() for name in header]
    twice = sorted({name for name in names if name in known and names.count(name) > 1})
    if twice:
        raise Problem(f"{path}: more than one column {named(twice)}; keep one of each")
    others = [name or "(no name)" for name in names if name not in known]
    notes = [f"columns that mean nothing here are left out: {named(others)}"] if others else []
    return {name: i for i, name in enumerate(names) if name in known}, notes


def _text(value: Any) -> str:
    """A cell as text, "" where it holds nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():  # whole numbers beside missing ones
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode(errors="surrogateescape")
    return str(value).strip()
