"""A dataset of one's own that a file describes: `data new`."""

from __future__ import annotations

from harness.commands import new_files

FOLDER = "harness/data/datasets"
TEXT = '''"""{title}: one line on what it holds, where it is from, and who may use it.

A folder per class or a table of images needs no such file: --dataset folder:PATH, table:FILE. This
one gives the dataset a name, and every copy of it the same images and halves. In the folder {name}
below --data there must be

    labels.csv              path,class,half             a header, then a line for each image
                            photos/1.jpg,red cup,trainval
                            photos/2.jpg,teapot,test
    photos/1.jpg, ...       the images, where the paths of labels.csv say

half is trainval or test; all images of a class have the same. What is missing, if anything is:

    python -m harness data verify {name}
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data.halves import one_spelling
from harness.data.list_files import read_rows, read_text
from harness.data.listing import Counts, Listing, Source, checked, first_existing
from harness.schema import Problem

NAME = "{name}"
# What every copy must have, once you know it: Counts(images=1200, classes=40)
COUNTS: Counts | None = None
WHERE = "by hand: labels.csv and the images that it names"
# Where `data fetch` gets it: Source("its site", (File("a.zip", "https://...", "sha256:..."),))
SOURCES: tuple[Source, ...] = ()
BY_HAND = ("Put labels.csv and the images into {{root}}, as {folder}/{name}.py says.",)
COLUMNS = ("path", "class", "half")
HALVES = ("trainval", "test")


def listing(root: Path, expect: Counts | None = COUNTS) -> Listing:
    """The images in the order of labels.csv, which lies in `root`; paths are relative to `root`."""
    path = first_existing(NAME, root, ["labels.csv"])
    header, *cells = [row for _, row in read_rows(read_text(path), path) if any(row)] or [[]]
    rows = [dict(zip(header, row, strict=False)) for row in cells]
    if missing := [name for name in COLUMNS if name not in header]:
        raise Problem(f"{{path}} has no {{' or '.join(missing)}}; it needs {{', '.join(COLUMNS)}}")
    if not rows:
        raise Problem(f"{{path}} has a header and no rows; it needs one for each image")
    if empty := [n for n, row in enumerate(rows, 2) if not all(map(row.get, COLUMNS))]:
        raise Problem(f"{{path}}: line {{empty[0]}} lacks one of {{', '.join(COLUMNS)}}")
    if wrong := [row for row in rows if row["half"] not in HALVES]:
        raise Problem(f"{{path}}: half = {{wrong[0]['half']!r}}; give one of {{', '.join(HALVES)}}")
    classes = one_spelling(row["class"] for row in rows)
    class_names = sorted(set(classes))
    unchecked = Listing(
        name=NAME,
        paths=tuple(row["path"] for row in rows),
        labels=np.searchsorted(class_names, classes),
        is_test=np.array([row["half"] == "test" for row in rows], bool),
        class_names=tuple(class_names),
    )
    return checked(unchecked, root, expect)
'''


def new(name: str) -> None:
    """Write harness/data/datasets/NAME.py, which works; Problem if the name is taken or is none."""
    from harness.data import named_options

    new_files.check_name("dataset", name, named_options.KINDS)
    commands = [f"data verify {name}", f"study --study smoke --dataset {name}"]
    new_files.write("dataset", name, FOLDER, text_of(name), commands)


def text_of(name: str) -> str:
    """The file that a dataset of one's own starts as."""
    return TEXT.format(name=name, title=name.replace("_", " ").capitalize(), folder=FOLDER)
