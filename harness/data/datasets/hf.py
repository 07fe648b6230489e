"""hf:NAME[:CONFIG], a Hugging Face data set: a folder that `save_to_disk` wrote, or a hub name.

NAME is read by the package `datasets`, which fetches a hub name on first use and keeps it in its
own cache. The images are those of the one column of images, the labels those of the one column of
class labels, or else of a column `label` or `labels`; `--image-column` and `--label-column` name
others. Rows without a label (None, NaN or -1) are left out, and a line says so.

The split `train` is the trainval half, `test` or else `validation` the test half, where no class is
in both. Otherwise all splits are put together and the second half of the classes is the test half;
a line says so. Classes are in the order of the data set's class labels, names without such an order
in their natural one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness.data import halves
from harness.data.groups import is_no_label
from harness.data.listing import Contents, Listing, named, version, versions_of
from harness.schema import Bools, Ints, Problem

COUNTS = None  # known only once the data set is read
WHERE = (
    "Hugging Face: a folder of save_to_disk, or a name on the hub, which is fetched on first use"
)
# Names of the column where none is of the kind, or several are.
USUAL = {"image": ("image", "img"), "label": ("label", "labels")}
UNLABELLED = -1
SHOWN = 400  # characters of an error of the package


@dataclass(frozen=True)
class Split:
    """The rows of one split that have a label, and the names of their classes [n]."""

    name: str
    table: Any  # a datasets.Dataset
    rows: Ints
    classes: list[str]


def listing(
    source: Path,
    *,
    config: str | None = None,
    shuffle: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Listing:
    """The labelled rows of all splits, one after another; `shuffle` seeds the order of classes."""
    name = f"hf:{source}" + (f":{config}" if config else "")
    package = _package(name)
    tables = _tables(package, source, config, name)
    features = next(iter(tables.values())).features
    image = _column(features, image_column, package.Image, "image", name)
    label = _column(features, label_column, package.ClassLabel, "label", name)
    for key, table in tables.items():
        lacking = [column for column in (image, label) if column not in table.features]
        if lacking:
            raise Problem(
                f"{name}: its split {key} has no column {lacking[0]!r}, which other splits have; "
                "give --image-column and --label-column that all splits have, or save it without"
            )
    every = [_split(key, table, label, package.ClassLabel) for key, table in tables.items()]
    class_labels = _class_names(tables, label)
    splits = _with_one_spelling([split for split in every if len(split.rows)], class_labels or [])
    classes = _in_order(splits, class_labels, shuffle)
    if len(classes) < 2:
        raise Problem(f"{name}: {len(classes)} classes in its column {label}; 2 are needed")
    number = {text: i for i, text in enumerate(classes)}
    labels = [np.array([number[text] for text in split.classes], np.int64) for split in splits]
    in_test, origin = _halves(splits, labels, classes)
    n_unlabelled = sum(len(split.table) - len(split.rows) for split in every)
    notes = [f"{n_unlabelled:,} rows without a label are left out"] if n_unlabelled else []
    every_label = np.concatenate(labels)
    notes += halves.check_pairs(name, every_label, in_test[every_label])
    return Listing(
        name=name,
        paths=tuple(f"{split.name}/{row}" for split in splits for row in split.rows.tolist()),
        labels=every_label,
        is_test=in_test[every_label],
        class_names=tuple(classes),
        contents=contents_of(splits, image, package, source),
        versions=_versions(splits, image, package, source),
        notes=(*notes, halves.line(classes, in_test, origin)),
    )


def _package(name: str) -> ModuleType:
    """The package `datasets`; a Problem where it is not installed."""
    try:
        import datasets
        from tqdm import tqdm  # which datasets comes with
    except ImportError:
        raise Problem(
            f"{name}: the package datasets reads it and is not installed; `python -m pip install "
            "datasets`"
        ) from None
    # Its own lock is shared between processes: one that ends at once leaves it behind, and says so.
    tqdm.set_lock(threading.RLock())
    module: ModuleType = datasets
    return module


def _tables(package: ModuleType, source: Path, config: str | None, name: str) -> Mapping[str, Any]:
    """Each split of the data set by its name, as rows of Python values."""
    if source.is_absolute() and not source.is_dir():
        raise Problem(f"{name}: there is no such folder; give one that save_to_disk wrote")
    is_saved = any((source / file).is_file() for file in ("dataset_dict.json", "state.json"))
    if is_saved and config:
        raise Problem(f"{name}: what save_to_disk wrote has no configurations; leave :{config} out")
    try:
        whole = (
            package.load_from_disk(str(source))
            if is_saved
            else package.load_dataset(str(source), config)
        )
    except Exception as error:  # of the hub, the network, the disk or a loader: many kinds
        text = " ".join(str(error).split())[:SHOWN]
        raise Problem(
            f"{name} cannot be loaded ({type(error).__name__}: {text}); give a folder that "
            "save_to_disk wrote, or a name of the hub that this machine reaches or has in its cache"
        ) from None
    tables = whole if isinstance(whole, Mapping) else {str(whole.split or "all"): whole}
    return {str(key): table.with_format(None) for key, table in tables.items()}


def _column(
    features: Mapping[str, Any], given: str | None, kind: type, what: str, name: str
) -> str:
    """The column that is given, or the only one of a kind, or the only one with a usual name."""
    every = named([f"{column} ({type(f).__name__})" for column, f in features.items()])
    if given is not None:
        if given not in features:
            raise Problem(f"{name}: no column {given!r}; there are {every}")
        return given
    columns = [column for column, feature in features.items() if isinstance(feature, kind)]
    if len(columns) != 1:
        columns = [column for column in columns or features if column in USUAL[what]]
    if len(columns) != 1:
        raise Problem(
            f"{name}: which column is the {what} cannot be told from {every}; give --{what}-column "
            "NAME"
        )
    return columns[0]


def _split(key: str, table: Any, label: str, kind: type) -> Split:
    """The labelled rows of a split."""
    feature, values = table.features[label], list(table[label])
    rows = [
        i
        for i, value in enumerate(values)
        if value is not None
        and value != UNLABELLED
        and str(value).strip()
        and not is_no_label(str(value))
    ]
    names = getattr(feature, "names", None) if isinstance(feature, kind) else None
    classes = [str(values[i]) if names is None else names[values[i]] for i in rows]
    return Split(key, table, np.array(rows, np.int64), classes)


def _with_one_spelling(splits: Sequence[Split], class_labels: Sequence[str]) -> list[Split]:
    """The splits with the names of classes that look the same in one spelling, the first."""
    every = [*class_labels, *(name for split in splits for name in split.classes)]
    spelling = dict(zip(every, halves.one_spelling(every), strict=True))
    return [replace(one, classes=[spelling[name] for name in one.classes]) for one in splits]


def _class_names(tables: Mapping[str, Any], label: str) -> list[str] | None:
    """The names of the class labels of all splits, each once; None where a split has texts."""
    names: dict[str, None] = {}
    for table in tables.values():
        of_split = getattr(table.features[label], "names", None)
        if of_split is None:
            return None
        names |= dict.fromkeys(of_split)
    return list(names)


def _in_order(
    splits: Sequence[Split], names: Sequence[str] | None, shuffle: int | None
) -> list[str]:
    """The classes that have images: as the class labels number them, by nature, or by a seed."""
    classes = set().union(*(split.classes for split in splits))
    if names is None or shuffle is not None:
        return halves.in_order(classes, shuffle)
    return [name for name in names if name in classes]


def _halves(
    splits: Sequence[Split], labels: Sequence[Ints], classes: Sequence[str]
) -> tuple[Bools, str]:
    """Marks [classes] those of the test half, and where that is from."""
    second, by_order = halves.second_of(classes), "the second half of the classes in their order"
    keys = [split.name for split in splits]
    half_of = halves.of_words(keys)
    if not half_of:
        return second, f"{by_order}: its splits are {named(keys)}"
    n_images = {half: np.zeros(len(classes), np.int64) for half in ("train", "test")}
    for key, numbers in zip(keys, labels, strict=True):
        n_images[half_of[key]] += np.bincount(numbers, minlength=len(classes))
    n_both = int(((n_images["train"] > 0) & (n_images["test"] > 0)).sum())
    if n_both:
        why = f"{n_both:,} of {len(classes):,} classes are in both, and no class may be"
        return second, f"{by_order}: the splits {named(keys)} are put together, for {why}"
    return n_images["test"] > 0, f"by the splits {named(keys)}"


def contents_of(splits: Sequence[Split], image: str, package: ModuleType, source: Path) -> Contents:
    """The bytes or the file of each image, undecoded; Problem where the column holds no images."""
    places = [
        (table, int(row))
        for table, split in zip(_undecoded(splits, image, package, source), splits, strict=True)
        for row in split.rows
    ]

    def content(i: int) -> bytes | Path:
        table, row = places[i]
        cell = table[row][image]
        if cell is None or (cell["bytes"] is None and cell["path"] is None):
            raise ValueError(f"the column {image} is empty")
        return source / cell["path"] if cell["bytes"] is None else bytes(cell["bytes"])

    return content


def _undecoded(splits: Sequence[Split], image: str, package: ModuleType, source: Path) -> list[Any]:
    """The column of images of each split, as bytes or paths; Problem where it holds no images."""
    try:
        return [
            split.table.select_columns([image]).cast_column(image, package.Image(decode=False))
            for split in splits
        ]
    except Exception as error:  # of pyarrow's and datasets' own kinds, by the column's type
        kind = splits[0].table.features[image]
        raise Problem(
            f"hf:{source}: the column {image} holds no images but {kind} "
            f"({type(error).__name__}); give the column of images with --image-column"
        ) from None


def _versions(splits: Sequence[Split], image: str, package: ModuleType, source: Path) -> Ints:
    """A number [n] for the version of each image: of the data set's files, and of its own file.

    Most images have no file of their own: their bytes lie in the data set's files.
    """
    versions: list[int] = []
    for table, split in zip(_undecoded(splits, image, package, source), splits, strict=True):
        whole = [version(file["filename"]) for file in table.cache_files]
        own = np.full(len(split.rows), -1, np.int64)
        if _has_files(table, image):
            cells = [table[int(row)][image] or {"bytes": None, "path": None} for row in split.rows]
            paths = ["" if cell["bytes"] else cell["path"] or "" for cell in cells]
            own = versions_of(paths, source)
        text = f"{split.table._fingerprint} {whole}"
        digests = (hashlib.sha256(f"{text} {number}".encode()).digest() for number in own.tolist())
        versions += [int.from_bytes(digest[:8], "big") >> 1 for digest in digests]
    return np.array(versions, np.int64)


def _has_files(table: Any, image: str) -> bool:
    """Whether some images of a column are in files of their own, not in the data set's."""
    pieces = table.data.column(image).chunks
    return any(piece.field("bytes").null_count for piece in pieces)
