"""split.csv: which half each class of a folder belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.data.halves import class_key
from harness.data.list_files import read_rows, read_text
from harness.data.listing import named
from harness.schema import Problem

HALVES = ("train", "test")


def read(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """The half (train or test) of each class; Problem unless every class has exactly one row.

    The header `class,split` and the halves may be in any case; names that look the same are the
    same, however their accents are encoded; lines end as on any system. Empty cells behind the two
    columns, and rows of nothing else, are what spreadsheets leave behind.
    """
    cells = [row for _, row in read_rows(read_text(path), path)]
    rows = [row[:2] if not any(cell.strip() for cell in row[2:]) else row for row in cells]
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    if header != ["class", "split"] or any(len(row) != 2 for row in rows):
        raise Problem(f"{path}: the header `class,split` and two columns in every row are needed")
    pairs = [(class_key(name), half.strip().casefold()) for name, half in rows[1:]]
    unknown = sorted({half for _, half in pairs} - set(HALVES))
    if unknown:
        raise Problem(f"{path}: split {named(unknown)} is not known; allowed are train and test")
    n_rows = Counter(name for name, _ in pairs)
    n_folders = Counter(class_key(name) for name in classes)
    wrong = sorted(n_rows.keys() ^ n_folders.keys())
    wrong += sorted(name for name in n_rows if n_rows[name] > 1 or n_folders[name] > 1)
    if wrong:
        raise Problem(
            f"{path}: classes that have no folder, no row or more than one of either: "
            f"{named(wrong)}"
        )
    half_of = dict(pairs)
    return {name: half_of[class_key(name)] for name in classes}
