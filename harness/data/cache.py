"""The decoded-image cache: every image decoded and resized once into one memory-mapped file.

A store is a folder NAME-SIDE-KEY with `pixels.u8` (the images one after another, rows of RGB
bytes), `index.npy` (int64 [n, 3]: offset, height, width), `blocks.json` (checksums, compared when a
block is first read: a damaged one is decoded again) and `store.json`. KEY is a hash of the images'
bytes and boxes in their order (`content_digest`), the side and the decoder's version. So a store
never changes: other images, another setting or decoder have another folder. A store of these images
under another NAME is used too.

While it is built, the folder has another name. The images' headers give every size beforehand, so
`pixels.u8` has its full length from the start. Each chunk of images goes to its place and gets a
mark once it is safe on disk; a build that was killed carries on from the marks. The builder holds a
lock of the operating system, which ends with its process, and other builders wait for it. Threads
are enough: Pillow releases the interpreter's lock while it decodes and resizes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.data import Say, bad, content_digest, lock
from harness.data.bad import Undecodable
from harness.data.blocks import Damaged
from harness.data.fill import fill
from harness.data.listing import Listing, named, versions_of
from harness.data.mend import mend
from harness.data.store import DECODER, FORMAT, Store, open_store
from harness.schema import Dataset, Problem

__all__ = ["Store", "build", "dataset", "open_store"]

_END = re.compile(r"-(?P<side>[0-9]+)-[0-9a-f]{16}$")  # of the name of a store's folder


def dataset(
    listing: Listing, root: Path, cache_dir: Path, *, side: int, say: Say, skip_bad: bool = False
) -> Dataset:
    """The listing as a Dataset over its store, which is built if it is missing.

    The fingerprint covers pixels, labels, halves, queries, gallery and groups, so it is the same on
    every machine. With `skip_bad` images that cannot be decoded are left out: then the name says
    so, and the fingerprint is that of the images that are left.
    """
    if listing.stated is not None:
        say(f"NOTE: counts.txt in {root} replaces the published counts: this is {listing.name}")
    for note in listing.notes:
        say(f"NOTE: {listing.name}: {note}")
    if skip_bad:
        listing = _without_bad(listing, root, cache_dir, side=side, say=say)
    path = build(listing, root, cache_dir, side=side, workers=cores(), say=say)
    store = open_store(path, functools.partial(mend, listing, root, side))
    digest = hashlib.sha256(f"{store.digest} {side}".encode())
    digest.update(listing.labels.tobytes() + listing.is_test.tobytes())
    if listing.is_query is not None:
        digest.update(listing.is_query.tobytes())
    for name in ("is_gallery", "groups"):
        if (marks := getattr(listing, name)) is not None:
            digest.update(name.encode() + marks.tobytes())
    return Dataset(
        name=listing.name,
        images=store,
        labels=listing.labels,
        is_test=listing.is_test,
        class_names=listing.class_names,
        fingerprint=digest.hexdigest()[:16],
        is_query=listing.is_query,
        is_gallery=listing.is_gallery,
        groups=listing.groups,
    )


def _without_bad(listing: Listing, root: Path, cache_dir: Path, *, side: int, say: Say) -> Listing:
    """The listing without images that cannot be decoded; once known, a file remembers them."""
    content = _content(listing, root, cache_dir, workers=cores(), say=say)
    target = _target(listing, cache_dir, side, content)
    remembered = target.with_name(f"{target.name}.bad.json")
    reasons = bad.read(remembered)
    if not reasons:
        try:
            build(listing, root, cache_dir, side=side, workers=cores(), say=say)
        except Undecodable as problem:
            reasons = problem.reasons
            bad.write(remembered, reasons)
    return bad.without(listing, reasons, say) if reasons else listing


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def build(
    listing: Listing, root: Path, cache_dir: Path, *, side: int, workers: int, say: Say
) -> Path:
    """The folder of the listing's store at shorter side `side`, built by `workers` threads if new.

    Problem where images cannot be decoded (all are named, nothing is kept), change meanwhile, or
    the disk is full.
    """
    content = _content(listing, root, cache_dir, workers=workers, say=say)
    target = _target(listing, cache_dir, side, content)
    slug = _slug(listing)
    if _is_whole(target):
        return target
    with _build_folder(target, say) as building:
        if _is_whole(target):  # another process built it while this one waited
            return target
        if target.exists():
            say(f"{target} is damaged; it is built again")
            shutil.rmtree(target)
        for older in sorted(cache_dir.glob(f"{slug}-{side}-*[0-9a-f]")):
            say(f"source, settings or decoder changed since {older} was built; delete it if unused")
        _remove_abandoned_builds(target, f".{slug}-{side}-*.building")
        if not (building / "store.json").exists():
            try:
                fill(listing, root, building, side=side, workers=workers, say=say)
            except Undecodable:  # or exchanged meanwhile, which is not bad
                _check_unchanged(listing, root, cache_dir, content, building, say)
                raise
            _check_unchanged(listing, root, cache_dir, content, building, say)
        try:
            os.rename(building, target)
        except OSError:  # without locks another builder may have been first
            if not _is_whole(target):
                raise
            shutil.rmtree(building)
        _sync(cache_dir)
    return target


def stores(listing: Listing, root: Path, cache_dir: Path, say: Say) -> Iterator[tuple[int, Path]]:
    """The shorter sides at which there is a store of the listing's images, with its folder.

    The images are read for it, whatever is remembered of them.
    """
    ends = [_END.search(path.name) for path in cache_dir.glob("*") if path.is_dir()]
    sides = sorted({int(end["side"]) for end in ends if end is not None})
    if not sides:
        return
    content = _content(listing, root, cache_dir, workers=cores(), say=say, afresh=True)
    for side in sides:
        if (path := _target(listing, cache_dir, side, content)).is_dir():
            yield side, path


def _slug(listing: Listing) -> str:
    """The dataset's name, shortened, with a hash of the whole name: no other dataset has it."""
    short = re.sub(r"[^A-Za-z0-9]+", "-", listing.name)[-60:].strip("-")
    return f"{short}-{hashlib.sha256(os.fsencode(listing.name)).hexdigest()[:8]}".strip("-")


