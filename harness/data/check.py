"""Which datasets there are, which of them are on this disk, and whether every file opens."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from harness.data import Say, bad, cache, drawn
from harness.data.listing import Listing, named
from harness.data.mend import is_of_images, mend
from harness.data.store import Decoded, alteration_lines, alterations, decoded
from harness.schema import Problem

GREY = ("1", "L", "LA", "I", "I;16", "F")


@dataclass(frozen=True)
class Row:
    """One line of `data list`; `here`: "whole", "absent", "not whole", or as counts.txt has it.

    `why` it is not whole; empty where it is.
    """

    name: str
    images: int | None
    classes: int | None
    where: str
    here: str
    why: str = ""


def describe(data: Path, modules: Mapping[str, ModuleType]) -> list[Row]:
    """What datasets there are, and whether they are in their folders below `data`.

    `modules` are the modules of data/datasets by their names on the command line.
    """
    rows = []
    for name, module in modules.items():
        in_files = hasattr(module, "SOURCES")
        if module.COUNTS is None and not in_files:  # the user's own folder, wherever it is
            rows.append(Row(name, None, None, module.WHERE, ""))
            continue
        # Others are drawn by this program, from fonts that are always here.
        here, why = _state(name, module, data / name) if in_files else ("whole", "")
        images = module.COUNTS.images if module.COUNTS else None
        classes = module.COUNTS.classes if module.COUNTS else None
        rows.append(Row(name, images, classes, module.WHERE, here, why))
    return rows


def _state(name: str, module: ModuleType, root: Path) -> tuple[str, str]:
    """What `Row.here` and `Row.why` say of a dataset that lies in files."""
    if not root.is_dir() or not any(root.iterdir()):
        return "absent", ""
    try:
        listing: Listing = module.listing(root)
    except Problem as problem:
        return "not whole", str(problem)
    except Exception as error:  # a user's file is a program, and its list may be anything
        return "not whole", f"{name}.py raises {type(error).__name__}: {error}"
    return "whole" if listing.stated is None else listing.name.removeprefix(name).strip(), ""


def check(
    listing: Listing, root: Path, say: Say, *, workers: int | None = None, skip_bad: bool = False
) -> list[str]:
    """Lines that say what is right of a listing, as `checked` has them."""
    return checked(listing, root, say, workers=workers, skip_bad=skip_bad)[1]


def checked(
    listing: Listing, root: Path, say: Say, *, workers: int | None = None, skip_bad: bool = False
) -> tuple[Listing, list[str]]:
    """Count images and classes and decode every file: what is whole, and lines that say so.

    `root` is the folder that the listing's paths are relative to. Problem with the count and the
    names of all images that cannot be decoded, unless `skip_bad` leaves them out.
    """
    for note in listing.notes:
        say(f"NOTE: {listing.name}: {note}")
    say(f"{listing.name}: opening {len(listing):,} files")
    reasons: dict[int, str] = {}
    images: list[Decoded] = []
    contents: list[str] = []
    with ThreadPoolExecutor(workers or cache.cores()) as pool:
        results = pool.map(lambda i: _decoded(listing, i, root), range(len(listing)))
        for i, result in enumerate(results):
            if isinstance(result, str):
                reasons[i] = f"{listing.paths[i]} ({result})"
            else:
                images.append(result[0])
                contents.append(result[1])
            if (i + 1) % 5000 == 0:
                say(f"{listing.name}: {i + 1:,} of {len(listing):,} files opened")
    if reasons and not skip_bad:
        raise Problem(
            f"{listing.name}: {len(reasons)} of {len(listing)} images in {root} cannot be decoded: "
            f"{named(list(reasons.values()))}; put whole copies in their places, or go on without "
            "them (--skip-bad)"
        )
    whole = np.delete(np.arange(len(listing)), list(reasons))
    lines = _copies(listing, whole.tolist(), contents)
    lines += drawn.changes(root, [listing.paths[i] for i in whole])
    if reasons:
        listing = bad.without(listing, reasons, say)
    modes = Counter(image.mode for image in images)
    shorter = [min(image.size) for image in images]
    altered = Counter(name for image in images for name in alterations(image))
    summary = _summary(listing, modes, shorter, whole=not reasons)
    return listing, [*summary, *alteration_lines(altered), *lines]


def check_cache(listing: Listing, root: Path, cache_dir: Path, say: Say) -> list[str]:
    """Compare every store of the listing with its checksums and its images; a line for each store.

    Damaged blocks are decoded again. Problem where that does not restore them, or where a store
    holds other pixels than the images.
    """
    lines = []
    for side, path in cache.stores(listing, root, cache_dir, say):
        cache.build(listing, root, cache_dir, side=side, workers=cache.cores(), say=say)
        store = cache.open_store(path, functools.partial(mend, listing, root, side))
        n_blocks = len(store.blocks.checksums)
        damaged = sum(store.check(block) for block in range(n_blocks))
        with ThreadPoolExecutor(cache.cores()) as pool:
            of_block = functools.partial(is_of_images, listing, root, side, store)
            others = [
                block for block, same in enumerate(pool.map(of_block, range(n_blocks))) if not same
            ]
        if others:
            raise Problem(
                f"{store.place_of(others[0])} (and {len(others) - 1} more blocks) are other pixels "
                f"than {listing.name} gives; delete {path}, and it is built again"
            )
        state = f"{damaged} were damaged and are restored" if damaged else "as the images give them"
        lines.append(f"cache at shorter side {side}: {n_blocks:,} blocks of images, {state}")
    return lines


def _copies(listing: Listing, positions: list[int], contents: list[str]) -> list[str]:
    """A line on files that are the same byte for byte and stand in several classes or halves."""
    same: dict[str, list[int]] = defaultdict(list)
    for i, content in zip(positions, contents, strict=True):
        same[content].append(i)
    across: dict[str, list[str]] = {"both halves": [], "several classes of one half": []}
    for group in same.values():
        if len({bool(listing.is_test[i]) for i in group}) > 1:
            across["both halves"].append(" = ".join(listing.paths[i] for i in group))
        elif len({int(listing.labels[i]) for i in group}) > 1:
            across["several classes of one half"].append(
                " = ".join(listing.paths[i] for i in group)
            )
    return [
        f"WARNING: {len(groups):,} pictures stand in {where}, the same byte for byte: "
        f"{named(groups)}"
        for where, groups in across.items()
        if groups
    ]


def _decoded(listing: Listing, i: int, root: Path) -> tuple[Decoded, str] | str:
    """What an image's file holds, without the pixels, and its digest; or why it has none.

    The digest is that of the file and of the box that is cut out of it.
    """
    try:
        source, box = listing.source(i, root), listing.box(i)
        content = source.read_bytes() if isinstance(source, Path) else source.getvalue()
        digest = hashlib.sha256(content + str(box or "").encode()).hexdigest()
        return replace(decoded(source, box=box), pixels=np.zeros((0, 0, 3), np.uint8)), digest
    except Exception as error:  # PIL raises many kinds; each one becomes part of the Problem
        bad.check_is_of_image(error, root / listing.paths[i])
        return bad.reason(error, root / listing.paths[i], "the file")


def _summary(
    listing: Listing, modes: Counter[str], shorter: list[int], *, whole: bool
) -> list[str]:
    """What a dataset holds, in lines; `modes` counts the images' modes, `shorter` their sides.

    Not `whole`: images that cannot be decoded were left out.
    """
    sizes = np.bincount(listing.labels)
    known = "as they should be" if listing.is_counted else "how many there should be is not known"
    each = "every file opens" if whole else "every other file opens"
    lines = [
        f"{listing.name}: {len(listing):,} images, {len(listing.class_names):,} classes, {known}; "
        f"{each}",
        f"images per class: {sizes.min()} to {sizes.max()}, {int((sizes == 1).sum())} classes with "
        "one image",
        f"shorter sides: {min(shorter)} to {max(shorter)} pixels",
    ]
    for half, mask in (("trainval", ~listing.is_test), ("test", listing.is_test)):
        classes = len(np.unique(listing.labels[mask]))
        lines.append(f"{half}: {int(mask.sum()):,} images, {classes:,} classes")
    if listing.is_query is not None:
        rest = listing.is_test & ~listing.is_query
        gallery = int((rest if listing.is_gallery is None else listing.is_gallery).sum())
        lines.append(f"queries: {int(listing.is_query.sum()):,} images; gallery: {gallery:,}")
    grey = sum(modes[mode] for mode in GREY)
    other = sum(modes.values()) - grey - modes["RGB"]
    lines.append(f"colours: {modes['RGB']:,} RGB, {grey:,} grey, {other:,} other; all read as RGB")
    return lines
