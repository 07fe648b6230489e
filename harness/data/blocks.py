"""Checksums of a store's pixels by block, so that a byte that flips on the disk is noticed.

blocks.json of a store holds the number of images in a block and the SHA-256 of each block. The
store's digest, and with it the dataset's fingerprint, is made of the index and these checksums.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data import refused
from harness.files import write_text
from harness.schema import Ints, Problem

FILE = "blocks.json"
IMAGES = 128  # of a block; 34 MB at side 256; a change asks for a new store.FORMAT
Pixels = npt.NDArray[np.uint8]


class Damaged(Problem):
    """A store of decoded images that does not hold what was written into it."""


@dataclass(frozen=True)
class Blocks:
    """How many images a block has, and the SHA-256 of each block's pixels."""

    images: int
    checksums: Sequence[str]

    def ends(self, block: int, index: Ints) -> tuple[int, int]:
        """Where a block's pixels begin and end, in bytes, by the index [n, 3] of its store."""
        first, last = block * self.images, min((block + 1) * self.images, len(index)) - 1
        offset, height, width = index[last].tolist()
        return int(index[first, 0]), offset + 3 * height * width

    def digest(self, index: Ints) -> str:
        """Hex digits over all pixels and shapes."""
        text = "".join(self.checksums).encode()
        return hashlib.sha256(index.tobytes() + text).hexdigest()


def checksum(pixels: Pixels) -> str:
    """The checksum of a block's pixels, one after another."""
    return hashlib.sha256(pixels.data).hexdigest()


def write(folder: Path, blocks: Blocks) -> None:
    """Write the checksums into the folder of a store."""
    write_text(folder / FILE, json.dumps({"images": blocks.images, "sha256": blocks.checksums}))


def of_store(folder: Path, index: Ints, pixels: Pixels, digest: str) -> Blocks:
    """The checksums of a store, which have its digest; Damaged where they have not.

    A store from before there were any has all of its pixels read once, and then has them.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        blocks = Blocks(int(content["images"]), [str(one) for one in content["sha256"]])
    except FileNotFoundError:
        blocks = _computed(index, pixels)
        if blocks.digest(index) == digest:
            _keep(folder, blocks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        check_is_damage(error, folder)
        raise Damaged(f"{folder / FILE} is not readable ({error}); delete {folder}") from None
    needed = -(-len(index) // max(blocks.images, 1))
    if len(blocks.checksums) != needed or blocks.digest(index) != digest:
        raise Damaged(f"{folder} is not as it was written: its digest is of others; delete it")
    return blocks


def check_is_damage(error: Exception, store: Path) -> None:
    """Problem where the system refuses to read a store, which may be whole: nothing is deleted."""
    refused.check_is_own(error, store, (errno.ENOENT, errno.ENOTDIR, errno.EISDIR))


def _computed(index: Ints, pixels: Pixels) -> Blocks:
    """The checksums of the pixels as they are."""
    blocks = Blocks(IMAGES, [""] * -(-len(index) // IMAGES))
    spans = [blocks.ends(block, index) for block in range(len(blocks.checksums))]
    return Blocks(IMAGES, [checksum(pixels[first:last]) for first, last in spans])


def _keep(folder: Path, blocks: Blocks) -> None:
    """Write the checksums where the folder can be written; elsewhere they are computed again."""
    try:
        write(folder, blocks)
    except OSError:
        return
