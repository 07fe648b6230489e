"""Fill the folder of a store with decoded images, in chunks that an interruption leaves whole."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from harness.data import Say, room
from harness.data import blocks as blocks_file
from harness.data.bad import Undecodable, check_is_of_image, reason
from harness.data.blocks import IMAGES, Blocks, checksum
from harness.data.listing import Listing, named
from harness.data.store import (
    DECODER,
    FORMAT,
    Pixels,
    alteration_lines,
    alterations,
    decoded,
    header_size,
    pixels_length,
    resized,
)
from harness.files import replacing, write_text
from harness.schema import Ints, Problem

CHUNK = IMAGES  # images between two marks
PROGRESS_SECONDS = 5.0  # between two lines of progress


def fill(
    listing: Listing, root: Path, building: Path, *, side: int, workers: int, say: Say
) -> None:
    """Make `building` a whole store of the listing at shorter side `side`, with `workers` threads.

    What an earlier, interrupted call wrote there is used. Problem where the disk has no room or
    images cannot be decoded: then all of them are named, and `building` is removed.
    """
    building.mkdir(exist_ok=True)
    index = _index(listing, root, building, side=side, workers=workers)
    pixels = building / "pixels.u8"
    _check_room(listing.name, side, index, pixels, say)
    with pixels.open("ab") as file:
        file.truncate(pixels_length(index))
    write = functools.partial(_write_chunk, listing, root, building, index, side)
    try:
        corrupt = _write_missing_chunks(write, listing, building, workers=workers, say=say)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Problem(
            f"{listing.name}: the disk of {building.parent} is full; make room and run this again, "
            "it carries on"
        ) from None
    if corrupt:
        shutil.rmtree(building)
        raise Undecodable(
            f"{listing.name}: {len(corrupt)} of {len(listing)} images in {root} cannot be decoded: "
            f"{named(list(corrupt.values()))}; put whole copies in their places and run this "
            "again, or go on without them (--skip-bad)",
            corrupt,
        )
    _finish(listing, building, index, side)


def _write_missing_chunks(
    write: Callable[[int], tuple[dict[int, str], Counter[str]]],
    listing: Listing,
    building: Path,
    *,
    workers: int,
    say: Say,
) -> dict[int, str]:
    """Write every chunk that has no mark; which images cannot be decoded, and why."""
    chunks = _chunks(listing)
    missing = [chunk for chunk in chunks if not _mark(building, chunk).exists()]
    if len(missing) < len(chunks):
        say(f"{listing.name}: carrying on after {len(chunks) - len(missing)} finished chunks")
    corrupt: dict[int, str] = {}
    altered: Counter[str] = Counter()
    start = reported = time.monotonic()
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(write, chunk) for chunk in missing]
        for written, future in enumerate(as_completed(futures), start=1):
            corrupt_in_chunk, altered_in_chunk = future.result()
            corrupt |= corrupt_in_chunk
            altered += altered_in_chunk
            if time.monotonic() - reported > PROGRESS_SECONDS or written == len(missing):
                reported = time.monotonic()
                say(_progress(listing, written, len(missing), reported - start))
    finally:
        pool.shutdown(cancel_futures=True)
    for line in alteration_lines(altered):
        say(f"NOTE: {listing.name}: {line}")
    return dict(sorted(corrupt.items()))


def _chunks(listing: Listing) -> range:
    """The numbers of the listing's chunks."""
    return range(-(-len(listing) // CHUNK))


def _index(listing: Listing, root: Path, building: Path, *, side: int, workers: int) -> Ints:
    """The index [n, 3] of offset, height, width: an earlier call's, or read from the headers.

    An image whose header cannot be read has height and width 0; decoding it gives the reason.
    """
    path = building / "index.npy"
    if path.exists():
        earlier: Ints = np.load(path)
        return earlier

    def shape(i: int) -> tuple[int, int]:
        try:
            width, height = resized(*header_size(listing.source(i, root), listing.box(i)), side)
        except Exception as error:  # whatever PIL raises, `_write_chunk` meets it again, names it
            check_is_of_image(error, root / listing.paths[i])
            return 0, 0
        return height, width

    with ThreadPoolExecutor(workers) as pool:
        shapes = np.array(list(pool.map(shape, range(len(listing)))), np.int64).reshape(-1, 2)
    lengths = 3 * shapes[:, 0] * shapes[:, 1]
    index = np.column_stack([np.cumsum(lengths) - lengths, shapes])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, index)
    return index


def _check_room(name: str, side: int, index: Ints, pixels: Path, say: Say) -> None:
    """Say how large the store will be; Problem where the disk has no room for the rest of it."""
    total = pixels_length(index)
    on_disk = getattr(pixels.stat(), "st_blocks", 0) * 512 if pixels.exists() else 0
    free = shutil.disk_usage(pixels.parent).free
    say(
        f"{name} at shorter side {side}: {len(index):,} images, {total / 1e9:.2f} GB in "
        f"{pixels.parent.parent} ({free / 1e9:.1f} GB free)"
    )
    room.check(total - on_disk, pixels.parent.parent, f"{name}: its image cache")


def _write_chunk(
    listing: Listing, root: Path, building: Path, index: Ints, side: int, chunk: int
) -> tuple[dict[int, str], Counter[str]]:
    """Decode a chunk into its place and mark it; which images cannot be, how many are altered.

    A chunk with an image that cannot be decoded gets no mark.
    """
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(listing))
    flat, corrupt, altered = decoded_images(listing, root, index[first:last], first, side)
    if corrupt:
        return corrupt, altered
    content = np.concatenate(flat)
    put(building / "pixels.u8", int(index[first, 0]), content)
    write_text(_mark(building, chunk), checksum(content))
    return {}, altered


