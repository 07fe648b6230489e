"""Datasets by name: one file each, and `folder:PATH` for the user's images."""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
from pathlib import Path
from types import ModuleType

import numpy as np

from harness.data import Say, moved, named_options
from harness.data.cache import dataset as from_files
from harness.schema import Dataset, Problem


def names() -> list[str]:
    """The datasets there are, in alphabetical order, without `folder:PATH`."""
    return sorted(item.name for item in pkgutil.iter_modules(__path__) if item.name != "folder")


def module(name: str) -> ModuleType:
    """The module of a dataset or of `folder`: where it comes from, and how it is listed."""
    return importlib.import_module(f"harness.data.datasets.{name}")


def modules() -> dict[str, ModuleType]:
    """Every dataset's module by its name on the command line, in the order of `data list`."""
    published = [name for name in names() if hasattr(module(name), "SOURCES")]
    drawn = [name for name in names() if name not in published]
    return {name: module(name) for name in [*published, *drawn]} | {"folder:PATH": module("folder")}


@functools.lru_cache(maxsize=8)  # one worker takes runs of several datasets in turn
def load(name: str, root: Path, resize: int, say: Say | None = None) -> Dataset:
    """The dataset `name` below the data folder `root`, its images' shorter side `resize` pixels.

    The decoded-image cache is built where it is missing. `say` prints lines of progress; without it
    they go to the log.
    """
    say = say or _log
    reading = named_options.read(name)
    if reading.folder is not None:
        path = moved.place_of(reading.folder.resolve(), root)
        listing = module("folder").listing(path, shuffle=reading.shuffle)
        dataset = from_files(
            listing, path, root / "cache", side=resize, say=say, skip_bad=reading.skip_bad
        )
        return _without_singletons(_checked(dataset))
    if reading.name not in names():
        raise Problem(f"no dataset {name!r}; known: {', '.join(names())}, folder:PATH")
    if reading.shuffle is not None:
        raise Problem(f"{name}: its halves are published; only folder:PATH has --shuffle-classes")
    file = module(reading.name)
    if not hasattr(file, "SOURCES"):  # drawn by the program, so no image is bad
        return _checked(file.load(root / "cache", resize=resize, say=say))
    path = root / reading.name
    dataset = from_files(
        file.listing(path), path, root / "cache", side=resize, say=say, skip_bad=reading.skip_bad
    )
    return _checked(dataset)


def _log(line: str) -> None:
    """Write to the log, which some engines keep: a worker's node may have to build the cache."""
    logging.getLogger("harness").info(line)


def _checked(dataset: Dataset) -> Dataset:
    """The dataset, once its images, labels and marks are equally many."""
    n = len(dataset.images)
    if not (len(dataset.labels) == len(dataset.is_test) == n):
        raise Problem(
            f"dataset {dataset.name}: {n} images, {len(dataset.labels)} labels, "
            f"{len(dataset.is_test)} marks of the test half; rebuild its cache"
        )
    return dataset


def _without_singletons(dataset: Dataset) -> Dataset:
    """The user's dataset; Problem if a class of it holds a single image.

    Published datasets keep their single images, which stay in the gallery and are not queried.
    """
    single = np.flatnonzero(np.bincount(dataset.labels) < 2)
    if len(single):
        raise Problem(
            f"{dataset.name}: class {dataset.class_names[single[0]]!r} holds one image"
            + (f" (and {len(single) - 1} more classes do)" if len(single) > 1 else "")
            + "; retrieval needs two of a class: add images or take the class out"
        )
    return dataset
