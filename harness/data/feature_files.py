"""Files of features and what they hold, by name: .npz, .npy with a .csv, .parquet, .safetensors.

features [n, F] and labels [n] are needed. Others may be there: augmented [n, N, F], is_test,
is_query, is_gallery, group and image, all [n]; class_names [C] of labels that are numbers from 0
to C - 1; and origin, a text. Nothing is ever unpickled.
"""

from __future__ import annotations

import importlib
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.list_files import read_rows, read_text
from harness.files import meant_path, replacing
from harness.schema import Problem

# What NumPy raises for a file that is damaged, cut off, or packed in a way that it cannot read.
DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError)

Arrays = dict[str, npt.NDArray[Any]]
SUFFIXES = (".npz", ".npy", ".parquet", ".safetensors")
BY_IMAGE = ("labels", "is_test", "is_query", "is_gallery", "group", "image")
KNOWN = ("features", "augmented", *BY_IMAGE, "class_names", "origin")
FORMS = (
    "features [n, F] and labels [n] as .npz, .parquet or .safetensors, or features.npy beside "
    "features.csv or labels.csv with a column `label`"
)


def read(path: Path) -> Arrays:
    """What the file holds by the names above; `label` is another name for `labels`.

    Features of a .npy file stay on disk, in a map that processes share. Problem where the file is
    not there, cannot be read, or is of another kind.
    """
    if path.suffix not in SUFFIXES:
        raise Problem(f"features: {path} does not end in {', '.join(SUFFIXES)}; give {FORMS}")
    if not path.is_file():
        raise Problem(
            f"features: there is no file {path};{meant_path(path)} give {FORMS}, or make one of "
            "images with `python -m harness features`"
        )
    readers = {".npz": _npz, ".npy": _npy, ".parquet": _parquet, ".safetensors": _safetensors}
    try:
        arrays = readers[path.suffix](path)
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason or "pickled" in reason:
            reason = "it holds Python objects, which are never unpickled: save numbers and texts"
        raise Problem(f"features: {path} cannot be read: {reason}; give {FORMS}") from None
    if "label" in arrays and "labels" not in arrays:
        arrays["labels"] = arrays.pop("label")
    missing = [name for name in ("features", "labels") if name not in arrays]
    if missing:
        listed = ", ".join(sorted(arrays)) or "nothing"
        raise Problem(f"features: {path} has no {' and no '.join(missing)} (it holds {listed})")
    return arrays


def check_can_be_written(path: Path) -> None:
    """Problem where no file can be made at the path: asked before hours of work, not after."""
    try:
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            return
    except OSError as error:
        raise Problem(
            f"{path} cannot be written ({error.strerror}); give a place where this user may write"
        ) from None


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name to a .npz file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dict[str, Any](arrays))


def _npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no whole .npz")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _npy(path: Path) -> Arrays:
    """The map of a .npy file, with the columns of the .csv that belongs to it."""
    tables = [path.with_suffix(".csv"), path.with_name("labels.csv")]
    table = next((each for each in tables if each.is_file()), None)
    if table is None:
        raise Problem(
            f"features: {path} has no labels: there is no {tables[0].name} and no {tables[1].name} "
            f"beside it; a row for each row of the features, with a column `label`, is needed"
        )
    features = np.load(path, mmap_mode="r", allow_pickle=False)
    return {"features": features, **_columns(table)}


def _columns(path: Path) -> Arrays:
    """The columns of a .csv file with a header, as texts."""
    rows = [row for _, row in read_rows(read_text(path), path) if row]
    header = [name.strip().casefold() for name in rows[0]] if rows else []
    if not {"label", "labels"} & set(header) or len(set(header)) != len(header):
        raise Problem(
            f"features: {path} begins with {','.join(header)!r}; a header of different names with "
            "a column `label` is needed"
        )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise Problem(
                f"features: {path}: row {number} has {len(row)} columns, the header {len(header)}"
            )
    texts = np.array(rows[1:], dtype=np.str_).reshape(len(rows) - 1, len(header))
    return {name: np.char.strip(texts[:, i]) for i, name in enumerate(header)}


def _parquet(path: Path) -> Arrays:
    """The columns of a .parquet file; features are a column of lists of one length."""
    pyarrow = _package("pyarrow", ".parquet")
    parquet = _package("pyarrow.parquet", ".parquet")
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(error) from None
    arrays: Arrays = {}
    for name in table.column_names:
        if name not in (*KNOWN, "label"):
            arrays[name] = np.zeros(len(table))  # its name is all that is said of it
            continue
        column = table[name].combine_chunks()
        if column.null_count:
            raise ValueError(f"the column {name} has {column.null_count} empty rows")
        if pyarrow.types.is_struct(column.type) or pyarrow.types.is_map(column.type):
            raise ValueError(f"the column {name} holds {column.type}; lists of numbers are needed")
        if hasattr(column, "flatten") and pyarrow.types.is_nested(column.type):
            flat = column.flatten().to_numpy(zero_copy_only=False)
            if len(set(column.value_lengths().to_pylist())) != 1:
                raise ValueError(f"the lists of the column {name} are not of one length")
            arrays[name] = flat.reshape(len(table), -1)
        else:
            arrays[name] = _without_objects(column.to_numpy(zero_copy_only=False))
    origin = (table.schema.metadata or {}).get(b"origin")
    return arrays if origin is None else arrays | {"origin": np.array(origin.decode())}


def _without_objects(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Texts as an array of texts: pyarrow gives objects."""
    return values.astype(np.str_) if values.dtype == object else values


def _safetensors(path: Path) -> Arrays:
    """The tensors of a .safetensors file, and `origin` of its metadata."""
    safetensors = _package("safetensors", ".safetensors")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(error) from None
    except TypeError as error:  # of a number type that numpy lacks, such as bfloat16
        raise ValueError(f"{error}; save float32") from None
    return arrays | ({"origin": np.array(metadata["origin"])} if "origin" in metadata else {})


def _package(name: str, suffix: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise Problem(
            f"features: reading {suffix} needs {package}, which is not installed: "
            f"python -m pip install {package}"
        ) from None
