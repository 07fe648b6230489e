"""Datasets by name: one file each, `folder:PATH` for a folder of the user's own."""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from harness.schema import Dataset, Problem


def names() -> list[str]:
    """The datasets there are, in alphabetical order; `folder:PATH` comes on top of them."""
    return sorted(item.name for item in pkgutil.iter_modules(__path__) if item.name != "folder")


def module(name: str) -> ModuleType:
    """The file of a dataset, `folder` included: where it comes from, and how it is listed."""
    return importlib.import_module(f"harness.data.datasets.{name}")


def modules() -> dict[str, ModuleType]:
    """Every dataset's module by its name on the command line, in the order of `data list`."""
    published = [name for name in names() if hasattr(module(name), "SOURCES")]
    drawn = [name for name in names() if name not in published]
    return {name: module(name) for name in [*published, *drawn]} | {"folder:PATH": module("folder")}


@functools.lru_cache(maxsize=8)  # one worker takes runs of several datasets in turn
def load(name: str, root: Path, resize: int, say: Callable[[str], None] | None = None) -> Dataset:
    """The dataset `name` below the data folder `root`, its images' shorter side `resize` pixels.

    The decoded-image cache is built where it is missing; `say` receives a line on what is done.
    """
    told = say if say is not None else _log
    if name.startswith("folder:"):
        path = Path(name.removeprefix("folder:")).resolve()
        dataset = _checked(module("folder").load(path, root / "cache", resize, told))
        return _without_singletons(dataset)
    if name not in names():
        raise Problem(f"no dataset {name!r}; known: {', '.join(names())}, folder:PATH")
    return _checked(module(name).load(root / name, root / "cache", resize, told))


def _log(line: str) -> None:
    """To the log of a worker whose engine keeps one: on its node the cache may have to be built."""
    logging.getLogger("harness").info(line)


def _checked(dataset: Dataset) -> Dataset:
    """Lengths and labels as the rest of the harness relies on them."""
    n = len(dataset.images)
    if not (len(dataset.labels) == len(dataset.is_test) == n):
        raise Problem(
            f"dataset {dataset.name}: {n} images, {len(dataset.labels)} labels, "
            f"{len(dataset.is_test)} marks of the test half; rebuild its cache"
        )
    return dataset


def _without_singletons(dataset: Dataset) -> Dataset:
    """A user's own folder as it is, unless a class of it holds one image.

    Published datasets keep their single images (they stay in the gallery and are not queried).
    """
    single = np.flatnonzero(np.bincount(dataset.labels) < 2)
    if len(single):
        raise Problem(
            f"{dataset.name}: class {dataset.class_names[single[0]]!r} holds one image"
            + (f" (and {len(single) - 1} more classes do)" if len(single) > 1 else "")
            + "; retrieval needs two of a class: add images or take the class out"
        )
    return dataset
