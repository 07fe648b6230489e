"""Stanford Online Products: 120,053 pictures of 22,634 products, with the authors' own halves.

Song, Xiang, Jegelka, Savarese 2016, Deep Metric Learning via Lifted Structured Feature Embedding,
CVPR. Ebay_train.txt holds 59,551 images of 11,318 classes, Ebay_test.txt 60,502 of 11,316.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data.list_files import integers, read_columns
from harness.data.listing import (
    Counts,
    File,
    Listing,
    Source,
    checked,
    first_existing,
    relative,
)
from harness.data.walk import wrapped

NAME = "sop"
COUNTS = Counts(images=120_053, classes=22_634, test_images=60_502, test_classes=11_316)
WHERE = "cvgl.stanford.edu/projects/lifted_struct (3.1 GB)"
_ZIP = "Stanford_Online_Products.zip"
# The checksum is the one widely used for Stanford's copy; none is published for the Drive copy.
SOURCES = (
    Source(
        "the authors' Google Drive",
        (
            File(
                _ZIP,
                "https://drive.usercontent.google.com/download"
                "?id=1TclrpQOF_ullUP99wk_gjGN8pKvtErG8&export=download&authuser=0&confirm=t",
            ),
        ),
    ),
    Source(
        "Stanford",
        (
            File(
                _ZIP,
                f"http://ftp.cs.stanford.edu/cs/cvgl/{_ZIP}",
                "md5:7f73d41a2f44250d4779881525aea32e",
            ),
        ),
    ),
)
BY_HAND = (
    "Open https://cvgl.stanford.edu/projects/lifted_struct/ (its Google Drive link also stands in "
    "the README of github.com/rksltnl/Deep-Metric-Learning-CVPR16) and download " + _ZIP + ".",
    "Put it at {root}/" + _ZIP + " and run this command again; it unpacks and checks it.",
    "Or unpack it yourself, so that {root}/Stanford_Online_Products/Ebay_train.txt exists.",
)


def listing(root: Path, expect: Counts = COUNTS) -> Listing:
    """The images of Ebay_train.txt, then of Ebay_test.txt; labels by the sorted class ids."""
    places = ("Ebay_train.txt", "Stanford_Online_Products/Ebay_train.txt")
    base = first_existing(NAME, wrapped(root, places), places).parent
    inside = "" if base == root else relative(base, root) + "/"
    paths: list[str] = []
    class_ids, is_test = [], []
    for file in ("Ebay_train.txt", "Ebay_test.txt"):
        path = first_existing(NAME, base, [file])
        rows = read_columns(path, 4, skip=1)  # image_id class_id super_class_id path
        paths += [inside + row[3] for row in rows]
        class_ids.append(integers((row[1] for row in rows), path))
        is_test.append(np.full(len(rows), file == "Ebay_test.txt"))
    ids, labels = np.unique(np.concatenate(class_ids), return_inverse=True)
    unchecked = Listing(
        name=NAME,
        paths=tuple(paths),
        labels=labels.astype(np.int64),
        is_test=np.concatenate(is_test),
        class_names=tuple(str(number) for number in ids.tolist()),
    )
    return checked(unchecked, root, expect)
