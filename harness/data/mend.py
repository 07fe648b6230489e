"""A block of a store of decoded images is decoded again: a damaged one, or to compare it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from harness.data.blocks import Damaged, checksum
from harness.data.fill import decoded_images, put
from harness.data.listing import Listing
from harness.data.store import Pixels, Store


def mend(listing: Listing, root: Path, side: int, store: Store, block: int) -> None:
    """Decode a damaged block of a store again, from the images that it was made of.

    Damaged where they no longer give what was written, or the store cannot be written.
    """
    place = store.place_of(block)
    logging.getLogger("harness").warning("%s were damaged; they are decoded again", place)
    content = _content(listing, root, side, store, block)
    if content is None or checksum(content) != store.blocks.checksums[block]:
        raise Damaged(
            f"{place} are damaged, and the files in {root} no longer give them; restore those, or "
            f"delete {store.path}"
        )
    try:
        put(store.path / "pixels.u8", int(store.shapes_of(block)[0, 0]), content)
    except OSError as error:
        raise Damaged(f"{place} are damaged and cannot be written ({error.strerror})") from None


def is_of_images(listing: Listing, root: Path, side: int, store: Store, block: int) -> bool:
    """Whether a block of a store holds what the images of the listing give, decoded now."""
    content = _content(listing, root, side, store, block)
    return content is not None and checksum(content) == store.blocks.checksums[block]


def _content(listing: Listing, root: Path, side: int, store: Store, block: int) -> Pixels | None:
    """The pixels of a block as the images give them; None where they do not."""
    shapes = store.shapes_of(block)
    flat, corrupt, _ = decoded_images(listing, root, shapes, block * store.blocks.images, side)
    return np.concatenate(flat) if flat and not corrupt else None
