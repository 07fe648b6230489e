"""Fill the folder of a store with decoded images, chunk by chunk, carrying on where one stopped."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from harness.data.listing import Listing, named
from harness.data.store import DECODER, FORMAT, decode, header_size, pixels_length, resized
from harness.files import replacing, write_text
from harness.schema import Ints, Problem

CHUNK = 128  # images between two marks, 34 MB at side 256; a change asks for a new FORMAT
TELL_EVERY = 5.0  # seconds
SPARE = 64 << 20  # bytes of disk to leave free
Say = Callable[[str], None]


def fill(listing: Listing, root: Path, building: Path, side: int, workers: int, say: Say) -> None:
    """Make `building` a whole store of the listing at shorter side `side`, with `workers` threads.

    What an earlier, interrupted call left there is taken over. Problem where the disk has no room
    or images cannot be decoded: all of them are named, and `building` is removed.
    """
    building.mkdir(exist_ok=True)
    index = _measured(listing, root, building, side, workers)
    chunks = range(-(-len(listing) // CHUNK))
    pixels = building / "pixels.u8"
    _check_room(listing.name, side, index, pixels, say)
    with pixels.open("ab") as file:
        file.truncate(pixels_length(index))
    missing = [chunk for chunk in chunks if not _mark(building, chunk).exists()]
    if len(missing) < len(chunks):
        say(f"{listing.name}: carrying on after {len(chunks) - len(missing)} finished chunks")
    write = functools.partial(_write_chunk, listing, root, building, index, side)
    corrupt: dict[int, list[str]] = {}
    began, told, done = time.monotonic(), time.monotonic(), 0
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = {pool.submit(write, chunk): chunk for chunk in missing}
        for finished in as_completed(waiting):
            corrupt[waiting[finished]] = finished.result()
            done += 1
            if time.monotonic() - told > TELL_EVERY or done == len(missing):
                told = time.monotonic()
                say(_progress(listing, done, len(missing), len(chunks), told - began))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Problem(
            f"{listing.name}: the disk of {building.parent} is full; make room and run this again, "
            "it carries on"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    bad = [text for chunk in sorted(corrupt) for text in corrupt[chunk]]
    if bad:
        shutil.rmtree(building)
        raise Problem(
            f"{listing.name}: {len(bad)} of {len(listing)} images in {root} cannot be decoded: "
            f"{named(bad)}; put whole copies in their places and run this again"
        )
    _finish(listing, building, index, len(chunks), side)


def _measured(listing: Listing, root: Path, building: Path, side: int, workers: int) -> Ints:
    """The index [n, 3] of offset, height, width from the headers, or as it was found earlier.

    An image whose header cannot be read has height and width 0; decoding it will tell why.
    """
    path = building / "index.npy"
    if path.exists():
        found: Ints = np.load(path)
        return found

    def shape(name: str) -> tuple[int, int]:
        try:
            width, height = resized(*header_size(root / name), side)
        except Exception:  # whatever PIL raises, `_write_chunk` meets it again and names the image
            return 0, 0
        return height, width

    with ThreadPoolExecutor(workers) as pool:
        shapes = np.array(list(pool.map(shape, listing.paths)), np.int64).reshape(-1, 2)
    lengths = 3 * shapes[:, 0] * shapes[:, 1]
    index = np.column_stack([np.cumsum(lengths) - lengths, shapes])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, index)
    return index


def _check_room(name: str, side: int, index: Ints, pixels: Path, say: Say) -> None:
    total = pixels_length(index)
    there = getattr(pixels.stat(), "st_blocks", 0) * 512 if pixels.exists() else 0
    free = shutil.disk_usage(pixels.parent).free
    say(
        f"{name} at shorter side {side}: {len(index):,} images, {total / 1e9:.2f} GB in "
        f"{pixels.parent.parent} ({free / 1e9:.1f} GB free)"
    )
    if total - there + SPARE > free:
        raise Problem(
            f"{name}: its image cache needs {(total - there) / 1e9:.2f} GB more in "
            f"{pixels.parent.parent}, where {free / 1e9:.2f} GB are free; make room or move the "
            "data folder to a larger disk"
        )


def _write_chunk(
    listing: Listing, root: Path, building: Path, index: Ints, side: int, chunk: int
) -> list[str]:
    """Decode a chunk into its place and mark it; else say which images cannot be, and why."""
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(listing))
    decoded, bad = [], []
    for i in range(first, last):
        path = listing.paths[i]
        try:
            pixels = decode(root / path, side)
        except Exception as error:  # PIL raises many kinds; each one becomes part of the Problem
            bad.append(f"{path} ({type(error).__name__}: {str(error).replace(str(root), '')})")
            continue
        if pixels.shape != (index[i, 1], index[i, 2], 3):
            bad.append(f"{path} (another size than its header said)")
        decoded.append(pixels.reshape(-1))
    if bad:
        return bad
    content = np.concatenate(decoded)
    with (building / "pixels.u8").open("r+b") as file:
        file.seek(int(index[first, 0]))
        file.write(content.data)
        file.flush()
        os.fsync(file.fileno())
    write_text(_mark(building, chunk), hashlib.sha256(content.data).hexdigest())
    return []


def _mark(building: Path, chunk: int) -> Path:
    return building / f"chunk-{chunk:06d}.done"


def _progress(listing: Listing, done: int, missing: int, chunks: int, seconds: float) -> str:
    images = min((chunks - missing + done) * CHUNK, len(listing))
    rate = done * CHUNK / max(seconds, 1e-9)
    left = (missing - done) * CHUNK / rate
    return (
        f"{listing.name}: {images:,} of {len(listing):,} images decoded "
        f"({100 * images / len(listing):.0f} %), {rate:.0f} a second, {left:.0f} s left"
    )


def _finish(listing: Listing, building: Path, index: Ints, chunks: int, side: int) -> None:
    """Write store.json, which makes the folder a whole store, and remove the marks."""
    told = hashlib.sha256(index.tobytes())
    for chunk in range(chunks):
        told.update(_mark(building, chunk).read_bytes())
    about = {
        "format": FORMAT,
        "name": listing.name,
        "side": side,
        "images": len(listing),
        "decoder": DECODER,
        "digest": told.hexdigest(),
    }
    write_text(building / "store.json", json.dumps(about))
    for chunk in range(chunks):
        _mark(building, chunk).unlink()
