"""The decoded-image cache: every image decoded and resized once into one memory-mapped file.

A store is a folder NAME-SIDE-KEY with `pixels.u8` (the images one after another, rows of RGB
bytes), `index.npy` (int64 [n, 3]: offset, height, width), `blocks.json` (checksums, compared when a
block is first read: a damaged one is decoded again) and `store.json`. KEY is a hash of the
listing (paths, labels, halves, sizes, times of modification), the side and the decoder's version.
So a store never changes: another source, setting or decoder has another folder.

While it is built, the folder has another name. The images' headers give every size beforehand, so
`pixels.u8` has its full length from the start. Each chunk of images goes to its place and gets a
mark once it is safe on disk; a build that was killed carries on from the marks. The builder holds a
lock of the operating system, which ends with its process, and other builders wait for it. Threads
are enough: Pillow releases the interpreter's lock while it decodes and resizes.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.data import Say, bad
from harness.data.bad import Undecodable
from harness.data.blocks import Damaged
from harness.data.fill import fill
from harness.data.listing import Listing
from harness.data.mend import mend
from harness.data.store import DECODER, FORMAT, Store, open_store
from harness.schema import Dataset, Problem

try:
    import fcntl
except ImportError:  # not a Unix: every builder then builds in a folder of its own
    fcntl = None  # type: ignore[assignment]

__all__ = ["Store", "build", "dataset", "open_store"]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


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
    target = _target(listing, cache_dir, side)
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

    Problem where images cannot be decoded (all are named, nothing is kept) or the disk is full.
    """
    target = _target(listing, cache_dir, side)
    slug = _slug(listing)
    if _is_whole(target):
        return target
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"the cache {cache_dir} cannot be made ({error}); give another") from None
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
            fill(listing, root, building, side=side, workers=workers, say=say)
        try:
            os.rename(building, target)
        except OSError:  # without locks another builder may have been first
            if not _is_whole(target):
                raise
            shutil.rmtree(building)
        _sync(cache_dir)
    return target


def stores(listing: Listing, cache_dir: Path) -> Iterator[tuple[int, Path]]:
    """The shorter sides at which there is a store of the listing, with its folder."""
    for path in sorted(cache_dir.glob(f"{_slug(listing)}-*")):
        side = path.name.removeprefix(f"{_slug(listing)}-").split("-")[0]
        if side.isdigit() and path == _target(listing, cache_dir, int(side)):
            yield int(side), path


def _slug(listing: Listing) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", listing.name).strip("-")[-60:]


def _target(listing: Listing, cache_dir: Path, side: int) -> Path:
    """The folder of the listing's store at shorter side `side`."""
    key = hashlib.sha256(f"{FORMAT} {DECODER} {side} {listing.digest()}".encode()).hexdigest()
    return cache_dir / f"{_slug(listing)}-{side}-{key[:16]}"


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
        lock = building.with_suffix(".lock")
        if building.name != f".{target.name}.building":
            handle = _lock(lock, None)
            if handle is not None:
                shutil.rmtree(building, ignore_errors=True)
                lock.unlink(missing_ok=True)
                os.close(handle)


@contextmanager
def _build_folder(target: Path, say: Say) -> Iterator[Path]:
    """The folder to build in, while no other process builds there."""
    building = target.with_name(f".{target.name}.building")
    with alone(building.with_suffix(".lock"), say) as is_alone:
        if not is_alone:
            builder = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
            building = building.with_suffix(f".building-{builder}")
        yield building


@contextmanager
def alone(lock: Path, say: Say) -> Iterator[bool]:
    """Hold the lock that a file stands for, waiting for it if need be; False where there are none.

    The holder removes the lock's file; who waited for a removed file tries again.
    """
    handle = _lock(lock, say)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _lock(lock: Path, say: Say | None) -> int | None:
    """A file handle that holds the lock, waiting for it if need be; None where there are no locks.

    Without `say` it does not wait: None where another process holds the lock.
    """
    while fcntl is not None:
        handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if say is None:
                    os.close(handle)
                    return None
                say(f"another process builds {lock.stem[1:]}; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            os.close(handle)
            if error.errno not in NO_LOCKS:
                raise
            return None
        if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
            return handle
        os.close(handle)
    return None


def _sync(folder: Path) -> None:
    """Wait until the names in the folder are on the disk."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
