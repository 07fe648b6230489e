"""table:FILE, a .csv or .parquet with a row per image: open-metric-learning's format, or less.

Columns: `path` and `label`, and optionally `split`, `is_query`, `is_gallery`, `group`, `x_1`,
`x_2`, `y_1`, `y_2`; others are left out, and a line says so. Paths are relative to the table. Where
they begin with a folder of the machine that the table was made on, they are read without it.

- `split`: `train` is the trainval half, `validation`, `val` or `test` the test half (validation
  joins train where there is a test). Without it the second half of the classes, in the natural
  order of their labels, is the test half, as in folder:PATH. So it is where the split divides the
  images within classes, as in open-metric-learning's tables of CUB and Cars: no class may be in
  both halves, and these are then the halves that papers on metric learning use.
- `is_query`, `is_gallery`: True or False in the rows of the test half. Where all are both, every
  image is searched for among all others. Where one of the columns is given, the other is the rest.
- `group` (or `sequence`, as open-metric-learning calls it): a camera or session. A query's gallery
  leaves out the images of its class and group. Empty or -1: none.
- `x_1`, `x_2`, `y_1`, `y_2`: left, right, top and bottom in pixels of a box, which is cut out
  before the image is resized. Empty: the whole image. Several rows may cut from one image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data import halves, table_file, table_places
from harness.data.groups import RENAME, is_no_label, numbered
from harness.data.listing import Listing, checked, named
from harness.data.table_file import Table
from harness.schema import Bools, Ints, Problem

COUNTS = None  # known only once the table is read
WHERE = "your own: a .csv or .parquet with a row per image, columns path, label, optionally split"
NEEDED = ("path", "label")
MARKS = ("is_query", "is_gallery")
GROUPS = ("group", "sequence")  # the first that is there
COLUMNS = (*NEEDED, "split", *MARKS, *GROUPS, *table_places.BOX)


def listing(path: Path, *, shuffle: int | None = None, skip_bad: bool = False) -> Listing:
    """The images in the order of the table's rows; `shuffle` seeds the order of the classes.

    Problem that names the lines where the table is wrong, or has images that are not there; with
    `skip_bad` these are listed, to be left out with the images that cannot be decoded.
    """
    table = table_file.read(path, COLUMNS, needed=NEEDED)
    for column in NEEDED:
        table.refuse([text == "" for text in table.columns[column]], f"{column} is empty")
    is_missing = [is_no_label(text) for text in table.columns["label"]]
    table.refuse(is_missing, f"label is nan, which marks a missing one; {RENAME}")
    names = [halves.class_key(text) for text in table.columns["label"]]
    classes = halves.in_order(set(names), shuffle)
    if len(classes) < 2:
        raise Problem(f"{path}: every row has the label {classes[0]!r}; 2 labels are needed")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], np.int64)
    in_test, origin, is_by_split = _halves(table, labels, classes)
    is_test = in_test[labels]
    is_query, is_gallery = _marks(table, is_test, is_by_split=is_by_split)
    groups, group_notes = _groups(table)
    paths, path_notes = table_places.paths(table)
    pair_notes = halves.check_pairs(f"table:{path}", labels, is_test)
    notes = [*table.notes, halves.line(classes, in_test, origin), *pair_notes]
    unchecked = Listing(
        name=f"table:{path}",
        paths=tuple(paths),
        labels=labels,
        is_test=is_test,
        class_names=tuple(classes),
        is_query=is_query,
        is_gallery=is_gallery,
        groups=groups,
        boxes=table_places.boxes(table),
        notes=(*notes, *group_notes, *path_notes),
    )
    return checked(unchecked, path.parent, None, table.rows, allow_missing=skip_bad)


def _halves(table: Table, labels: Ints, classes: list[str]) -> tuple[Bools, str, bool]:
    """Marks [classes] those of the test half; where that is from; whether the split says so."""
    second, by_order = halves.second_of(classes), "the second half of the classes in their order"
    if "split" not in table.columns:
        return second, f"{by_order}: there is no column split", False
    splits = [text.casefold() for text in table.columns["split"]]
    table.refuse(
        [text not in halves.WORDS for text in splits],
        f"split is none of {named(sorted(halves.WORDS))}",
    )
    half_of = halves.of_words(set(splits))
    if not half_of:
        return second, f"{by_order}: the column split says {named(sorted(set(splits)))} only", False
    is_test = np.array([half_of[text] == "test" for text in splits], np.bool_)
    row_of = [
        {int(labels[i]): table.rows[i] for i in np.flatnonzero(mask)}
        for mask in (~is_test, is_test)
    ]
    train, test = row_of
    both = sorted(train.keys() & test.keys())
    if not both:
        return (
            np.array([i in test for i in range(len(classes))], np.bool_),
            "by the column split",
            True,
        )
    if len(both) == len(test):
        why = "the column split divides the images within classes, and no class may be in both"
        return second, f"{by_order}: {why}", False
    raise Problem(
        f"{table.path}: {len(both)} of {len(classes)} labels are in both halves: "
        + named([f"{classes[i]} ({train[i]} says train, {test[i]} test)" for i in both])
        + "; no class may be trained on and tested: correct these rows, or leave the column split "
        "out and the classes are divided"
    )


def _marks(table: Table, is_test: Bools, *, is_by_split: bool) -> tuple[Bools | None, Bools | None]:
    """The queries [n] and the gallery [n] as in Dataset."""
    cells = {name: table.booleans(name) for name in MARKS if name in table.columns}
    cells = {name: column for name, column in cells.items() if set(column) != {None}}
    every = {cell for column in cells.values() for cell in column if cell is not None}
    # Where the halves are not those of the split, rows without a mark may be in either.
    if not cells or (not is_by_split and every == {True}):
        return None, None
    for name, column in cells.items():
        is_empty = np.array([cell is None for cell in column], np.bool_)
        table.refuse(is_empty & is_test, f"{name} is empty in the test half, where it must be said")
    marks = {name: np.array([c is True for c in cells[name]]) & is_test for name in cells}
    if all(np.array_equal(mark, is_test) for mark in marks.values()):
        return None, None
    is_query = marks.get("is_query", is_test & ~marks.get("is_gallery", is_test))
    is_gallery = marks.get("is_gallery", is_test & ~is_query)
    table.refuse(is_test & ~is_query & ~is_gallery, "neither query nor gallery in the test half")
    for name, mark in zip(MARKS, (is_query, is_gallery), strict=True):
        if not mark.any():
            raise Problem(f"{table.path}: {name} is True in no row of the test half; mark some")
    return is_query, is_gallery if (is_query & is_gallery).any() else None


def _groups(table: Table) -> tuple[Ints | None, list[str]]:
    """The group of each row [n], -1 for none, and a line on them; None where no row has one."""
    for column in GROUPS:
        if column in table.columns:
            groups = numbered(table.optional(column))
            if n_groups := int(groups.max()) + 1:
                line = (
                    f"{n_groups:,} groups by the column {column}: a query's gallery leaves out "
                    "the images of its class and group"
                )
                return groups, [line]
    return None, []
