"""`studies`: the studies that have files here, one with all it fixes, and a file for one's own."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.commands import listing, new_files, study_files, unused
from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.schema import Demonstration, Study

HELP = "list the studies, or print what one fixes; write a file for your own"
TEXT = '''"""{title}: the question that it answers, in one line.

python -m harness study --study {name}

Cost: about that of {like}, which it starts from.
Expected: what you think will come out, before it has.
"""

from dataclasses import replace

from studies.{like} import STUDY as LIKE

STUDY = replace(
    LIKE,
    name="{name}",
    # names of files in losses/
    losses={losses},
    # also "folder:PATH", "table:FILE", "hf:NAME", "features:FILE"
    datasets={datasets},
    # of the search for each loss, and of the best trial with other seeds
    trials={trials},
    repeats={repeats},
    # Every other field, with its value where none is given: harness/schema/study.py
)
'''


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a study (default: list them all); or new, and the NAME of your own",
    )
    parser.add_argument("own", nargs="?", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument(
        "--like",
        default="demo",
        metavar="STUDY",
        help="new: the study that yours starts from (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="a JSON list of objects")


def run(options: argparse.Namespace) -> None:
    """List the studies, print one, or write a file for a new one."""
    from harness.schema import Problem

    if options.name == "new":
        unused.refuse(options, add_options, {"--json": "lists studies, and `new` writes one"})
        new(new_files.needed("studies new", options.own), options.like)
        return
    unused.refuse(options, add_options, {"--like": "goes with `studies new`"})
    if options.own is not None:
        raise Problem(f"two names, {options.name} and {options.own}: `studies NAME` takes one")
    names = [options.name] if options.name else shared.names_in("studies")
    rows, faults = [], []
    for name in names:
        try:
            rows.append(row(name))
        except Problem as problem:
            if options.name:
                raise
            faults.append(str(problem))
    if options.json:
        print(json.dumps(rows))
    elif options.name is not None:
        print("\n".join(page(options.name)))
    else:
        _list(rows)
    if faults:
        print(f"harness: {'; '.join(faults)}", file=sys.stderr)


def new(name: str, like: str) -> None:
    """Write studies/NAME.py, which runs; Problem if the name is taken or is none."""
    from harness.schema import Problem

    new_files.check_name("study", name, ("new",))
    study = study_files.load_study(like)
    if study.test_scored:
        raise Problem(f"--like {like}: no other study may score on test classes; take demo")
    new_files.write("study", name, "studies", text_of(name, study), [f"study --study {name}"])


def text_of(name: str, like: Study) -> str:
    """The file that a study of one's own starts as."""
    return TEXT.format(
        name=name,
        title=name.replace("_", " ").capitalize(),
        like=like.name,
        losses=_tuple(like.losses) if len(like.losses) < 4 else "LIKE.losses",
        datasets=_tuple(like.datasets),
        trials=like.trials,
        repeats=like.repeats,
    )


def _tuple(names: Sequence[str]) -> str:
    """Names as a tuple in a Python file."""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"({listed}{',' * (len(names) == 1)})"


def row(name: str) -> dict[str, Any]:
    """What a study is, under the keys of --json."""
    from harness.schema import Study

    study = study_files.declared(name)
    row: dict[str, Any] = {
        "name": name,
        "about": listing.about(_docstring(name)),
        "losses": [],
        "datasets": [],
    }
    if isinstance(study, Study):
        row |= {"losses": list(study.losses), "datasets": list(study.datasets)}
        row |= {"trainings_per_loss": _trainings(study)}
    return row


def _trainings(study: Study) -> int:
    """How many networks a loss's study trains."""
    counts = {
        "search": study.trials * study.folds,
        "repeat": study.repeats * study.folds,
        "complete": study.repeats,
    }
    if study.test_scored:
        return counts["search"]
    return study.search_repeats * sum(counts[s] for s in counts if s in study.stages)


def _list(rows: Sequence[dict[str, Any]]) -> None:
    """Print a row for each study."""
    body = [
        [
            one["name"],
            one["about"],
            len(one["losses"]) or "-",
            one.get("trainings_per_loss", "-"),
            ", ".join(one["datasets"]) or "-",
        ]
        for one in rows
    ]
    head = ["study", "what it is", "losses", "trainings of a loss", "datasets"]
    listing.show(head, body, "`python -m harness studies NAME` prints what one fixes.")


def page(name: str) -> list[str]:
    """Lines of text: what the study's file says, and the fields that it does not leave alone."""
    study = study_files.declared(name)
    return [name, "", inspect.cleandoc(_docstring(name)), "", "It fixes:", *_fields(study)]


def _fields(study: Study | Demonstration) -> list[str]:
    return [
        f"  {item.name} = {value!r}"
        for item in dataclasses.fields(study)
        if item.name != "name"
        and (value := getattr(study, item.name)) != item.default
        and (value or item.default_factory is dataclasses.MISSING)
    ]


def _docstring(name: str) -> str:
    return importlib.import_module(f"studies.{name}").__doc__ or ""
