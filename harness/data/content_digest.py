"""What a listing's images are, byte for byte, in one digest: read once, then remembered.

The digest of a store's images is in its name, so that no store is ever taken for other images,
wherever they lie and whatever they are called. A file .NAME.contents.json beside the stores holds
the digest with the versions of all files (path, size, times of modification and change, number on
the disk), as git's index does. While these are the same, no image is read. Where one differs
(files were copied or moved, rights changed) all are read; their store stays if they are the same.

On file systems without a time of change of their own (some network drives), a file that is
overwritten with as many bytes and given its old time looks the same: `data verify` reads it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.data import Say, lock
from harness.data.bad import check_is_of_image
from harness.data.listing import Listing
from harness.files import write_text
from harness.schema import Problem

PROGRESS_SECONDS = 5.0  # between two lines of progress


def of_listing(
    listing: Listing,
    root: Path,
    cache_dir: Path,
    note_name: str,
    *,
    workers: int,
    say: Say,
    afresh: bool = False,
) -> str:
    """64 hex digits over every image's bytes and box, in the order of the listing.

    They are remembered in `cache_dir` under `note_name`. `afresh` reads all images anyway, and says
    so where they are others than those that were remembered of the same versions. Problem where an
    image cannot be read now, or the cache cannot be made.
    """
    note, versions = cache_dir / f".{note_name}.contents.json", _versions(listing, root)
    remembered = _remembered(note, versions)
    if remembered is not None and not afresh:
        return remembered
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"the cache {cache_dir} cannot be made ({error}); give another") from None
    if not os.access(cache_dir, os.W_OK):
        say(f"{cache_dir} cannot be written: {listing.name} is read anew each time")
        return _computed(listing, root, workers=workers, say=say)
    try:
        with lock.alone(note.with_name(f".{note_name}.contents.lock"), say):
            if not afresh and (done := _remembered(note, versions)) is not None:
                return done  # another process read them while this one waited
            digest = _computed(listing, root, workers=workers, say=say)
            if remembered != digest:
                write_text(note, json.dumps({"versions": versions, "digest": digest}) + "\n")
    except OSError as error:
        raise Problem(f"{note} cannot be written ({error.strerror}); make room for it") from None
    if remembered not in (None, digest):
        say(
            f"WARNING: {listing.name}: files have changed and kept their sizes and times; what was "
            "cached of them before is no longer used"
        )
    return digest


def _versions(listing: Listing, root: Path) -> str:
    """Hex digits over what shows that files have changed without reading them."""
    place = os.path.realpath(root) if listing.contents is None else ""
    digest = hashlib.sha256(os.fsencode(place) + b"\0")
    digest.update(b"".join(os.fsencode(path) + b"\0" for path in listing.paths))
    digest.update(listing.versions.tobytes())
    if listing.boxes is not None:
        digest.update(b"boxes" + listing.boxes.tobytes())
    return digest.hexdigest()


def _remembered(note: Path, versions: str) -> str | None:
    """The digest that a note holds of these versions; None without one, or of other versions."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no note, or a damaged one: the images say it again
        return None
    if not isinstance(content, dict) or content.get("versions") != versions:
        return None
    return str(content.get("digest"))


def _computed(listing: Listing, root: Path, *, workers: int, say: Say) -> str:
    """The digest of the images as they are."""
    digest = hashlib.sha256()
    reported = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        of_image = pool.map(lambda i: _of_image(listing, i, root), range(len(listing)))
        for i, part in enumerate(of_image):
            digest.update(part)
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                say(f"{listing.name}: {i + 1:,} of {len(listing):,} files read")
    return digest.hexdigest()


def _of_image(listing: Listing, i: int, root: Path) -> bytes:
    """The digest of one image's bytes and box; that of a reason where it has none."""
    try:
        source = listing.source(i, root)
        content = source.read_bytes() if isinstance(source, Path) else source.getvalue()
    except Exception as error:  # whatever a data set raises; decoding meets it again and names it
        check_is_of_image(error, root / listing.paths[i])
        return hashlib.sha256(f"no image: {type(error).__name__}".encode()).digest()
    return hashlib.sha256(hashlib.sha256(content).digest() + str(listing.box(i)).encode()).digest()
