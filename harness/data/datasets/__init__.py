"""Datasets by name: one file each, and `folder:PATH`, `table:FILE`, ... for the user's own."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from harness.data import Say, halves, moved, named_options, to_log
from harness.data.cache import dataset as from_files
from harness.data.listing import Listing
from harness.data.named_options import Reading
from harness.schema import Dataset, Ints, Problem, meant


def names() -> list[str]:
    """The datasets that have a name of their own, in alphabetical order."""
    files = (item.name for item in pkgutil.iter_modules(__path__))
    return sorted(name for name in files if name not in named_options.KINDS)


def module(name: str) -> ModuleType:
    """The module of a dataset or of a kind such as `folder`: where it is from, how it is listed.

    Problem where it cannot be imported.
    """
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except (Exception, SystemExit) as error:  # it is a program, which may raise anything
        raise Problem(
            f"{__name__.replace('.', '/')}/{name}.py cannot be imported ({type(error).__name__}: "
            f"{error}); mend it, or take it out of the folder"
        ) from None


def modules(say: Say = to_log) -> dict[str, ModuleType]:
    """Every dataset's module by its name on the command line, in the order of `data list`.

    `say` gets a line on each that cannot be imported, which is left out.
    """
    whole = []
    for name in names():
        try:
            module(name)
        except Problem as problem:
            say(str(problem))
        else:
            whole.append(name)
    published = [name for name in whole if hasattr(module(name), "SOURCES")]
    drawn = [name for name in whole if name not in published]
    users = zip(named_options.forms(), named_options.KINDS, strict=True)
    return {name: module(name) for name in [*published, *drawn]} | {
        form: module(kind) for form, kind in users
    }


@functools.lru_cache(maxsize=8)  # one worker takes runs of several datasets in turn
def load(name: str, root: Path, resize: int, say: Say | None = None) -> Dataset:
    """The dataset `name` below the data folder `root`, its images' shorter side `resize` pixels.

    The decoded-image cache is built where it is missing. `say` prints lines of progress; without it
    they go to the log.
    """
    say = say or to_log
    reading = known(name)
    file = module(reading.kind or reading.name)
    if reading.kind == "features":
        path = moved.place_of(reading.source.resolve(), root)
        file_name = reading.source.name  # by which records know it, wherever it lies now
        return _checked(file.load(path, file_name=file_name, shuffle=reading.shuffle, say=say))
    if is_drawn(reading):  # so no image is bad
        return _checked(file.load(root / "cache", resize=resize, say=say))
    listing, path = listed(reading, root)
    dataset = from_files(
        listing, path, root / "cache", side=resize, say=say, skip_bad=reading.skip_bad
    )
    if reading.kind == "folder":
        _check_singles(dataset.name, dataset.labels, dataset.class_names)
    return _checked(dataset)


def known(name: str) -> Reading:
    """The reading that a name says; Problem if there is no such dataset."""
    reading = named_options.read(name)
    if reading.kind is None and reading.name not in names():
        raise Problem(unknown(reading.name))
    reading.check()
    if reading.skip_bad and is_drawn(reading):
        raise Problem(
            f"--skip-bad is for images in files; {reading.name} is drawn by this program, and no "
            "image of it is bad: leave it out"
        )
    return reading


def unknown(name: str) -> str:
    """That no dataset has this name, what was likely meant, and those that there are."""
    if (form := named_options.form_of_path(name)) is not None:
        return f"no dataset {name!r}; did you mean {form!r}?"
    every = [*names(), *named_options.forms()]
    return f"no dataset {name!r};{meant(name, every)} known: {', '.join(every)}"


def is_drawn(reading: Reading) -> bool:
    """Whether the program draws the dataset itself, so that it is always there."""
    return reading.kind is None and not hasattr(module(reading.name), "SOURCES")


def listed(reading: Reading, root: Path) -> tuple[Listing, Path]:
    """The listing of a dataset that is not drawn, and the folder that its paths are relative to."""
    if reading.kind is None:
        path = root / reading.name
        return module(reading.name).listing(path), path
    path = reading.source
    if reading.place is not None:
        path = moved.place_of(path.resolve(), root)
    listing = module(reading.kind).listing(path, **reading.options)
    n_classes = len(listing.class_names)
    in_test = halves.classes_in_test(n_classes, listing.labels, listing.is_test)
    halves.check_classes(listing.name, in_test)
    if reading.kind == "folder" and not reading.skip_bad:
        # With it, what is left of a class is known once images are decoded.
        _check_singles(listing.name, listing.labels, listing.class_names)
    return listing, path if path.is_dir() else path.parent


def _checked(dataset: Dataset) -> Dataset:
    """The dataset, once its images, labels and marks are equally many."""
    n = len(dataset.images)
    if not (len(dataset.labels) == len(dataset.is_test) == n):
        raise Problem(
            f"dataset {dataset.name}: {n} images, {len(dataset.labels)} labels, "
            f"{len(dataset.is_test)} marks of the test half; rebuild its cache"
        )
    return dataset


def _check_singles(name: str, labels: Ints, class_names: Sequence[str]) -> None:
    """Problem if a class of the user's folder holds a single image.

    Published datasets and tables keep their single images, which stay in the gallery and are not
    queried.
    """
    single = np.flatnonzero(np.bincount(labels) < 2)
    if len(single):
        raise Problem(
            f"{name}: class {class_names[single[0]]!r} holds one image"
            + (f" (and {len(single) - 1} more classes do)" if len(single) > 1 else "")
            + "; retrieval needs two of a class: add images or take the class out"
        )
