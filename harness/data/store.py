"""A store of decoded images on disk, read by memory map; and how one image is decoded for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, features
from PIL import __version__ as pillow_version

from harness.schema import Ints, Problem

FORMAT = 1
DECODER = f"pillow {pillow_version}, jpeg {features.version('jpg')}"
Pixels = npt.NDArray[np.uint8]


def resized(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) with the shorter side `side`, rounded as torchvision's Resize does."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def header_size(path: Path) -> tuple[int, int]:
    """(width, height) as the file's header says, nothing decoded. Raises what PIL raises."""
    with Image.open(path) as opened:
        return opened.size


def decode(path: Path, side: int | None = None) -> Pixels:
    """The image as uint8 [height, width, 3], its shorter side `side` if given.

    What torchvision's default loader and Resize(side) give, to the pixel: PIL's convert("RGB")
    (grey is repeated, CMYK converted, an alpha channel dropped and not composited, an EXIF
    orientation not applied), then PIL's antialiased bilinear resize. Raises what PIL raises.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    size = image.size if side is None else resized(*image.size, side)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image)


class Store:
    """The decoded images of a store on disk: store[i] is uint8 [height, width, 3], read-only.

    All processes share the pages of one file; a pickled Store opens the file anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.about = json.loads((path / "store.json").read_text(encoding="utf-8"))
            self._index: Ints = np.load(path / "index.npy")
            self._pixels = np.asarray(np.memmap(path / "pixels.u8", np.uint8, "r"))
        except (OSError, ValueError) as error:
            raise Problem(f"{path} is no whole image cache ({error}); delete it") from None
        needed = pixels_length(self._index)
        if self.about.get("format") != FORMAT or needed != len(self._pixels):
            raise Problem(
                f"{path} is damaged or of another format: {len(self._pixels)} bytes of pixels, "
                f"{needed} are needed; delete it"
            )

    @property
    def digest(self) -> str:
        """Hex digits over all pixels and shapes, computed when the store was built."""
        return str(self.about["digest"])

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int, /) -> Pixels:
        offset, height, width = self._index[index].tolist()
        return self._pixels[offset : offset + 3 * height * width].reshape(height, width, 3)

    def __reduce__(self) -> tuple[Callable[[Path], Store], tuple[Path]]:
        return open_store, (self.path,)


def open_store(path: Path) -> Store:
    """The store in the folder `path`; a Problem where it is not whole."""
    return Store(path)


def pixels_length(index: Ints) -> int:
    """Bytes of all images of an index [n, 3] of offset, height, width."""
    return int(3 * (index[:, 1] * index[:, 2]).sum())
