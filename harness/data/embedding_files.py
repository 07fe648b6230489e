"""Files that `score` reads: embeddings [n, D] as .npy or .npz, labels [n] as .csv or .npy.

Row i of every file is of the same image. A .csv of labels has a header with the column `label` and,
where the search needs them, is_query, is_gallery (true or false, 1 or 0) and group (a camera or
session, empty or -1 for none). Of a single column the header may be left out. Nothing is ever
unpickled.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data import halves
from harness.data.feature_files import DAMAGED
from harness.data.groups import is_no_label, numbered
from harness.data.list_files import read_rows, read_text
from harness.files import checksum
from harness.schema import Bools, Ints, Problem

COLUMNS = ("label", "is_query", "is_gallery", "group")
TRUE, FALSE = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})
NEARLY_LABEL = frozenset({"labels", "class", "classes", "class_id", "target", "targets", "y"})
SEPARATORS = (";", "\t", "|")  # in place of commas: of spreadsheets, and refused
EMBEDDINGS = ("embeddings", "features")  # names of the array of a .npz that holds several
MAGIC = b"\x93NUMPY"  # the first bytes of a .npy file
OBJECTS = "it holds Python objects, which are never unpickled: save an array of numbers or texts"


@dataclass(frozen=True)
class Embeddings:
    """A file's rows [n, D], float32 or float64, all finite, and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    rows: npt.NDArray[Any]


@dataclass(frozen=True)
class Labels:
    """What a file says of every image [n]: its class, its part in the search, its group.

    `labels` are numbers from 0 in the order of the classes' sorted names. `unread` are columns that
    are of no use here.
    """

    path: Path
    sha256: str
    labels: Ints
    class_names: tuple[str, ...]
    is_query: Bools | None = None
    is_gallery: Bools | None = None
    groups: Ints | None = None
    unread: tuple[str, ...] = ()


def read_embeddings(path: Path) -> Embeddings:
    """The embeddings of a file; numbers that are no float32 or float64 become one, unchanged."""
    rows = checked_rows(_array(path, "embeddings", (".npy", ".npz")), path)
    return Embeddings(path, checksum(path), rows)


def checked_rows(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """An array as rows [n, D] of float32 or float64; a Problem calls it by its path."""
    kind, n_bytes = array.dtype.kind, array.dtype.itemsize
    if kind not in "fiu" or n_bytes > (8 if kind == "f" else 4):
        raise Problem(
            f"{path} holds {array.dtype}, where float16, float32 or float64 is needed; convert it "
            "with numpy's astype"
        )
    if array.ndim != 2 or 0 in array.shape:
        raise Problem(
            f"{path} holds an array of the shape {list(array.shape)}; [images, dimensions] is "
            "needed, one row for each image"
        )
    narrow = n_bytes <= (4 if kind == "f" else 2)  # float32 holds every such number
    rows = np.ascontiguousarray(array, dtype=np.float32 if narrow else np.float64)
    finite = np.isfinite(rows).all(1)
    if not finite.all():
        raise Problem(
            f"{path}: {int((~finite).sum())} of {len(rows)} rows hold NaN or infinite values, "
            f"the first is row {int(finite.argmin())} (from 0); leave such images out of every file"
        )
    return rows


def read_labels(path: Path) -> Labels:
    """The labels of a .csv, .npy or .npz file, and the columns of COLUMNS that a .csv has."""
    if path.suffix.casefold() == ".csv":
        columns = _columns(path)
    else:
        columns = {"label": texts_of(path, _array(path, "labels", (".csv", ".npy")))}
    return labels_of(columns, path, sha256=checksum(path))


def labels_of(columns: Mapping[str, Sequence[str]], path: Path, *, sha256: str) -> Labels:
    """The labels of columns [n] by name, of COLUMNS and others; a Problem calls them by a path."""
    missing = [i for i, text in enumerate(columns["label"]) if not text or is_no_label(text)]
    if missing:
        text = columns["label"][missing[0]]
        raise Problem(
            f"{path}: row {missing[0]} (from 0) has {f'the label {text}' if text else 'no label'}; "
            "every image needs one, or another name of its class: leave the image out of every file"
        )
    names = halves.one_spelling(columns["label"])
    class_names, labels = np.unique(np.array(names), return_inverse=True)
    if len(class_names) < 2:
        raise Problem(
            f"{path}: all {len(labels)} labels are {str(class_names[0])!r}; with a single class "
            "every neighbour is a right one, so at least two are needed"
        )
    is_query, is_gallery = (
        _marks(path, name, columns[name]) if name in columns else None
        for name in ("is_query", "is_gallery")
    )
    return Labels(
        path=path,
        sha256=sha256,
        labels=labels.astype(np.int64),
        class_names=tuple(class_names.tolist()),
        is_query=is_query,
        is_gallery=is_gallery,
        groups=numbered(columns["group"]) if "group" in columns else None,
        unread=tuple(name for name in columns if name not in COLUMNS),
    )


def _array(path: Path, content: str, suffixes: tuple[str, ...]) -> npt.NDArray[Any]:
    """The array of a .npy file, or the one of a .npz file that is meant."""
    if path.suffix.casefold() not in suffixes:
        raise Problem(f"{path}: {content} are read from {' or '.join(suffixes)}; save them so")
    if not path.is_file():
        raise Problem(f"there is no file {path}; give the file of the {content}")
    try:
        with path.open("rb") as file:
            if not file.read(len(MAGIC)).startswith((MAGIC, b"PK")):
                raise ValueError("it is no file of NumPy's")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            names = list(loaded.files)
            meant = names if len(names) == 1 else [name for name in EMBEDDINGS if name in names]
            if len(meant) == 1:
                return np.asarray(loaded[meant[0]])
    except DAMAGED as error:
        reason = OBJECTS if "allow_pickle" in str(error) else f"it cannot be read: {error}"
        raise Problem(f"{path}: {reason}") from None
    raise Problem(
        f"{path} holds the arrays {', '.join(names) or '(none)'}; one array, or one named "
        f"{' or '.join(EMBEDDINGS)}, is needed"
    )


def texts_of(path: Path, array: npt.NDArray[Any]) -> list[str]:
    """An array of labels [n] as texts."""
    if array.ndim != 1 or len(array) == 0:
        raise Problem(f"{path} holds an array of the shape {list(array.shape)}; [images] is needed")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "surrogateescape")
    if array.dtype.kind not in "iuU":
        raise Problem(f"{path} holds labels of the type {array.dtype}; save whole numbers or texts")
    return [str(value).strip() for value in array.tolist()]


