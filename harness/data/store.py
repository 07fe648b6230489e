"""A store of decoded images on disk, read by memory map; and how one image is decoded for it."""

from __future__ import annotations

import contextlib
import json
import mmap
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, features
from PIL import __version__ as pillow_version

from harness.data import blocks
from harness.data.blocks import Damaged
from harness.data.listing import Box
from harness.schema import Ints

FORMAT = 1
# 2: transparent images on white, 16-bit grey levels scaled
DECODER = f"pillow {pillow_version}, jpeg {features.version('jpg')}, rules 2"
LARGEST = 1_000_000_000  # pixels of an image that is read: 3 GB
LARGE = 50_000_000  # pixels above which only one image at a time is decoded
_ONE_LARGE = threading.Lock()
Pixels = npt.NDArray[np.uint8]


def resized(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) with the shorter side `side`, rounded as torchvision's Resize rounds."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


@dataclass(frozen=True)
class Decoded:
    """An image as uint8 [height, width, 3], and what its file held."""

    pixels: Pixels
    mode: str
    size: tuple[int, int]  # (width, height) in the file
    is_transparent: bool  # some pixel was; it is composited on white
    is_deep: bool  # 16 bits a grey level, of which the upper 8 are kept


ALTERATIONS = {
    "is_transparent": "with transparent pixels, composited on white",
    "is_deep": "of 16 bits a grey level, divided by 256",
}


def alterations(image: Decoded) -> list[str]:
    """What was done to an image so that it became RGB of 8 bits: keys of ALTERATIONS."""
    return [name for name in ALTERATIONS if getattr(image, name)]


def alteration_lines(counts: Mapping[str, int]) -> list[str]:
    """Lines that say how many images were altered, and how."""
    return [f"{counts[name]:,} images {text}" for name, text in ALTERATIONS.items() if counts[name]]


def open_image(source: Path | BinaryIO) -> Image.Image:
    """The opened image, whose pixels are not read yet. Raises what PIL raises.

    Pillow's own limit guards servers against strangers' files; these files are the user's own.
    """
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(source)
    width, height = image.size
    if width * height > LARGEST:
        image.close()
        raise ValueError(
            f"{width:,} x {height:,} pixels are more than {LARGEST:,}; save it smaller"
        )
    return image


def header_size(source: Path | BinaryIO, box: Box | None = None) -> tuple[int, int]:
    """(width, height) of the image, or of the box within it, as the header says; decodes nothing.

    Raises what PIL raises, and ValueError for a box outside the image.
    """
    with open_image(source) as image:
        if box is None:
            return image.size
        left, top, right, bottom = within(box, image.size)
        return right - left, bottom - top


