"""What commands share: options, and names on the command line turned into things."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import CHECKOUT

if TYPE_CHECKING:
    from harness.data.named_options import Reading

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
LAST_PORT = 65535
RESULTS = Path("results")


def add_results(parser: argparse.ArgumentParser) -> None:
    """--results: the folder of the records."""
    parser.add_argument(
        "--results",
        type=folder_path,
        default=RESULTS,
        metavar="DIR",
        help="folder of the records (default: %(default)s)",
    )


def results_given(results: Path) -> list[str]:
    """The option that says where the records are, where that is not the default."""
    return [] if results == RESULTS else ["--results", str(results)]


def warn(line: str) -> None:
    """Say something on standard error, beside what is printed."""
    print(f"harness: {line}", file=sys.stderr)


def add_port(parser: argparse.ArgumentParser) -> None:
    """--port: where --watch serves its page."""
    parser.add_argument(
        "--port",
        type=port,
        default=8300,
        metavar="N",
        help="where --watch serves it, 0 for any that is free (default: %(default)s)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data: the folder of the datasets and caches."""
    parser.add_argument(
        "--data",
        type=folder_path,
        default=folder_path(os.environ.get("HARNESS_DATA", "data")),
        metavar="DIR",
        help="folder of the datasets and caches (default: $HARNESS_DATA or data)",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """--skip-bad, --shuffle-classes and the columns of hf:NAME: how a dataset is read."""
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="go on without images that cannot be decoded; names and fingerprint say so",
    )
    parser.add_argument(
        "--shuffle-classes",
        type=seed,
        metavar="SEED",
        help="put the classes of folder:PATH, table:FILE or hf:NAME in an order drawn by SEED "
        "before they are halved (default: the natural order of their names)",
    )
    for what in ("image", "label"):
        parser.add_argument(
            f"--{what}-column",
            metavar="NAME",
            help=f"the {what} column of hf:NAME, where it has several (default: the only one)",
        )


def reading(name: str, options: argparse.Namespace) -> Reading:
    """The dataset that a name means, read as the options say; Problem if there is none."""
    from harness.data import datasets, named_options

    read = named_options.read(name)
    read = replace(
        read,
        shuffle=read.shuffle if options.shuffle_classes is None else options.shuffle_classes,
        skip_bad=read.skip_bad or options.skip_bad,
        image_column=options.image_column or read.image_column,
        label_column=options.label_column or read.label_column,
    )
    if read.kind is None:
        datasets.known(read.name)
    read.check()
    place = read.place
    if place is not None and (name.startswith(f"{read.kind}:~") or read.kind == "hf"):
        return read.at(place.absolute())
    return read


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device: where runs compute."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda if there is a GPU)"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """--threads: CPU threads of each run."""
    parser.add_argument(
        "--threads",
        type=count,
        default=1,
        metavar="N",
        help="CPU threads of each run; another number rounds otherwise and so changes results: all "
        "records of a loss are made with the same (default: %(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json where --format knows json too."""
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="as --format json"
    )


def add_explain(parser: argparse.ArgumentParser) -> None:
    """--explain: the caption on a terminal too."""
    parser.add_argument(
        "--explain",
        action="store_true",
        help="on a terminal, print the caption too, which says what every number and mark is; "
        "elsewhere it is printed anyway",
    )


def add_one_study(parser: argparse.ArgumentParser, purpose: str) -> None:
    """--study where a command needs exactly one; `purpose` says what it is for."""
    parser.add_argument(
        "--study", default="appendix_d", metavar="NAME", help=f"{purpose} (default: %(default)s)"
    )


def port(text: str) -> int:
    """A port's number."""
    number = int(text)
    if not 0 <= number <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port; 0 to {LAST_PORT} are")
    return number


def count(text: str) -> int:
    """A whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count of 1 or more")
    return number


def seed(text: str) -> int:
    """A whole number of 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a seed of 0 or more")
    return number


def folder_path(text: str) -> Path:
    """A folder, where ~ is the user's own."""
    return Path(text).expanduser()


def rate(text: str) -> float:
    """A finite number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def points(text: str) -> float:
    """A difference of scores in points: above 0, at most 100."""
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a difference between 0 and 100 points")
    return number


def known(kind: str, name: str, names: Sequence[str]) -> str:
    """The name if it is one of `names`, else a Problem with the closest one and all of them."""
    from harness.schema import Problem, meant

    if name in names:
        return name
    raise Problem(f"no {kind} {name!r};{meant(name, names)} known: {', '.join(names)}")


def names_in(package: str) -> list[str]:
    """Names of the files in `losses` or `studies`: the folder is the registry.

    A link to a file that is gone is none of them.
    """
    folder = CHECKOUT / package
    names = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(
        name for name in names if not name.startswith("_") and (folder / f"{name}.py").is_file()
    )


def device_named(name: str) -> str:
    """The name of a device that torch can use, `auto` resolved; a Problem if there is none."""
    import torch

    from harness.schema import Problem

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Problem(f"no device {name!r}; known: auto, cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Problem(f"device {name!r} is not there: torch sees no GPU; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        known = ", ".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
        raise Problem(f"device {name!r} is not there; torch sees {known}")
    return name


def read_description(where: Path) -> dict[str, Any]:
    """The study.json of a results folder; a Problem if there is none."""
    from harness.records import folder
    from harness.schema import Problem

    description = folder.read_description(where)
    if description is None:
        raise Problem(
            f"{where} holds no study.json; restore it, or set its records aside: study --fresh"
        )
    return description


def check_figure_path(path: Path) -> None:
    """A Problem unless a figure can be drawn to a file of that name."""
    from harness.schema import Problem

    if path.suffix not in FIGURE_SUFFIXES:
        raise Problem(f"--figure {path}: the name must end in .png, .pdf or .svg")
