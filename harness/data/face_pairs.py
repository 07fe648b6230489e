"""Pairs of images in the formats of the face-recognition toolkits: `.bin` files and pairs.txt.

`.bin` (InsightFace: lfw.bin, cfp_fp.bin, agedb_30.bin, calfw.bin, cplfw.bin): a pickle of two
lists, the encoded images, two a pair one after the other, and whether each pair is genuine. It is
read without running anything that it names.

pairs.txt (LFW, http://vis-www.cs.umass.edu/lfw/README.txt): a first line `FOLDS N`, then for each
fold N lines `NAME i j` of genuine pairs and N lines `NAME i NAME j` of impostors, of images
ROOT/NAME/NAME_000i.jpg (or .png, .jpeg).

The folds of a `.bin` file are ten blocks of its pairs in their order, as InsightFace takes them.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from harness.data import store
from harness.schema import Bools, Ints, Problem

FOLDS = 10  # of a .bin file
ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Faces:
    """Images that are decoded when they are asked for: uint8 [height, width, 3 or 1].

    The shorter side is `side`; with `grey`, one channel by PIL's luma.
    """

    sources: Sequence[Path | bytes]
    side: int
    grey: bool

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int, /) -> store.Pixels:
        source = self.sources[index]
        try:
            opened = io.BytesIO(source) if isinstance(source, bytes) else source
            pixels = store.decoded(opened, self.side).pixels
        except (OSError, ValueError, SyntaxError) as error:
            name = f"image {index}" if isinstance(source, bytes) else str(source)
            raise Problem(f"{name} of the pairs cannot be decoded ({error}); replace it") from None
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None] if self.grey else pixels


@dataclass(frozen=True)
class FacePairs:
    """Pairs of images: positions first [n] and second [n] in `sources`, genuine [n], fold [n]."""

    name: str
    sources: Sequence[Path | bytes]
    first: Ints
    second: Ints
    genuine: Bools
    fold: Ints


def read(path: Path, images: Path | None) -> FacePairs:
    """The pairs of a file; `images` is the folder of the images that a pairs.txt names.

    Problem where the file is not of its format, or images are not there.
    """
    if not path.is_file():
        raise Problem(f"no file {path}; give a .bin file, or a pairs.txt with --images FOLDER")
    if path.suffix == ".bin":
        pairs = _of_bin(path)
    elif images is None:
        raise Problem(
            f"{path} names images in a folder: add --images FOLDER, with NAME/NAME_0001.jpg"
        )
    else:
        pairs = _of_text(path, images)
    if len(set(pairs.genuine.tolist())) < 2:
        kind = "genuine" if pairs.genuine[0] else "other"
        raise Problem(f"{path} holds {kind} pairs alone; a rate of errors needs both kinds")
    return pairs


def read_all(paths: Sequence[Path], images: Path | None) -> list[FacePairs]:
    """The pairs of several files, by names of their own: the shortest ends of paths that differ."""
    read_once = {path.resolve(): read(path, images) for path in paths}
    names = {path: pairs.name for path, pairs in read_once.items()}
    depth = 1
    while len(set(names.values())) < len(names):
        depth += 1
        names = {path: "/".join(path.with_suffix("").parts[-depth:]) for path in names}
        if depth > max(len(path.parts) for path in names):  # as pairs.txt beside pairs.bin
            names = {path: str(path) for path in names}
    return [replace(pairs, name=names[path]) for path, pairs in read_once.items()]


class _DataOnly(pickle.Unpickler):
    """Reads lists, bytes and numbers; nothing that a file names is imported or called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how old protocols spell bytes in Python 3
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does for bytes in a pickle, and nothing else of it."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode("latin1")


def _of_bin(path: Path) -> FacePairs:
    with path.open("rb") as file:
        encoded, genuine = _lists(file, path)
    n = len(genuine)
    return FacePairs(
        name=path.stem,
        sources=encoded,
        first=np.arange(0, 2 * n, 2),
        second=np.arange(1, 2 * n, 2),
        genuine=np.array(genuine, np.bool_),
        fold=_blocks(path, n),
    )


