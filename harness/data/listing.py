"""What every dataset module shares: its list of images, the counts it must have, its sources."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from harness.data.list_files import read_lines
from harness.schema import Bools, Ints, Problem

COUNTS_FILE = "counts.txt"
Contents = Callable[[int], bytes | Path]  # the image at a position: its bytes or its file
Box = tuple[int, int, int, int]
NAMED = 50  # images that one message names before it only counts the rest


@dataclass(frozen=True)
class Counts:
    """How many images and classes a dataset has; of the test half too, where that is published."""

    images: int
    classes: int
    test_images: int | None = None
    test_classes: int | None = None


@dataclass(frozen=True)
class File:
    """One file of a source: its name, its address (None: placed by hand), its checksum if known.

    The address is for HTTP, or that of a package as data/clients.py describes it. `checksum` is
    "sha256:..." or "md5:...". It is None where no published one could be confirmed: then only the
    counts and the decoding of every file check it. `size` is in bytes.
    """

    name: str
    url: str | None = None
    checksum: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Source:
    """One place that has a whole dataset, as one file or several."""

    name: str
    files: tuple[File, ...]


def _no_ints() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Listing:
    """A dataset's images as its list files give them, before any is decoded.

    `paths` are relative to the dataset's root, with "/"; `labels` [n] are 0-based in the order of
    the sorted class ids; `is_test` [n] marks the official test half; `is_query` [n] the queries
    where the dataset has them; `is_gallery` and `groups` [n] are as in Dataset. `boxes` [n, 4]:
    left, top, right, bottom in pixels of what is cut out of an image first, -1 for no box.
    `contents` gives images that are in no file at their path. `checked` fills `versions` [n], the
    numbers of `versions_of`, `is_counted` where it compared counts with what every copy must have,
    and `stated` where a counts.txt took the place of the published ones. `notes` are lines on what
    was left out and on the halves, to be said once.
    """

    name: str
    paths: tuple[str, ...]
    labels: Ints
    is_test: Bools
    class_names: tuple[str, ...]
    is_query: Bools | None = None
    is_gallery: Bools | None = None
    groups: Ints | None = None
    boxes: Ints | None = None
    contents: Contents | None = None
    versions: Ints = field(default_factory=_no_ints)
    is_counted: bool = False
    stated: Counts | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def source(self, i: int, root: Path) -> Path | BytesIO:
        """Where image `i` is read from."""
        content = root / self.paths[i] if self.contents is None else self.contents(i)
        return BytesIO(content) if isinstance(content, bytes) else content

    def box(self, i: int) -> Box | None:
        """Left, top, right and bottom in pixels of what is cut out of image `i` first."""
        if self.boxes is None or self.boxes[i, 0] < 0:
            return None
        left, top, right, bottom = self.boxes[i].tolist()
        return left, top, right, bottom


def checked(
    listing: Listing,
    root: Path,
    expect: Counts | None,
    rows: Sequence[str] | None = None,
    *,
    allow_missing: bool = False,
) -> Listing:
    """The listing with the files' versions filled in, once counts, halves and files are right.

    A counts.txt in `root` overrides `expect` and shows in the name; None: no counts are checked.
    Problem where a count is wrong, a class lies in both halves or images are missing, with their
    `rows` where those are given. `allow_missing` keeps these images, their version -1.
    """
    name = listing.name
    stated = None if expect is None else stated_counts(root)
    expect = stated or expect
    if twice := _twice(listing, root, rows):
        raise Problem(f"{name}: listed more than once: {named(twice)}; {_advice(name)}")
    test = np.unique(listing.labels[listing.is_test])
    both = np.intersect1d(test, listing.labels[~listing.is_test]).tolist()
    if classes := [listing.class_names[label] for label in both]:
        raise Problem(f"{name}: classes in both the trainval and the test half: {named(classes)}")
    counts = Counts(
        images=len(listing),
        classes=len(np.unique(listing.labels)),
        test_images=int(listing.is_test.sum()),
        test_classes=len(test),
    )
    if expect is not None:
        _compare(name, root, counts, expect)
    if counts.classes != len(listing.class_names):
        raise Problem(f"{name}: {len(listing.class_names)} names of {counts.classes} classes")
    if stated is not None:
        name = f"{name} ({COUNTS_FILE}: {stated.images} images, {stated.classes} classes)"
    versions = versions_of(listing.paths, root)
    missing = np.flatnonzero(versions < 0).tolist()
    if missing and not allow_missing:
        names = [listing.paths[i] + (f" ({rows[i]})" if rows else "") for i in missing]
        raise Problem(
            f"{listing.name}: {len(missing)} of {len(listing)} images are missing in {root}: "
            f"{named(names)}; {_advice(listing.name)}"
            + (", or go on without them (--skip-bad)" if expect is None else "")
        )
    return dataclasses.replace(
        listing,
        name=name,
        versions=versions,
        is_counted=expect is not None,
        stated=stated,
    )


def _compare(name: str, root: Path, counts: Counts, expect: Counts) -> None:
    """Problem where a count is not the expected one."""
    for item in dataclasses.fields(Counts):
        expected, listed = getattr(expect, item.name), getattr(counts, item.name)
        if expected is not None and expected != listed:
            raise Problem(
                f"{name}: {listed} {item.name.replace('_', ' ')} listed in {root}, {expected} are "
                f"expected; {_advice(name)}, or say in {root / COUNTS_FILE} what it should have"
            )


def _twice(listing: Listing, root: Path, rows: Sequence[str] | None) -> list[str]:
    """The images that are listed more than once, however their paths from `root` are spelled.

    Each with its row, where there are rows. Another box of an image is another.
    """
    boxes = [None] * len(listing) if listing.boxes is None else map(tuple, listing.boxes.tolist())
    whole = os.path.abspath(root)
    places = (os.path.normpath(os.path.join(whole, path)) for path in listing.paths)
    keys = list(zip(places, boxes, strict=True))
    twice = {key for key, times in Counter(keys).items() if times > 1}
    if rows is None:
        return sorted({path for path, key in zip(listing.paths, keys, strict=True) if key in twice})
    named_rows = zip(listing.paths, keys, rows, strict=True)
    return [f"{path} ({row})" for path, key, row in named_rows if key in twice]


def versions_of(paths: Sequence[str], root: Path) -> Ints:
    """A number [n] for the version of each file, as `version` gives it; -1 where there is none."""
    versions = np.full(len(paths), -1, np.int64)
    for i, path in enumerate(paths):
        with contextlib.suppress(OSError, ValueError):  # no such file, or no name of a file
            versions[i] = version(root / path)
    return versions


def version(file: Path | str) -> int:
    """A number of 63 bits that is another one once the file is another one, or its content changed.

    Size and time of modification alone may stay: `cp -p`, `rsync -t`, `mv` and archives keep the
    time, and all images of a size are equally long in formats that do not compress. The time of
    change is set by the system itself, and the file's number on its disk (inode) follows a rename.
    """
    state = os.stat(file)
    text = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _advice(name: str) -> str:
    """What to do about a dataset that is not whole: `data fetch` says so of one that is by hand."""
    if name.startswith("folder:"):
        return "put them right in that folder"
    if name.startswith("table:"):
        return "correct the table or put them in their places"
    return f"`python -m harness data fetch {name}` gets a whole copy or says how to get one"


def named(items: Sequence[str]) -> str:
    """The items in one line: all of them, or the first 50 and how many more there are."""
    shown = ", ".join(item.encode(errors="replace").decode() for item in items[:NAMED])
    return shown if len(items) <= NAMED else f"{shown} and {len(items) - NAMED} more"


def stated_counts(root: Path) -> Counts | None:
    """What `root`/counts.txt says: lines `images 160`, `classes 10`, also `test_images`, ...

    None without the file. Problem where a line is not understood or images or classes are missing.
    """
    path = root / COUNTS_FILE
    if not path.is_file():
        return None
    known = [item.name for item in dataclasses.fields(Counts)]
    counts: dict[str, int] = {}
    for line in read_lines(path):
        words = line.split("#")[0].split()
        if words and (len(words) != 2 or words[0] not in known or not words[1].isdecimal()):
            raise Problem(
                f"{path}: the line {line!r} is not one of `NAME NUMBER` with {', '.join(known)}"
            )
        if words:
            counts[words[0]] = int(words[1])
    if not {"images", "classes"} <= counts.keys():
        raise Problem(f"{path}: must say both `images NUMBER` and `classes NUMBER`")
    return Counts(**counts)


def first_existing(name: str, root: Path, places: Iterable[str]) -> Path:
    """The first of `places` (relative to `root`) that exists; a Problem names them all."""
    places = list(places)
    if there := [root / place for place in places if (root / place).exists()]:
        return there[0]
    raise Problem(f"{name}: not in {root} (looked for {', '.join(places)}); {_advice(name)}")


def second_half(labels: Ints, classes: int) -> Bools:
    """Marks [n] the images of the second half of the sorted classes."""
    return labels >= classes // 2


def relative(path: Path, root: Path) -> str:
    """`path` within `root`, with "/"."""
    return path.relative_to(root).as_posix()
