"""The options that say which records a command reads, and the folders that they select."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

from harness import files
from harness.commands import options


def add(parser: argparse.ArgumentParser) -> None:
    """--dataset, --study and --loss: which records a command reads."""
    add_folders(parser)
    parser.add_argument(
        "--loss",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="losses (default: all with records)",
    )


def add_column(parser: argparse.ArgumentParser) -> None:
    """--category and --metric: which column of a table the losses are compared by."""
    add = parser.add_argument
    add(
        "--category",
        default="complete",
        metavar="NAME",
        help="complete, ensemble or aggregate (default: %(default)s)",
    )
    add(
        "--metric",
        default="map_at_r",
        metavar="NAME",
        help="map_at_r, r_precision, precision_at_1, recall_at_K or a diagnostic that the study "
        "recorded (default: %(default)s)",
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    """--dataset and --study alone."""
    add = parser.add_argument
    add(
        "--dataset",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="datasets (default: all with records)",
    )
    add(
        "--study",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="studies (default: all with records)",
    )


def selected(selection: argparse.Namespace) -> list[tuple[Path, list[str] | None]]:
    """What the options of `add` select: each folder with its losses, as with_losses has them."""
    return with_losses(folders_of(selection), selection.loss)


def with_losses(
    folders: Sequence[Path], losses: Sequence[str] | None
) -> list[tuple[Path, list[str] | None]]:
    """Each folder with those of the losses that it has records of; None stands for all.

    Folders that have none of them are left out. Problem for a loss that no folder has.
    """
    from harness.records import packed
    from harness.schema import BASELINES

    if losses is None:
        return [(where, None) for where in folders]
    names = {where: [path.stem for path in packed.record_files(where)] for where in folders}
    every = sorted({name for of_folder in names.values() for name in of_folder})
    for loss in losses:
        options.known("loss", loss, every)
    only_baselines = set(losses) <= set(BASELINES)
    chosen = {where: [loss for loss in losses if loss in names[where]] for where in folders}
    return [
        (where, here)
        for where, here in chosen.items()
        if set(here) - set(BASELINES) or (here and only_baselines)
    ]


@functools.cache
def _warn(line: str) -> None:
    """Say it once, however often the folders are asked for: a page that is served asks again."""
    options.warn(line)


def folders_in(results: Path) -> list[Path]:
    """All folders results/<study>/<dataset>; a warning names those that have records alone."""
    from harness.records import folders

    for line in folders.without_study(results):
        _warn(line)
    return folders.described(results)


def folders_of(selection: argparse.Namespace) -> list[Path]:
    """The folders results/<study>/<dataset> that hold records and match --study and --dataset."""
    from harness.schema import Problem

    folders = folders_in(selection.results)
    if selection.study is not None:
        studies = sorted({path.parent.name for path in folders})
        for name in selection.study:
            options.known("study", name, studies or ["(no records)"])
        folders = [path for path in folders if path.parent.name in selection.study]
    if selection.dataset is not None:
        chosen = {path for name in selection.dataset for path in _of_dataset(folders, name)}
        folders = [path for path in folders if path in chosen]
    if not folders:
        raise Problem(
            f"no records in {selection.results};{files.meant_path(selection.results)} run `python "
            "-m harness study` first, or give another folder with --results (a study that has just "
            "begun reads or draws its images, which may take minutes, and has no records before)"
        )
    return folders


def _of_dataset(folders: Sequence[Path], name: str) -> list[Path]:
    """Those of results folders that are of a dataset; a Problem if none is."""
    from harness.data import named_options
    from harness.schema import Problem

    if matching := _spelled(folders, name):
        return matching
    form = named_options.form_of_path(name)
    if form is not None and _spelled(folders, form):
        raise Problem(f"no records of a dataset {name!r}; did you mean {form!r}?")
    options.known("dataset", name, sorted({path.name for path in folders}) or ["(none)"])
    return []


def _spelled(folders: Sequence[Path], name: str) -> list[Path]:
    """Those of results folders whose dataset is spelled like this."""
    from harness.records import folder

    return [
        path
        for path in folders
        if path == folder.folder_of(path.parents[1], path.parent.name, name)
    ]