def _content(
    listing: Listing, root: Path, cache_dir: Path, *, workers: int, say: Say, afresh: bool = False
) -> str:
    """The digest of the listing's images, remembered under the dataset's name."""
    return content_digest.of_listing(
        listing, root, cache_dir, _slug(listing), workers=workers, say=say, afresh=afresh
    )


def _target(listing: Listing, cache_dir: Path, side: int, content: str) -> Path:
    """The folder of the store of images of a digest: one that is there, or the one to build."""
    text = f"{FORMAT} {DECODER} {side} {content}"
    end = f"-{side}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    target = cache_dir / f"{_slug(listing)}{end}"
    others = sorted(cache_dir.glob(f"[!.]*{end}"))
    return target if target.exists() or not others else others[0]


def _check_unchanged(
    listing: Listing, root: Path, cache_dir: Path, content: str, building: Path, say: Say
) -> None:
    """Problem where images changed while they were decoded; then nothing of them is kept."""
    if listing.contents is not None:
        return
    now = replace(listing, versions=versions_of(listing.paths, root))
    if np.array_equal(now.versions, listing.versions):
        return
    if _content(now, root, cache_dir, workers=cores(), say=say) != content:
        shutil.rmtree(building, ignore_errors=True)
        changed = np.flatnonzero(now.versions != listing.versions).tolist()
        raise Problem(
            f"{listing.name}: files changed while they were decoded: "
            f"{named([listing.paths[i] for i in changed])}; run this again once they are in place"
        )


def _is_whole(target: Path) -> bool:
    """Whether the store is there and not damaged, as far as that shows without its pixels."""
    if not target.exists():
        return False
    try:
        open_store(target)
    except Damaged:
        return False
    return True


def _remove_abandoned_builds(target: Path, pattern: str) -> None:
    """Remove half-built stores of older sources, settings or decoders that no process builds."""
    for building in target.parent.glob(pattern):
        file = building.with_suffix(".lock")
        if building.name != f".{target.name}.building":
            handle = lock.take(file, None)
            if handle is not None:
                shutil.rmtree(building, ignore_errors=True)
                file.unlink(missing_ok=True)
                os.close(handle)


@contextmanager
def _build_folder(target: Path, say: Say) -> Iterator[Path]:
    """The folder to build in, while no other process builds there."""
    building = target.with_name(f".{target.name}.building")
    with lock.alone(building.with_suffix(".lock"), say) as is_alone:
        if not is_alone:
            builder = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
            building = building.with_suffix(f".building-{builder}")
        yield building


def _sync(folder: Path) -> None:
    """Wait until the names in the folder are on the disk."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