def _lists(file: BinaryIO, path: Path) -> tuple[list[bytes], list[bool]]:
    """The two lists of a .bin file; Problem where it holds something else."""
    wanted = (
        "a pickle of (encoded images, two a pair, and whether each pair is genuine) is expected, "
        "as InsightFace writes it"
    )
    try:
        _check_numbers(file)
        content = _DataOnly(file, encoding="bytes").load()
    except Exception as error:  # a torn or foreign pickle raises nearly anything
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise Problem(f"{path} cannot be read ({reason}); {wanted}") from None
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise Problem(f"{path} holds {type(content).__name__}; {wanted}")
    encoded, genuine = content
    if not isinstance(encoded, list) or not all(isinstance(one, bytes) for one in encoded):
        raise Problem(f"{path}: its first part is no list of encoded images; {wanted}")
    if not isinstance(genuine, list) or not all(one in (0, 1) for one in genuine):
        raise Problem(f"{path}: its second part is no list of true and false; {wanted}")
    if len(encoded) != 2 * len(genuine) or not genuine:
        raise Problem(f"{path} holds {len(encoded)} images for {len(genuine)} pairs; {wanted}")
    return encoded, [bool(one) for one in genuine]


def _check_numbers(file: BinaryIO) -> None:
    """UnpicklingError where a pickle keeps an object under a number beyond all that came before.

    Picklers count up. For a large number the unpickler takes as much memory, which may be all that
    there is, and the system ends the process.
    """
    for count, (opcode, number, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (number or 0) > count:
            raise pickle.UnpicklingError(f"it keeps object {count} as number {number}")
    file.seek(0)


def _blocks(path: Path, n: int) -> Ints:
    """Fold of each of n pairs: ten blocks in their order."""
    if n < 2 * FOLDS:
        raise Problem(f"{path} holds {n} pairs; {FOLDS} folds need {2 * FOLDS} at least")
    blocks = [np.full(len(part), k) for k, part in enumerate(np.array_split(np.arange(n), FOLDS))]
    return np.concatenate(blocks)


def _of_text(path: Path, images: Path) -> FacePairs:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Problem(f"{path} is no UTF-8 text; LFW's pairs.txt is expected") from None
    folds, per_fold = _head(path, lines[0] if lines else "")
    rows = [(number, line.split()) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if len(rows) != 2 * folds * per_fold:
        raise Problem(
            f"{path}: {len(rows)} pairs, but its first line says {folds} folds of {per_fold} "
            f"genuine and {per_fold} other pairs, {2 * folds * per_fold}"
        )
    places: dict[tuple[str, str], int] = {}
    drawn = []
    for at, (number, row) in enumerate(rows):
        genuine = at // per_fold % 2 == 0
        names = _names(row, genuine=genuine)
        if names is None:
            form = "NAME i j" if genuine else "NAME i NAME j"
            raise Problem(f"{path}, line {number}: {' '.join(row)[:80]!r}; {form} is expected")
        pair = [places.setdefault(name, len(places)) for name in names]
        drawn.append((*pair, genuine, at // (2 * per_fold)))
    sources = [_image(path, images, *name) for name in places]
    first, second, is_genuine, fold = (np.array(column) for column in zip(*drawn, strict=True))
    return FacePairs(path.stem, sources, first, second, is_genuine.astype(np.bool_), fold)


def _head(path: Path, line: str) -> tuple[int, int]:
    """Folds and pairs of each kind in a fold."""
    numbers = line.split()
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        folds, per_fold = map(int, numbers)
        if folds >= 2 and per_fold >= 1:
            return folds, per_fold
    raise Problem(
        f"{path}, line 1: {line[:80]!r}; FOLDS N is expected, as `10 300`: two folds or more, "
        "because a fold's threshold is chosen on the others"
    )


def _names(row: Sequence[str], *, genuine: bool) -> list[tuple[str, str]] | None:
    """Person and number of both images of a line; None where it is not of its form."""
    if genuine and len(row) == 3:
        pair = [(row[0], row[1]), (row[0], row[2])]
    elif not genuine and len(row) == 4:
        pair = [(row[0], row[1]), (row[2], row[3])]
    else:
        return None
    return pair if all(number.isdecimal() for _, number in pair) else None


def _image(path: Path, images: Path, person: str, number: str) -> Path:
    """The file of a person's image; Problem where it is not there."""
    stem = images / person / f"{person}_{int(number):04}"
    for ending in ENDINGS:
        file = stem.with_name(stem.name + ending)
        if file.is_file():
            return file
    raise Problem(f"{path} names {stem}.jpg, which is not there; give its folder with --images")
