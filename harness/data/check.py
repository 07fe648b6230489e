"""Look at datasets as they lie: which there are, which are here, and whether every file opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from harness.data import cache
from harness.data.listing import Listing, named
from harness.schema import Problem

GREY = ("1", "L", "LA", "I", "I;16", "F")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of `data list`; `here` is "whole", "absent" or what is wrong."""

    name: str
    images: int | None
    classes: int | None
    where: str
    here: str


def describe(data: Path, modules: Mapping[str, ModuleType]) -> list[Row]:
    """What datasets there are, and whether they are in their folders below `data`.

    `modules` are the modules in data/datasets by the name on the command line.
    """
    rows = []
    for name, module in modules.items():
        if module.COUNTS is None:  # the user's own: nothing is known beforehand
            rows.append(Row(name, None, None, module.WHERE, ""))
            continue
        root = data / name
        here = "absent" if hasattr(module, "SOURCES") else "whole"
        if hasattr(module, "SOURCES") and root.is_dir() and any(root.iterdir()):
            try:
                found: Listing = module.listing(root)
                here = "whole" if found.stated is None else found.name.removeprefix(name).strip()
            except Problem as problem:
                here = str(problem)
        rows.append(Row(name, module.COUNTS.images, module.COUNTS.classes, module.WHERE, here))
    return rows


def check(module: ModuleType, root: Path, say: Say, workers: int | None = None) -> list[str]:
    """Count images and classes and decode every file; lines that say what is right.

    `module` is the dataset's in data/datasets, `root` where it lies. Problem with the count and the
    names of all images that cannot be decoded, or where the listing is not right.
    """
    listing: Listing = module.listing(root)
    say(f"{listing.name}: opening {len(listing):,} files")
    bad: list[str] = []
    modes: Counter[str] = Counter()
    shorter: list[int] = []
    with ThreadPoolExecutor(workers or cache.cores()) as pool:
        for done, (path, told) in enumerate(
            zip(
                listing.paths, pool.map(lambda path: _look(root / path), listing.paths), strict=True
            )
        ):
            if isinstance(told, str):
                bad.append(f"{path} ({told})")
            else:
                modes[told[0]] += 1
                shorter.append(min(told[1]))
            if (done + 1) % 5000 == 0:
                say(f"{listing.name}: {done + 1:,} of {len(listing):,} files opened")
    if bad:
        raise Problem(
            f"{listing.name}: {len(bad)} of {len(listing)} images in {root} cannot be decoded: "
            f"{named(bad)}; put whole copies in their places"
        )
    return _summary(listing, modes, shorter)


def _look(path: Path) -> tuple[str, tuple[int, int]] | str:
    try:
        with Image.open(path) as image:
            image.load()
            return image.mode, image.size
    except Exception as error:  # PIL raises many kinds; each one becomes part of the Problem
        return f"{type(error).__name__}: {str(error).replace(str(path), 'the file')}"


def _summary(listing: Listing, modes: Counter[str], shorter: list[int]) -> list[str]:
    sizes = np.bincount(listing.labels)
    lines = [
        f"{listing.name}: {len(listing):,} images, {len(listing.class_names):,} classes, as they "
        "should be; every file opens",
        f"images per class: {sizes.min()} to {sizes.max()}, {int((sizes == 1).sum())} classes with "
        "one image",
        f"shorter sides: {min(shorter)} to {max(shorter)} pixels",
    ]
    for half, mask in (("trainval", ~listing.is_test), ("test", listing.is_test)):
        classes = len(np.unique(listing.labels[mask]))
        lines.append(f"{half}: {int(mask.sum()):,} images, {classes:,} classes")
    if listing.is_query is not None:
        queries = int(listing.is_query.sum())
        gallery = int(listing.is_test.sum()) - queries
        lines.append(f"queries: {queries:,} images; gallery: {gallery:,}")
    grey = sum(modes[mode] for mode in GREY)
    other = sum(modes.values()) - grey - modes["RGB"]
    lines.append(f"colours: {modes['RGB']:,} RGB, {grey:,} grey, {other:,} other; all read as RGB")
    return lines
