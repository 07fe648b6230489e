"""Texts, lines, columns and numbers of the files that list a dataset's images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from harness.schema import Ints, Problem


def read_lines(path: Path) -> list[str]:
    """The lines of a list file in UTF-8; bytes that are not UTF-8 are kept, as in file names."""
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    return [line for line in text.split("\n") if line.strip()]


def read_columns(path: Path, columns: int, *, skip: int = 0) -> list[list[str]]:
    """Rows [rows][columns] split at spaces, after `skip` lines; the last column may hold spaces."""
    rows = [line.strip().split(maxsplit=columns - 1) for line in read_lines(path)[skip:]]
    for number, row in enumerate(rows, skip + 1):
        if len(row) != columns:
            raise Problem(
                f"{path}: line {number} has {len(row)} columns where {columns} are expected; "
                "the file is damaged: fetch it again"
            )
    return rows


def integers(texts: Iterable[str], path: Path) -> Ints:
    """The texts as int64 [n]; a Problem names the file and the text that is no whole number."""
    try:
        return np.array([int(text) for text in texts], np.int64)
    except ValueError as error:
        raise Problem(f"{path}: {error}; the file is damaged: fetch it again") from None


def read_text(path: Path) -> str:
    """The text of a file that any program saved, its lines ended by "\\n".

    Bytes that are not UTF-8 are kept, as in file names. Problem for bytes that are no text.
    """
    content = path.read_bytes()
    utf_16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = (
            content.decode("utf-16") if utf_16 else content.decode("utf-8-sig", "surrogateescape")
        )
    except UnicodeDecodeError as error:
        raise Problem(f"{path} is no text ({error}); save it as text in UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_rows(text: str, path: Path, separator: str = ",") -> list[tuple[int, list[str]]]:
    """The rows of a CSV file's text, each with the number of the line that it ends on.

    Problem with the line where quotes do not fit: a stray one would swallow all rows to the next.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise Problem(f"{path}: line {reader.line_num}: {error}; save it as CSV again") from None
