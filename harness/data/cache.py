"""The decoded-image cache: every image decoded and resized once into one memory-mapped file.

A store is a folder NAME-SIDE-KEY with `pixels.u8` (the images one after another, rows of RGB
bytes), `index.npy` (int64 [n, 3]: offset, height, width) and `store.json`. KEY is a hash of the
listing (paths, labels, halves, sizes, times of modification), the side and the decoder's version,
so a store never changes: another source, setting or decoder has another folder.

While it is built the folder has another name. The headers say every size beforehand, so the file
has its full length from the start; chunks of images go to their places, each with a mark on disk
once it is safe there, and a build that was killed carries on from the marks. The builder holds a
lock of the operating system, which goes when its process goes, however that ends; others wait.
Threads suffice: Pillow lets go of the interpreter while it decodes and resizes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.data.fill import fill
from harness.data.listing import Listing
from harness.data.store import DECODER, FORMAT, Store, open_store
from harness.schema import Dataset, Problem

try:
    import fcntl
except ImportError:  # not a Unix: every builder then works under a name of its own
    fcntl = None  # type: ignore[assignment]

__all__ = ["Store", "build", "dataset", "open_store"]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
Say = Callable[[str], None]


def dataset(listing: Listing, root: Path, cache_dir: Path, side: int, say: Say) -> Dataset:
    """The listing as a Dataset over its store, which is built if need be.

    The fingerprint covers pixels, labels, halves and queries, so it is the same on every machine.
    """
    if listing.stated is not None:
        say(f"NOTE: counts.txt in {root} replaces the published counts: this is {listing.name}")
    store = open_store(build(listing, root, cache_dir, side, cores(), say))
    told = hashlib.sha256(f"{store.digest} {side}".encode())
    told.update(listing.labels.tobytes() + listing.is_test.tobytes())
    if listing.is_query is not None:
        told.update(listing.is_query.tobytes())
    return Dataset(
        name=listing.name,
        images=store,
        labels=listing.labels,
        is_test=listing.is_test,
        class_names=listing.class_names,
        fingerprint=told.hexdigest()[:16],
        is_query=listing.is_query,
    )


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def build(listing: Listing, root: Path, cache_dir: Path, side: int, workers: int, say: Say) -> Path:
    """The folder of the listing's store at shorter side `side`, built by `workers` threads if new.

    Problem where images cannot be decoded (all named, nothing kept) or the disk has no room.
    """
    key = hashlib.sha256(f"{FORMAT} {DECODER} {side} {listing.digest()}".encode()).hexdigest()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", listing.name).strip("-")[-60:]
    target = cache_dir / f"{slug}-{side}-{key[:16]}"
    if _is_whole(target):
        return target
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"the cache {cache_dir} cannot be made ({error}); give another") from None
    with _turn(target, say) as building:
        if _is_whole(target):  # another process built it while this one waited
            return target
        _look_around(target, f"{slug}-{side}-*", say)
        if not (building / "store.json").exists():
            fill(listing, root, building, side, workers, say)
        try:
            os.rename(building, target)
        except OSError:  # without locks another builder may have been first
            if not _is_whole(target):
                raise
            shutil.rmtree(building)
        _sync(cache_dir)
    return target


def _is_whole(target: Path) -> bool:
    if not target.exists():
        return False
    open_store(target)
    return True


def _look_around(target: Path, pattern: str, say: Say) -> None:
    """Say which whole stores are out of use, and remove half-built ones that no one builds."""
    for older in sorted(target.parent.glob(pattern)):
        say(f"source, settings or decoder changed since {older} was built; delete it if unused")
    for left in target.parent.glob(f".{pattern}.building"):
        lock = left.with_suffix(".lock")
        if left.name != f".{target.name}.building":
            handle = _lock(lock, None)
            if handle is not None:
                shutil.rmtree(left, ignore_errors=True)
                lock.unlink(missing_ok=True)
                os.close(handle)


@contextmanager
def _turn(target: Path, say: Say) -> Iterator[Path]:
    """The folder to build in, while no one else builds there.

    The lock's file is removed by its holder; one who waited on a removed file tries again.
    """
    building = target.with_name(f".{target.name}.building")
    lock = building.with_suffix(".lock")
    handle = _lock(lock, say)
    if handle is None:
        own = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
        yield building.with_suffix(f".building-{own}")
        return
    try:
        yield building
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _lock(lock: Path, say: Say | None) -> int | None:
    """A handle that holds the lock; None where there are no locks or, without `say`, it is held."""
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
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