def _columns(path: Path) -> dict[str, list[str]]:
    """The columns of a .csv file by name, blanks around every cell removed."""
    if not path.is_file():
        raise Problem(f"there is no file {path}; give the file of the labels")
    rows = [[cell.strip() for cell in row] for _, row in read_rows(read_text(path), path)]
    while rows and not any(rows[-1]):
        rows.pop()
    head = [cell.casefold() for cell in rows[0]] if rows else []
    for separator in SEPARATORS:
        if len(head) == 1 and separator in head[0] and "label" in head[0].split(separator):
            raise Problem(
                f"{path}: its columns are separated by {separator!r}; commas are needed, save it so"
            )
    if "label" in head:
        rows = rows[1:]
    elif len(head) == 1 and head[0] in NEARLY_LABEL and rows[0] not in rows[1:]:
        raise Problem(
            f"{path} begins with {rows[0][0]!r}: if it is the header, call it `label`; if it is a "
            "label, put a line `label` before it"
        )
    elif len(head) == 1:
        head = ["label"]
    else:
        raise Problem(
            f"{path} begins with {','.join(head)!r}; a header with the column `label` is needed, "
            "or a single column without a header"
        )
    _check_header(path, head)
    if not rows:
        raise Problem(f"{path} holds a header and no rows; a row for each image is needed")
    for number, row in enumerate(rows):
        if len(row) != len(head):
            raise Problem(
                f"{path}: row {number} (from 0) has {len(row)} cells, where {len(head)} are "
                f"needed: {', '.join(head)}"
            )
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def _check_header(path: Path, head: list[str]) -> None:
    """Problem where a column stands twice or is nearly one of COLUMNS."""
    for name in head:
        if head.count(name) > 1:
            raise Problem(f"{path}: the column {name!r} is there {head.count(name)} times; once is")
        close = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.8)
        if name not in COLUMNS and close and close[0] not in head:
            raise Problem(f"{path}: no column {name!r} is known; did you mean {close[0]!r}?")


def _marks(path: Path, name: str, texts: Sequence[str]) -> Bools:
    """A column of true and false as bools."""
    folded = [text.casefold() for text in texts]
    for number, text in enumerate(folded):
        if text not in TRUE | FALSE:
            raise Problem(
                f"{path}: row {number} (from 0) has {name} = {texts[number]!r}; true or false is "
                "needed, or 1 or 0"
            )
    marks = np.array([text in TRUE for text in folded], dtype=np.bool_)
    if not marks.any():
        raise Problem(f"{path}: {name} is false in every row; mark at least one image")
    return marks
