"""features:FILE, what a frozen trunk made of images: nothing but a head is trained on it.

The file holds features [n, F] and labels [n] (whole numbers or texts), and optionally

- is_test [n]: the test half; without it the second half of the classes in the natural order of
  their names is, or in an order drawn by `--shuffle-classes SEED`, as of folder:PATH;
- is_query, is_gallery [n]: marks of test images; group [n]: their camera or session;
- augmented [n, N, F]: the features of N random crops an image, for training;
- class_names [C], where labels are numbers from 0 to C - 1; image [n]: paths, which nothing reads;
  origin: a text that tables quote.

`python -m harness features` makes such a file of images. harness/data/feature_files.py reads the
formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data import Say, feature_files, halves
from harness.data.groups import RENAME, is_no_label, numbered
from harness.data.listing import named
from harness.schema import Bools, Dataset, Features, Floats, Ints, Problem

COUNTS = None  # known only once the file is read
WHERE = "your own: features [n, F] and labels [n] of a frozen network, as .npz or the like"
CHUNK = 4096  # images that are checked or hashed at once
TRUE, FALSE = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})


def load(
    path: Path, *, file_name: str | None = None, shuffle: int | None = None, say: Say
) -> Dataset:
    """The dataset of a file of features; `file_name` is what it was called before it was moved.

    The fingerprint covers features, labels, halves and marks, whatever the format of the file.
    Problem where shapes do not fit, a value is not finite, or a class lies in both halves.
    """
    arrays = feature_files.read(path)
    unknown = sorted(set(arrays) - set(feature_files.KNOWN))
    if unknown:
        say(f"NOTE: features: {path.name} also holds {named(unknown)}, which nothing reads")
    features = _features(path, arrays, file_name or path.name)
    n = len(features)
    by_image = {name: arrays[name] for name in feature_files.BY_IMAGE if name in arrays}
    for name, values in by_image.items():
        if values.shape != (n,):
            raise Problem(
                f"features: {path} has {n:,} rows of features and {name} of the shape "
                f"{list(values.shape)}; one for each row is needed"
            )
    names = halves.one_spelling(texts(path, "labels", by_image["labels"]))
    classes = halves.in_order(set(names), shuffle)
    place = {name: number for number, name in enumerate(classes)}
    labels = np.array([place[name] for name in names], np.int64)
    if "class_names" in arrays:
        classes = _named(path, classes, arrays["class_names"])
    is_test = _halves(path, by_image, labels, classes, say)
    single = [classes[label] for label in np.flatnonzero(np.bincount(labels) < 2)]
    if single:
        say(
            f"NOTE: features:{path}: {len(single):,} classes hold one image, which is in the "
            f"gallery and no query: {named(single)}"
        )
    if len(zeros := np.flatnonzero(~features.rows.any(1))):
        say(
            f"NOTE: features:{path}: {len(zeros):,} rows hold zeros only, which are alike and have "
            f"no direction: rows (from 0) {named([str(row) for row in zeros])}"
        )
    is_query, is_gallery = _galleries(path, by_image, is_test)
    groups = _groups(path, by_image)
    marks = [marks for marks in (is_query, is_gallery, groups) if marks is not None]
    return Dataset(
        name=f"features:{path}",
        images=features,
        labels=labels,
        is_test=is_test,
        class_names=tuple(classes),
        fingerprint=_fingerprint(features, [labels, is_test, *marks]),
        is_query=is_query,
        is_gallery=is_gallery,
        groups=groups,
    )


def _features(path: Path, arrays: Mapping[str, npt.NDArray[Any]], file_name: str) -> Features:
    """The features as float32, once their shapes fit and every value is finite."""
    rows = arrays["features"]
    if rows.ndim != 2 or 0 in rows.shape:
        raise Problem(f"features: {path}: features has the shape {list(rows.shape)}, not [n, F]")
    augmented = arrays.get("augmented")
    if augmented is not None:
        n, f = rows.shape
        if augmented.ndim != 3 or augmented.shape[::2] != (n, f) or augmented.shape[1] == 0:
            raise Problem(
                f"features: {path}: augmented has the shape {list(augmented.shape)}, not [{n}, N, "
                f"{f}] beside features {list(rows.shape)}"
            )
        augmented = _as_floats(path, "augmented", augmented)
    origin = " ".join(str(arrays["origin"]).split()) if "origin" in arrays else ""
    return Features(
        _as_floats(path, "features", rows),
        origin or f"{file_name}, which does not say of what trunk",
        augmented,
    )


def _as_floats(path: Path, name: str, values: npt.NDArray[Any]) -> Floats:
    """The values as float32; what already is float32 on disk stays there.

    Problem where that loses more than digits: what is too large or too small for it, and whole
    numbers that it does not hold.
    """
    if values.dtype.kind not in "fiu":
        raise Problem(f"features: {path}: {name} are of the type {values.dtype}, not numbers")
    with np.errstate(over="ignore", under="ignore"):  # both are refused below
        floats = np.asarray(values) if values.dtype == np.float32 else values.astype(np.float32)
    for start in range(0, len(floats), CHUNK):
        chunk, given = floats[start : start + CHUNK], values[start : start + CHUNK]
        if given.dtype.kind == "f":
            is_lost = (chunk == 0) & (given != 0)
        else:
            with np.errstate(invalid="ignore"):
                is_lost = chunk.astype(given.dtype) != given
        for wrong, what in (
            (~np.isfinite(chunk), "NaN or infinite values in float32"),
            (is_lost, "values that float32 does not hold"),
        ):
            rows = np.flatnonzero(wrong.reshape(len(chunk), -1).any(1))
            if len(rows):
                raise Problem(
                    f"features: {path}: row {start + int(rows[0])} (from 0) of {name} holds {what};"
                    " leave the image out, or compute or scale it again"
                )
    return floats


def texts(path: Path, name: str, values: npt.NDArray[Any]) -> list[str]:
    """Labels or groups as texts: 3 and 3.0 are "3". Problem for an empty label, or another type."""
    kind = values.dtype.kind
    if kind == "S":
        values = np.char.decode(values, "utf-8", "surrogateescape")
    elif kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    elif kind not in "iubU":
        raise Problem(
            f"features: {path}: {name} are of the type {values.dtype}; whole numbers "
            "or texts are needed"
        )
    listed = [str(value) for value in values.tolist()]
    if name == "labels":
        for row, text in enumerate(listed):
            if text == "" or is_no_label(text):
                label = "an empty label" if text == "" else f"the label {text}: a missing one"
                raise Problem(f"features: {path}: row {row} (from 0) has {label}; {RENAME}")
    return listed


def _named(path: Path, classes: list[str], class_names: npt.NDArray[Any]) -> list[str]:
    """The names of classes that are numbers into `class_names`."""
    names = texts(path, "class_names", class_names)
    numbers = {str(number) for number in range(len(names))}
    if set(classes) != numbers or len(set(map(halves.class_key, names))) != len(names):
        raise Problem(
            f"features: {path}: {len(names)} class_names for {len(classes)} labels; different "
            "names are needed, and labels that are numbers into them, from 0, each used"
        )
    return [names[int(number)] for number in classes]


def _marks(
    path: Path, name: str, values: npt.NDArray[Any], is_needed: Bools | None = None
) -> Bools:
    """True and false, 1 and 0 or their texts as bools; Problem for anything else.

    Where it is not needed [n], a mark may also be an empty text, which is false.
    """
    listed = [text.strip().casefold() for text in texts(path, name, values)]
    needed = [True] * len(listed) if is_needed is None else is_needed.tolist()
    for row, (text, must_be) in enumerate(zip(listed, needed, strict=True)):
        if text not in TRUE and text not in FALSE and (text or must_be):
            raise Problem(
                f"features: {path}: row {row} (from 0): {name} holds {text!r}; true or false is "
                "needed"
            )
    return np.array([text in TRUE for text in listed], np.bool_)


def _halves(
    path: Path,
    by_image: Mapping[str, npt.NDArray[Any]],
    labels: Ints,
    classes: list[str],
    say: Say,
) -> Bools:
    """Marks [n] the test half, and says which it is; Problem where a class lies in both."""
    if "is_test" in by_image:
        is_test, origin = _marks(path, "is_test", by_image["is_test"]), "as the file says"
        both = np.intersect1d(labels[is_test], labels[~is_test])
        if len(both):
            raise Problem(
                f"features: {path}: classes in both the trainval and the test half: "
                f"{named([classes[label] for label in both])}; retrieval is tested on classes "
                "that no training saw: mend is_test, or leave it out and the classes are divided"
            )
        in_test = halves.classes_in_test(len(classes), labels, is_test)
    else:
        in_test, origin = halves.second_of(classes), "the second half of the classes in their order"
        is_test = in_test[labels]
    halves.check_classes(f"features:{path}", in_test)
    halves.check_pairs(f"features:{path}", labels, is_test)
    say(f"NOTE: features:{path}: {halves.line(classes, in_test, origin)}")
    return is_test


def _galleries(
    path: Path, by_image: Mapping[str, npt.NDArray[Any]], is_test: Bools
) -> tuple[Bools | None, Bools | None]:
    """Marks [n] of queries and of the gallery; Problem where no test image is one or the other."""
    is_query, is_gallery = (
        _marks(path, name, by_image[name], is_test) if name in by_image else None
        for name in ("is_query", "is_gallery")
    )
    if is_query is None and is_gallery is not None:
        raise Problem(f"features: {path}: is_gallery is there without is_query; add it")
    if is_query is not None:
        gallery = ~is_query if is_gallery is None else is_gallery
        for name, marks in (("a query", is_query), ("in the gallery", gallery)):
            if not marks[is_test].any():
                raise Problem(f"features: {path}: no test image is {name}; mend is_query")
        neither = np.flatnonzero(is_test & ~is_query & ~gallery)
        if len(neither):
            raise Problem(
                f"features: {path}: neither query nor gallery in the test half: rows (from 0) "
                f"{named([str(row) for row in neither])}; mark them, or leave them out"
            )
    return is_query, is_gallery


def _groups(path: Path, by_image: Mapping[str, npt.NDArray[Any]]) -> Ints | None:
    """The group of every image [n], -1 for none."""
    if "group" not in by_image:
        return None
    listed = texts(path, "group", by_image["group"])
    return numbered(listed)


def _fingerprint(features: Features, arrays: list[npt.NDArray[Any]]) -> str:
    """16 hex digits over features, labels, halves and marks."""
    digest = hashlib.sha256()
    for floats in (features.rows, features.augmented):
        if floats is not None:
            digest.update(f"{floats.shape}".encode())
            for start in range(0, len(floats), CHUNK):
                digest.update(np.ascontiguousarray(floats[start : start + CHUNK]).data)
    for array in arrays:
        digest.update(array.dtype.str.encode() + array.tobytes())
    return digest.hexdigest()[:16]
