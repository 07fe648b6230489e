"""The study, losses and datasets that the options of `study` choose."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.commands import own_losses, study_files

if TYPE_CHECKING:
    from pathlib import Path

    from harness.schema import Record, Study

FIELDS = ("trials", "repeats", "search_repeats", "trunk", "weights")  # each an option's name too


@dataclass(frozen=True)
class Choice:
    """What is to be computed: a study with the changes of the command line, on what.

    `counts_given` are the trials and repeats that were asked for, by the names of their fields.
    """

    study: Study
    losses: list[str]
    datasets: list[str]
    counts_given: frozenset[str]


def add(parser: argparse.ArgumentParser) -> None:
    """The options that say what is computed."""
    option = parser.add_argument
    option(
        "--loss",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="losses or variants of the study, all, or a file of your own: ./mine.py (default: the "
        "losses of the study)",
    )
    option(
        "--dataset",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="datasets, or your own: folder:PATH, table:FILE, features:FILE, hf:NAME (default: "
        "those of the study)",
    )
    shared.add_one_study(parser, "a file in studies/")
    option(
        "--trials",
        type=shared.count,
        metavar="N",
        help="trials of the search (default: the study's; beside losses that were run with other "
        "numbers of trials and repeats, theirs)",
    )
    option("--repeats", type=shared.count, metavar="N", help="final repeats of the best trial")
    option(
        "--search-repeats",
        type=shared.count,
        metavar="N",
        help="whole searches with different seeds, to measure their spread (default: 1)",
    )
    option(
        "--diagnostics",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="of the final runs' test embeddings, beside the scores: see below (default: those of "
        "the study)",
    )
    option("--trunk", metavar="NAME", help="convnet, resnet50, ..., timm:NAME or torchvision:NAME")
    option("--weights", metavar="FILE", help="imagenet, pretrained, none, or a file of weights")


def of_options(declared: Study, options: argparse.Namespace) -> Choice:
    """What the options make of a declared study; Problem where they do not go together."""
    from harness.data import missing
    from harness.schema import BASELINES, Problem

    if options.fresh and (options.retry_failed or options.resume_from is not None):
        which = "--retry-failed" if options.retry_failed else "--resume-from"
        raise Problem(f"{which} goes on with records, and --fresh begins without; give one of them")
    study = with_changes(declared, options)
    asked = own_losses.names_of(options.loss or [])
    every_loss = [*shared.names_in("losses"), *study.variants, *BASELINES]
    losses = asked or list(study.losses)
    if losses == ["all"]:
        losses = every_loss
    for name in losses:
        shared.known("loss", name, every_loss)
    names = options.dataset or study.datasets
    datasets = list(dict.fromkeys(str(shared.reading(name, options)) for name in names))
    if not losses or not datasets:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    if options.figure is not None:
        shared.check_figure_path(options.figure)
        if len(datasets) > 1:
            raise Problem("--figure draws one table; give one --dataset")
    study_files.check_trunk(options, datasets)
    missing.check(datasets, options.data.resolve())
    given = frozenset(name for name in FIELDS if getattr(options, name) is not None)
    return Choice(study, list(dict.fromkeys(losses)), datasets, given)


def with_changes(study: Study, options: argparse.Namespace) -> Study:
    """The study with the values that the command line gives, which hold for every dataset."""
    from harness.schema import DIAGNOSTICS

    changes: dict[str, Any] = {
        name: getattr(options, name) for name in FIELDS if getattr(options, name) is not None
    }
    if options.diagnostics is not None:
        for name in options.diagnostics:
            shared.known("diagnostic", name, list(DIAGNOSTICS))
        changes["diagnostics"] = tuple(dict.fromkeys(options.diagnostics))
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in study.per_dataset.items()
    }
    return replace(study, **changes, per_dataset=per_dataset)


def command(
    study: str, dataset: str, losses: Sequence[str], given: Sequence[str] | None, results: Path
) -> str:
    """The command that goes on with losses of a study on a dataset; `given` as in options_given."""
    from harness.schema import BASELINES

    words = ["study", "--study", study, "--dataset", dataset]
    # every run of a loss brings the baselines that are always there, so they need no name
    if asked := [loss for loss in losses if loss not in BASELINES] or list(losses):
        words += ["--loss", *asked]
    words += [*(given or []), *shared.results_given(results)]
    return f"python -m harness {shlex.join(words)}"


def threads_given(records: Sequence[Record]) -> list[str]:
    """The option by which a loss's runs had their threads, where that is not the default."""
    threads = next((r.provenance["threads"] for r in records if "threads" in r.provenance), 1)
    return [] if threads == 1 else ["--threads", str(threads)]


def options_given(begun: Study, dataset: str) -> list[str] | None:
    """The options by which the study of a file in studies/ was begun as it is on a dataset.

    None where there is no such file any more, or it cannot be read. A pooling or precision that the
    trunk or the device asked for is chosen again, not given; so is the trunk of features.
    """
    from harness.data import named_options
    from harness.schema import Problem

    try:
        declared = study_files.declared(begun.name)
    except Problem:
        return None
    if not isinstance(declared, type(begun)):
        return None
    written = declared.for_dataset(named_options.read(dataset).name)
    names = [name for name in FIELDS if not (begun.on_features and name in ("trunk", "weights"))]
    words = []
    for name in names:
        if (value := getattr(begun, name)) != getattr(written, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if begun.diagnostics and begun.diagnostics != written.diagnostics:
        words += ["--diagnostics", *begun.diagnostics]
    return words
