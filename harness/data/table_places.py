"""Where the picture of each row of a table is: its file and the box within it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from harness.data.listing import named
from harness.data.table_file import Table
from harness.schema import Ints, Problem

BOX = ("x_1", "y_1", "x_2", "y_2")  # left, top, right, bottom
SAMPLE = 50  # rows whose paths are tried to see where a table's images lie


def paths(table: Table) -> tuple[list[str], list[str]]:
    """The paths [n] from the table's folder, and notes where the table spells them otherwise."""
    root, notes = table.path.parent, []
    texts = table.columns["path"]
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    if any("\\" in text for text in sample) and not _any_exists(root, sample):
        texts = [text.replace("\\", "/") for text in texts]
        sample = [text.replace("\\", "/") for text in sample]
        notes.append("the backslashes in its paths are read as /")
    foreign = _foreign_folder(root, sample)
    if foreign:
        texts = [text.removeprefix(foreign) for text in texts]
        notes.append(f"its paths begin with {foreign}, which is not here; they are read without it")
    plain = (str(PurePosixPath(text)) if "./" in text or "//" in text else text for text in texts)
    return [_as_on_disk(root, text) for text in plain], notes


def _any_exists(root: Path, texts: Sequence[str]) -> bool:
    return any(os.path.exists(root / text) for text in texts)


def _foreign_folder(root: Path, texts: Sequence[str]) -> str:
    """The folder of another machine that the paths begin with; "" where they are right."""
    if _any_exists(root, texts):
        return ""
    for text in texts:
        parts = text.split("/")
        for i in range(1, len(parts)):
            if parts[i] and _any_exists(root, ["/".join(parts[i:])]):
                return "/".join(parts[:i]) + "/"
    return ""


def _as_on_disk(root: Path, path: str) -> str:
    """The path with its accents encoded as the file's name has them."""
    if path.isascii():
        return path
    forms = (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
    return next((form for form in forms if _any_exists(root, [form])), path)


def boxes(table: Table) -> Ints | None:
    """Left, top, right and bottom [n, 4] of each row's box, -1 for none; None without any."""
    given = [name for name in BOX if name in table.columns]
    if not given:
        return None
    if len(given) < len(BOX):
        raise Problem(
            f"{table.path}: of the four columns of a box there are only {named(given)}; give "
            f"{named(BOX)} or none"
        )
    texts = list(zip(*(table.optional(name) for name in BOX), strict=True))
    table.refuse(
        ["" in row and any(row) for row in texts], "boxes that have some of their numbers only"
    )
    numbers = [[_pixels(text) for text in row] for row in texts]
    table.refuse(
        [any(row) and None in whole for row, whole in zip(texts, numbers, strict=True)],
        "boxes whose numbers are no whole numbers of pixels from 0 on",
    )
    marks = np.array([[-1 if n is None else n for n in row] for row in numbers], np.int64)
    left, top, right, bottom = marks.T
    is_empty = (left >= 0) & ((right <= left) | (bottom <= top))
    table.refuse(is_empty, "boxes without a pixel; x_1 < x_2 and y_1 < y_2 are needed")
    return marks if (left >= 0).any() else None


def _pixels(text: str) -> int | None:
    """The whole number of 0 or more that a text says, 3.0 being 3; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if 0 <= number < 1e9 and number.is_integer() else None
