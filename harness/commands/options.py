"""Options that several commands share, and names on the command line turned into things."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.schema import Record, Study

ROOT = Path(__file__).resolve().parent.parent.parent  # the checkout


def add_results(parser: argparse.ArgumentParser) -> None:
    """--results: the folder of the records."""
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder of the records (default: %(default)s)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data: the folder of the datasets and caches."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("HARNESS_DATA", "data")),
        metavar="DIR",
        help="folder of the datasets and caches (default: $HARNESS_DATA or data)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device: where runs compute."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda if there)"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """--threads: CPU threads of each run."""
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="CPU threads a run (default: 1)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """--dataset, --study and --loss of the commands that read records."""
    parser.add_argument("--dataset", metavar="NAME", help="a dataset (default: every one)")
    parser.add_argument("--study", metavar="NAME", help="a study (default: every one)")
    parser.add_argument("--loss", nargs="+", metavar="NAME", help="losses (default: all there)")


def add_one_study(parser: argparse.ArgumentParser, purpose: str) -> None:
    """--study of the commands that need exactly one study."""
    parser.add_argument(
        "--study", default="appendix_d", metavar="NAME", help=f"{purpose} (default: %(default)s)"
    )


def count(text: str) -> int:
    """A whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count of 1 or more")
    return number


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
    """The name, or a Problem that says which names there are and which one is close."""
    from harness.schema import Problem

    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    raise Problem(f"no {kind} {name!r}{meant} known: {', '.join(names)}")


def names_in(package: str) -> list[str]:
    """Names of the files in `losses` or `studies`: the folder is the registry."""
    names = (module.name for module in pkgutil.iter_modules([str(ROOT / package)]))
    return sorted(name for name in names if not name.startswith("_"))


def load_study(name: str) -> Study:
    """The study of a file in studies/; a Problem says what is wrong with the file."""
    from harness.schema import Problem, Study

    known("study", name, names_in("studies"))
    try:
        study = importlib.import_module(f"studies.{name}").STUDY
    except Problem:
        raise
    except Exception as error:
        raise Problem(
            f"studies/{name}.py cannot be read: {type(error).__name__}: {error}; it must define "
            "STUDY = Study(...) with fields of harness/schema.py"
        ) from None
    if not isinstance(study, Study) or study.name != name:
        raise Problem(f"studies/{name}.py: STUDY must be a Study(name={name!r}, ...)")
    return study


def device_named(name: str) -> str:
    """The device of that name, `auto` resolved; a Problem if it is not there."""
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
    return name


def selected_folders(options: argparse.Namespace) -> list[Path]:
    """The folders results/<study>/<dataset> that hold records and match --study and --dataset."""
    from harness.records import folder
    from harness.schema import Problem

    folders = sorted(path.parent for path in options.results.glob("*/*/study.json"))
    if options.study is not None:
        studies = sorted({path.parent.name for path in folders})
        known("study", options.study, studies or ["(no records)"])
        folders = [path for path in folders if path.parent.name == options.study]
    if options.dataset is not None:
        matching = [
            path
            for path in folders
            if path == folder.folder_of(options.results, path.parent.name, options.dataset)
        ]
        if not matching:
            datasets = sorted({path.name for path in folders})
            known("dataset", options.dataset, datasets or ["(none)"])
        folders = matching
    if not folders:
        raise Problem(
            f"no records in {options.results}; run `python -m harness study` first, or give "
            "another folder with --results"
        )
    return folders


def read_selected(
    where: Path, losses: Sequence[str] | None
) -> tuple[Study, str, dict[str, Sequence[Record]], list[str]]:
    """The study of a results folder, its dataset's title, its records by loss, its torn lines."""
    from harness.records import folder, records
    from harness.schema import Problem

    description = folder.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    names = sorted(path.stem for path in where.glob("*.jsonl"))
    for name in losses or ():
        known("loss", name, names)
    if losses is not None:
        names = [name for name in names if name in losses or name == "untrained"]
    lines = {name: records.read(where / f"{name}.jsonl", curves=False) for name in names}
    torn = [read.torn for read in lines.values() if read.torn is not None]
    by_loss: dict[str, Sequence[Record]] = {name: read.records for name, read in lines.items()}
    return folder.study_of(description), description["title"], by_loss, torn
