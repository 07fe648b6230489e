"""In-Shop Clothes Retrieval (DeepFashion): 52,712 pictures of 7,982 items; queries and a gallery.

Liu, Luo, Qiu, Wang, Tang 2016, DeepFashion, CVPR. 25,882 images of 3,997 items train; of the other
3,985 items 14,218 images are queries, searched for among the 12,612 of the gallery.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data.list_files import integers, read_lines
from harness.data.listing import (
    Counts,
    File,
    Listing,
    Source,
    checked,
    first_existing,
    named,
    relative,
)
from harness.data.walk import wrapped
from harness.schema import Problem

NAME = "inshop"
COUNTS = Counts(images=52_712, classes=7_982, test_images=14_218 + 12_612, test_classes=3_985)
WHERE = "mmlab.ie.cuhk.edu.hk/projects/DeepFashion, by hand (Google Drive)"
LIST = "list_eval_partition.txt"
STATUSES = ("train", "query", "gallery")
SOURCES = (Source("the files placed by hand", (File("img.zip"), File(LIST))),)
BY_HAND = (
    "Open https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html and accept its "
    "terms (non-commercial research); the Google Drive folder it links to is "
    "https://drive.google.com/drive/folders/0B7EVK8r0v71pVDZFQXRsMDZCX1E"
    "?resourcekey=0-4R4v6zl4CWhHTsUGOsTstw",
    "Download Img/img.zip (not img_highres.zip: the benchmark uses the 256 x 256 images) and Eval/"
    + LIST
    + ".",
    "Put both into {root} and run this command again; it unpacks and checks them.",
    "Or unpack img.zip yourself, so that {root}/img/WOMEN and {root}/" + LIST + " exist.",
)


def listing(root: Path, expect: Counts = COUNTS) -> Listing:
    """The images in the order of list_eval_partition.txt; labels by the sorted item ids.

    Accepted: the list in a folder or its Eval, the images in img or Img/img, all of it in `root` or
    wrapped in a folder or two.
    """
    places = (f"Eval/{LIST}", LIST)
    path = first_existing(NAME, wrapped(root, places), places)
    lines = read_lines(path)
    if len(lines) < 3:
        raise Problem(f"inshop: {path} holds no images; fetch it again")
    announced = int(integers([lines[0]], path)[0])
    rows = [line.strip().rsplit(maxsplit=2) for line in lines[2:]]
    odd = [str(i) for i, row in enumerate(rows, 3) if len(row) != 3 or row[2] not in STATUSES]
    if odd or announced != len(rows):
        raise Problem(
            f"inshop: {path} announces {announced} images and lists {len(rows)}; lines that are "
            f"not `image item {'|'.join(STATUSES)}`: {named(odd) or 'none'}; fetch it again"
        )
    first = rows[0][0]
    images = wrapped(root, [first], levels=3)
    if not (images / first).exists():  # the image itself may be missing
        images = first_existing(NAME, wrapped(root, ("img", "Img/img")), ("img", "Img/img")).parent
    inside = "" if images == root else relative(images, root) + "/"
    status = np.array([row[2] for row in rows])
    items, labels = np.unique([row[1] for row in rows], return_inverse=True)
    unchecked = Listing(
        name=NAME,
        paths=tuple(inside + row[0] for row in rows),
        labels=labels.astype(np.int64),
        is_test=status != "train",
        class_names=tuple(items.tolist()),
        is_query=status == "query",
    )
    return checked(unchecked, root, expect)