def within(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box (left, top, right, bottom) that is inside an image of (width, height)."""
    left, top, right, bottom = box
    width, height = size
    if left >= width or top >= height:
        raise ValueError(
            f"its box {left}, {top} to {right}, {bottom} is outside {width} x {height}"
        )
    return left, top, min(right, width), min(bottom, height)


def decode(path: Path, side: int | None = None) -> Pixels:
    """The pixels of `decoded`, its shorter side `side` if given."""
    return decoded(path, side).pixels


def decoded(source: Path | BinaryIO, side: int | None = None, box: Box | None = None) -> Decoded:
    """The image as uint8 [height, width, 3], or the box of it, its shorter side `side` if given.

    Equals torchvision's default loader and Resize(side) in every pixel, but for transparent images,
    which are composited on white, and grey levels of 16 bits, which are divided by 256: that loader
    shows what lies under transparent pixels and cuts grey levels off at 255. PIL's convert("RGB")
    repeats grey, converts CMYK and ignores an EXIF orientation; PIL's antialiased bilinear resize
    follows. Raises what PIL raises, and ValueError for grey levels without a known scale.
    """
    with open_image(source) as opened:
        width, height = opened.size
        with _ONE_LARGE if width * height > LARGE else contextlib.nullcontext():
            opened.load()
            image, is_transparent, is_deep = _as_rgb(opened)
            if box is not None:
                image = image.crop(within(box, image.size))
            size = image.size if side is None else resized(*image.size, side)
            if size != image.size:
                image = image.resize(size, Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
        return Decoded(pixels, opened.mode, opened.size, is_transparent, is_deep)


def _as_rgb(image: Image.Image) -> tuple[Image.Image, bool, bool]:
    """The image in RGB; whether some of it was transparent; whether it had 16 bits a grey level."""
    is_deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")
    if is_deep:
        levels = np.asarray(image)
        grey = (levels >> 8).astype(np.uint8)
        clear = image.info.get("transparency")
        hidden = np.zeros(levels.shape, np.bool_) if clear is None else levels == clear
        grey[hidden] = 255
        return Image.fromarray(grey).convert("RGB"), bool(hidden.any()), True
    if image.mode in ("I", "F"):
        _check_levels(image)
    if not image.has_transparency_data:
        return image.convert("RGB"), False, False
    layered = image.convert("RGBA")
    least: Any = layered.getchannel("A").getextrema()[0]
    if least == 255:
        return image.convert("RGB"), False, False
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB"), True, False


def _check_levels(image: Image.Image) -> None:
    """ValueError where 32-bit levels would be cut off at 0 or 255, or are shares of 1."""
    low, high = (float(level) for level in cast("tuple[float, float]", image.getextrema()))
    if not 0 <= low <= high <= 255 or (image.mode == "F" and high <= 1):
        raise ValueError(
            f"levels of {low:g} to {high:g} in 32 bits have no known white; save it with 8 or 16 "
            "bits"
        )


class Store:
    """The decoded images of a store on disk: store[i] is uint8 [height, width, 3], read-only.

    All processes share the memory of one file; a pickled Store opens the file again. Each of them
    compares a block of images with its checksum when it first reads one of them (1.5 GB a second
    of one core). A block that is not as it was written goes to `mend`, which may restore it.
    """

    def __init__(self, path: Path, mend: Callable[[Store, int], None] | None = None) -> None:
        self.path, self.mend = path, mend
        try:
            self.about = json.loads((path / "store.json").read_text(encoding="utf-8"))
            self._index: Ints = np.load(path / "index.npy")
            with (path / "pixels.u8").open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._pixels = np.frombuffer(self._map, np.uint8)
        except (OSError, ValueError, EOFError) as error:
            blocks.check_is_damage(error, path)
            raise Damaged(f"{path} is no whole image cache ({error}); delete it") from None
        if not isinstance(self.about, dict) or self.about.get("format") != FORMAT:
            raise Damaged(f"{path}/store.json is damaged or of another format; delete {path}")
        needed = 0
        if self._index.ndim == 2 and self._index.dtype == np.int64 and self._index.shape[1] == 3:
            needed = pixels_length(self._index)
        if needed != len(self._pixels):
            raise Damaged(
                f"{path} is damaged: {len(self._pixels)} bytes of pixels, {needed} are needed; "
                "delete it"
            )
        self.blocks = blocks.of_store(path, self._index, self._pixels, self.digest)
        self._checked = np.zeros(len(self.blocks.checksums), np.bool_)

    @property
    def digest(self) -> str:
        """Hex digits over all pixels and shapes, computed when the store was built."""
        return str(self.about.get("digest"))

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int, /) -> Pixels:
        offset, height, width = self._index[index].tolist()
        self.check(int(index) % len(self) // self.blocks.images)
        return self._pixels[offset : offset + 3 * height * width].reshape(height, width, 3)

    def check(self, block: int) -> bool:
        """Compare a block with its checksum, once; True if it had to be restored.

        Damaged where it cannot be.
        """
        if self._checked[block]:
            return False
        is_whole = self._is_whole(block)
        if not is_whole:
            if self.mend is not None:
                self.mend(self, block)
            if not self._is_whole(block):
                raise Damaged(f"{self.place_of(block)} are not as they were written; delete it")
        self._checked[block] = True
        return not is_whole

    def will_need(self, indices: Iterable[int]) -> None:
        """Let the system begin to read images that are asked for soon, where it takes such advice.

        Of a block that was not compared with its checksum yet, all images are read.
        """
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        ends = set()
        for index in indices:
            block = index // self.blocks.images
            offset, height, width = self._index[index].tolist()
            whole = self.blocks.ends(block, self._index)
            ends.add((offset, offset + 3 * height * width) if self._checked[block] else whole)
        for first, last in ends:
            start = first - first % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, start, last - start)

    def place_of(self, block: int) -> str:
        """The images of a block, in words."""
        first = block * self.blocks.images
        return f"{self.path}: images {first} to {min(first + self.blocks.images, len(self)) - 1}"

    def shapes_of(self, block: int) -> Ints:
        """Rows of the index [images of the block, 3]: offset, height, width."""
        first = block * self.blocks.images
        rows: Ints = self._index[first : first + self.blocks.images]
        return rows

    def _is_whole(self, block: int) -> bool:
        first, last = self.blocks.ends(block, self._index)
        return blocks.checksum(self._pixels[first:last]) == self.blocks.checksums[block]

    def __reduce__(self) -> tuple[Callable[[Path], Store], tuple[Path]]:
        return open_store, (self.path,)


def open_store(path: Path, mend: Callable[[Store, int], None] | None = None) -> Store:
    """The store in the folder `path`; Damaged where it is not whole."""
    return Store(path, mend)


def pixels_length(index: Ints) -> int:
    """Bytes of all images of an index [n, 3] of offset, height, width."""
    return int(3 * (index[:, 1] * index[:, 2]).sum())
