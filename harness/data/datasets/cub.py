"""CUB-200-2011: 11,788 photographs of 200 bird species; classes 1-100 trainval, 101-200 test.

Wah, Branson, Welinder, Perona, Belongie 2011, The Caltech-UCSD Birds-200-2011 Dataset. It is not
CUB-200 of 2010 (6,033 images); the counts show which one it is.
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
    second_half,
)
from harness.data.walk import wrapped
from harness.schema import Problem

NAME = "cub"
COUNTS = Counts(images=11_788, classes=200, test_images=5_924, test_classes=100)
WHERE = "data.caltech.edu/records/65de6-vp158 (1.1 GB)"
# The checksum is tensorflow_datasets' and FastAI.jl's for this archive, the latter for its mirror.
_SHA256 = "sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081"
SOURCES = tuple(
    Source(name, (File("CUB_200_2011.tgz", url, _SHA256),))
    for name, url in {
        "CaltechDATA": "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "the fast.ai mirror": "https://s3.amazonaws.com/fast-ai-imageclas/CUB_200_2011.tgz",
    }.items()
)
BY_HAND = (
    "Open https://data.caltech.edu/records/65de6-vp158 and download CUB_200_2011.tgz (1.1 GB).",
    "Put it at {root}/CUB_200_2011.tgz and run this command again; it unpacks and checks it.",
    "Or unpack it yourself, so that {root}/CUB_200_2011/images.txt exists.",
)


def listing(root: Path, expect: Counts = COUNTS) -> Listing:
    """The images in the order of images.txt, which lies in `root` or in CUB_200_2011 within it.

    Rows of images.txt and image_class_labels.txt belong together by image id, not by position.
    """
    places = ("images.txt", "CUB_200_2011/images.txt", "CUB_200_2011/CUB_200_2011/images.txt")
    base = first_existing(NAME, wrapped(root, places), places).parent
    tables = {}
    for file in ("images.txt", "image_class_labels.txt", "classes.txt"):
        path = first_existing(NAME, base, [file])
        rows = read_columns(path, 2)
        ids = integers((row[0] for row in rows), path)
        tables[file] = dict(zip(ids.tolist(), (row[1] for row in rows), strict=True))
    images, classes = tables["images.txt"], tables["classes.txt"]
    of_image = tables["image_class_labels.txt"]
    unpaired = sorted(images.keys() ^ of_image.keys())
    if unpaired:
        raise Problem(
            f"cub: image ids in only one of images.txt and image_class_labels.txt of {base}: "
            f"{unpaired[:10]} ({len(unpaired)} in all); fetch it again"
        )
    class_ids = np.array(sorted(classes), np.int64)
    image_class_ids = integers(
        (of_image[image] for image in images), base / "image_class_labels.txt"
    )
    unknown = np.setdiff1d(image_class_ids, class_ids).tolist()
    if unknown:
        raise Problem(f"cub: class ids {unknown[:10]} are not in {base / 'classes.txt'}")
    labels = np.searchsorted(class_ids, image_class_ids)
    unchecked = Listing(
        name=NAME,
        paths=tuple(f"{relative(base / 'images', root)}/{path}" for path in images.values()),
        labels=labels,
        is_test=second_half(labels, len(class_ids)),
        class_names=tuple(classes[number] for number in class_ids.tolist()),
    )
    return checked(unchecked, root, expect)