def decoded_images(
    listing: Listing, root: Path, shapes: Ints, first: int, side: int
) -> tuple[list[Pixels], dict[int, str], Counter[str]]:
    """The flat pixels of the images from `first` on; which cannot be decoded, how many are altered.

    `shapes` are their rows of the index.
    """
    flat: list[Pixels] = []
    corrupt: dict[int, str] = {}
    altered: Counter[str] = Counter()
    for i, (_, height, width) in enumerate(shapes.tolist(), start=first):
        path = listing.paths[i]
        try:
            image = decoded(listing.source(i, root), side, listing.box(i))
        except Exception as error:  # PIL raises many kinds; each one becomes part of the Problem
            check_is_of_image(error, root / path)
            corrupt[i] = f"{path} ({reason(error, root / path, 'the file')})"
            continue
        if image.pixels.shape != (height, width, 3):
            corrupt[i] = f"{path} (another size than its header said)"
        altered.update(alterations(image))
        flat.append(image.pixels.reshape(-1))
    return flat, corrupt, altered


def put(pixels: Path, offset: int, content: Pixels) -> None:
    """Write pixels into their place in a file, and wait until they are on the disk."""
    with pixels.open("r+b") as file:
        file.seek(offset)
        file.write(content.data)
        file.flush()
        os.fsync(file.fileno())


def _mark(building: Path, chunk: int) -> Path:
    """The file that says that a chunk is safe on disk; it holds the chunk's digest."""
    return building / f"chunk-{chunk:06d}.done"


def _progress(listing: Listing, written: int, missing: int, seconds: float) -> str:
    """A line of progress: `written` of the `missing` chunks took `seconds`."""
    images = min((len(_chunks(listing)) - missing + written) * CHUNK, len(listing))
    rate = written * CHUNK / max(seconds, 1e-9)
    seconds_left = (missing - written) * CHUNK / rate
    return (
        f"{listing.name}: {images:,} of {len(listing):,} images decoded "
        f"({100 * images / len(listing):.0f} %), {rate:.0f} a second, {seconds_left:.0f} s left"
    )


def _finish(listing: Listing, building: Path, index: Ints, side: int) -> None:
    """Write store.json, which makes the folder a whole store, and remove marks and remains."""
    checksums = [_mark(building, chunk).read_text() for chunk in _chunks(listing)]
    blocks = Blocks(CHUNK, checksums)
    blocks_file.write(building, blocks)
    about = {
        "format": FORMAT,
        "name": listing.name,
        "side": side,
        "images": len(listing),
        "decoder": DECODER,
        "digest": blocks.digest(index),
    }
    write_text(building / "store.json", json.dumps(about))
    for chunk in _chunks(listing):
        _mark(building, chunk).unlink()
    for temporary in building.glob(".*"):  # what a killed build was just writing
        temporary.unlink()
