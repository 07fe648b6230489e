"""folder:PATH, your own images: one folder per class, and optionally split.csv with the halves.

The classes are the folders of PATH in the order of their names; a class's images lie anywhere
within its folder. Without split.csv the second half of the classes is the test half. With it, two
columns under the header `class,split` put every class, once, into `train` or `test`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.data import cache
from harness.data.listing import Listing, checked, named, read_lines, relative, second_half
from harness.schema import Bools, Dataset, Ints, Problem

NAME = "folder"
COUNTS = None  # known only once the folder is read
WHERE = "your own: one folder per class, optionally split.csv"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".webp")
SPLIT = "split.csv"
_DROSS = ("thumbs.db", "desktop.ini")  # what file managers leave behind


def listing(root: Path) -> Listing:
    """The images of every class folder of `root`, in the order of their names."""
    if not root.is_dir():
        raise Problem(f"folder: {root} is no folder; give the folder that holds one per class")
    classes = sorted(item.name for item in os.scandir(root) if item.is_dir() and _seen(item.name))
    stray = [
        item.name for item in os.scandir(root) if item.is_file() and _is_image(Path(item.name))
    ]
    if len(classes) < 2:
        raise Problem(f"folder: {root} holds {len(classes)} class folders; at least 2 are needed")
    if stray:
        raise Problem(f"folder: images of {root} outside any class folder: {named(sorted(stray))}")
    paths: list[str] = []
    labels: list[int] = []
    others: list[str] = []
    empty: list[str] = []
    for label, name in enumerate(classes):
        files = sorted(relative(path, root) for path in _files(root / name))
        images = [path for path in files if _is_image(Path(path))]
        others += [path for path in files if not _is_image(Path(path))]
        empty += [] if images else [name]
        paths += images
        labels += [label] * len(images)
    if others or empty:
        raise Problem(
            f"folder: in {root}: {len(others)} files that are no images ({named(others) or 'none'})"
            f", {len(empty)} empty classes ({named(empty) or 'none'}); allowed are files ending in "
            f"{' '.join(EXTENSIONS)}: move the others away"
        )
    numbers = np.array(labels, np.int64)
    found = Listing(
        name=f"folder:{root}",
        paths=tuple(paths),
        labels=numbers,
        is_test=_halves(root, classes, numbers),
        class_names=tuple(classes),
    )
    return checked(found, root, None)


def _seen(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _DROSS


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and _seen(path.name)


def _files(folder: Path) -> list[Path]:
    return [
        Path(within) / name for within, _, names in os.walk(folder) for name in names if _seen(name)
    ]


def _halves(root: Path, classes: list[str], labels: Ints) -> Bools:
    path = root / SPLIT
    if not path.is_file():
        return second_half(labels, len(classes))
    rows = list(csv.reader(read_lines(path)))
    if rows[:1] != [["class", "split"]] or any(len(row) != 2 for row in rows):
        raise Problem(f"{path}: the header `class,split` and two columns in every row are needed")
    told = [(name.strip(), half.strip()) for name, half in rows[1:]]
    strange = sorted({half for _, half in told} - {"train", "test"})
    if strange:
        raise Problem(f"{path}: split {named(strange)} is not known; allowed are train and test")
    names = [name for name, _ in told]
    wrong = sorted(set(classes) ^ set(names)) + sorted({n for n in names if names.count(n) > 1})
    if wrong:
        raise Problem(
            f"{path}: classes that have no folder, no row or more than one row: {named(wrong)}"
        )
    half_of = dict(told)
    in_test = np.array([half_of[name] == "test" for name in classes])
    marks: Bools = in_test[labels]
    return marks


def load(root: Path, cache_dir: Path, resize: int, say: Callable[[str], None]) -> Dataset:
    """The dataset over its decoded images, shorter side `resize`; builds the cache if need be."""
    return cache.dataset(listing(root), root, cache_dir, resize, say)
