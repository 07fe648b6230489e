"""Datasets that this program draws from fetched files: ROOT/images/CLASS/IMAGE.png.

The classes are in an order drawn by a seed, so that the halves do not differ by theme; the second
half of them is the test half. The digest of all pixels is pinned in the dataset's module. Another
version of the drawing library, or another kind of processor, may draw other pixels: then a NOTE
says so whenever the dataset is listed, because scores are then not comparable to the last digit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from harness.data.listing import Counts, Listing, checked, first_existing, second_half
from harness.data.store import decode
from harness.data.walk import entries
from harness.files import write_text
from harness.seeds import seed_from

IMAGES = "images"
DIGEST = "pixels.sha256"  # in IMAGES: the digest of the pixels when they were drawn
SEED = 0  # of the order of the classes


def listing(name: str, root: Path, expect: Counts, pixels: str) -> Listing:
    """The drawn images of the dataset `name`, class after class in the order of SEED.

    `pixels` is the pinned digest. Problem where images or counts are not as expected.
    """
    images = first_existing(name, root, [IMAGES])
    classes = sorted(entries(images)[0], key=lambda item: (seed_from(name, SEED, item), item))
    paths: list[str] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        files = [file for file in entries(images / class_name)[1] if file.endswith(".png")]
        paths += [f"{IMAGES}/{class_name}/{file}" for file in files]
        labels += [label] * len(files)
    of_image = np.array(labels, np.int64)
    unchecked = Listing(
        name=name,
        paths=tuple(paths),
        labels=of_image,
        is_test=second_half(of_image, len(classes)),
        class_names=tuple(classes),
        notes=_notes(images, pixels),
    )
    return checked(unchecked, root, expect)


def _notes(images: Path, pixels: str) -> tuple[str, ...]:
    """A line where the pixels, as they were drawn, are not the pinned ones."""
    path = images / DIGEST
    drawn = path.read_text(encoding="utf-8").strip() if path.is_file() else "unknown"
    if drawn == pixels:
        return ()
    return (
        f"its pixels have the digest {drawn[:16]} instead of {pixels[:16]}: they were drawn by "
        "other versions than requirements.txt pins, or on another kind of processor; compare "
        "scores only with scores on the same pixels",
    )


def digest(root: Path, paths: Sequence[str]) -> str:
    """64 hex digits over the images' paths, in alphabetical order, their shapes and pixels."""
    whole = hashlib.sha256()

    def of_image(path: str) -> bytes:
        pixels = np.ascontiguousarray(decode(root / path))
        return hashlib.sha256(f"{path} {pixels.shape} ".encode() + pixels.tobytes()).digest()

    with ThreadPoolExecutor() as pool:
        for part in pool.map(of_image, sorted(paths)):
            whole.update(part)
    return whole.hexdigest()


def write_digest(root: Path) -> None:
    """Write down the digest of the images in `root` as they have just been drawn."""
    paths = [path.relative_to(root).as_posix() for path in (root / IMAGES).glob("*/*.png")]
    write_text(root / IMAGES / DIGEST, digest(root, paths) + "\n")


def changes(root: Path, paths: Sequence[str]) -> list[str]:
    """A line where the images in `root` are not as they were drawn; none for other datasets."""
    path = root / IMAGES / DIGEST
    if not path.is_file() or path.read_text(encoding="utf-8").strip() == digest(root, paths):
        return []
    return [
        f"WARNING: images have changed since they were drawn; remove {root / IMAGES} and fetch the "
        "dataset again"
    ]
