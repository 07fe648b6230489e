"""Names in, one call out: the only place that prints a result or exits."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from harness.schema import Study

STUDY_EPILOGUE = """\
Stop it at any time: the same command carries on where it was. Records lie in
RESULTS/STUDY/DATASET/LOSS.jsonl, one line per run."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exit 0, 2 for a user's mistake, 130 or 143 when stopped."""
    options = _parser().parse_args(argv)
    from harness.schema import Problem

    try:
        options.command(options)
    except Problem as problem:
        print(f"harness: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description="Trained fairly, is this deep-metric-learning loss better than that one?",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="search, retrain and score losses on a dataset, to the table",
        description="Search, retrain and score losses on a dataset, to the table.",
        epilog=STUDY_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.set_defaults(command=_study)
    study.add_argument(
        "--loss", nargs="+", metavar="NAME", help="losses, or all (default: the study's own)"
    )
    study.add_argument("--dataset", nargs="+", metavar="NAME", help="datasets, or folder:PATH")
    study.add_argument(
        "--study",
        default="appendix_d",
        metavar="NAME",
        help="a file in studies/ (default: %(default)s)",
    )
    study.add_argument("--trials", type=_count, metavar="N", help="trials of the search")
    study.add_argument("--repeats", type=_count, metavar="N", help="runs of the best configuration")
    study.add_argument("--weights", metavar="FILE", help="imagenet, none, or a state_dict file")
    study.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda if there)"
    )
    study.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="runs side by side (default: a core each; 1 on a GPU)",
    )
    study.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="CPU threads a run (default: 1)"
    )
    study.add_argument("--quiet", action="store_true", help="no progress, only the table")
    study.add_argument("--json", action="store_true", help="one JSON object a line, the table last")
    table = commands.add_parser("table", help="compare losses on a dataset from their records")
    table.set_defaults(command=_table)
    table.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown")
    table.add_argument("--json", action="store_true", help="the table as one JSON object")
    status = commands.add_parser("status", help="how far studies are, from any terminal")
    status.set_defaults(command=_status)
    status.add_argument("--json", action="store_true", help="one JSON object")
    for reader in (table, status):
        reader.add_argument("--dataset", metavar="NAME", help="a dataset (default: every one)")
        reader.add_argument("--study", metavar="NAME", help="a study (default: every one)")
        reader.add_argument("--loss", nargs="+", metavar="NAME", help="losses (default: all there)")
    losses = commands.add_parser("losses", help="the losses there are, or everything about one")
    losses.set_defaults(command=_losses)
    losses.add_argument("name", nargs="?", metavar="NAME", help="a loss (default: list them all)")
    losses.add_argument("--json", action="store_true", help="a JSON list")
    data = commands.add_parser("data", help="list, fetch, verify or cache datasets")
    data.set_defaults(command=_data)
    data.add_argument("action", choices=("list", "fetch", "verify", "cache"))
    data.add_argument("name", nargs="?", metavar="NAME", help="a dataset, or folder:PATH")
    data.add_argument(
        "--resize", type=_count, default=256, metavar="PX", help="shorter side in the cache"
    )
    audit = commands.add_parser("audit", help="what published claims are worth")
    audit.set_defaults(command=_audit)
    audit.add_argument("--paper", metavar="WHICH", help="an arXiv number or words of the title")
    audit.add_argument("--claims", type=Path, metavar="FILE", help="your own claims, CSV or BibTeX")
    audit.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    audit.add_argument(
        "--study", default="appendix_d", metavar="NAME",
        help="whose records are the evidence (default: %(default)s)",
    )  # fmt: skip
    for any_of_them in (study, table, status, audit):
        any_of_them.add_argument(
            "--results", type=Path, default=Path("results"), metavar="DIR",
            help="folder of the records (default: %(default)s)",
        )  # fmt: skip
    for any_of_them in (study, data):
        any_of_them.add_argument(
        "--data", type=Path, default=Path(os.environ.get("HARNESS_DATA", "data")), metavar="DIR",
        help="folder of the datasets and caches (default: $HARNESS_DATA or data)",
    )  # fmt: skip
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count of 1 or more")
    return number


def _known(kind: str, given: str, known: Sequence[str]) -> str:
    """The name, or a Problem with what was perhaps meant and what there is."""
    from harness.schema import Problem

    if given in known:
        return given
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    raise Problem(f"no {kind} {given!r}{meant} known: {', '.join(known)}")


def _files(package: str) -> list[str]:
    """Names of the files of a folder that is a registry."""
    path = Path(__file__).resolve().parent.parent / package
    names = (item.name for item in pkgutil.iter_modules([str(path)]))
    return sorted(name for name in names if not name.startswith("_"))


def _load_study(name: str) -> Study:
    import importlib

    from harness.schema import Problem, Study

    _known("study", name, _files("studies"))
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


def _study(options: argparse.Namespace) -> None:
    from harness.schema import Problem

    study = _load_study(options.study)
    changes = {
        name: getattr(options, name)
        for name in ("trials", "repeats", "weights")
        if getattr(options, name) is not None
    }
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in study.per_dataset.items()
    }
    study = replace(study, **changes, per_dataset=per_dataset)
    given = options.loss or list(study.losses)
    losses = _files("losses") if given == ["all"] else given
    losses = [_known("loss", name, _files("losses")) for name in losses]
    from harness.datasets import names

    datasets = options.dataset or list(study.datasets)
    for name in datasets:
        if not name.startswith("folder:"):
            _known("dataset", name, names())
    if not losses or not datasets:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    _conduct(options, study, list(dict.fromkeys(losses)), list(dict.fromkeys(datasets)))


def _conduct(
    options: argparse.Namespace, study: Study, losses: list[str], datasets: list[str]
) -> None:
    from rich.console import Console

    from harness import records
    from harness import study as conductor
    from harness.engines import Inline, Local
    from harness.execute import Places
    from harness.watch import Watch

    device = _device(options.device)
    console = Console(stderr=not options.json)
    records.create(options.results)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    workers = options.workers or (1 if device != "cpu" else os.cpu_count() or 1)
    signal.signal(signal.SIGTERM, _terminated)
    engine: Inline | Local | None = None
    try:
        with Watch(console, places.results, quiet=options.quiet, as_json=options.json) as watch:
            jobs = conductor.prepare(study, datasets, losses, places.results, places.data, watch)
            engine = Local(places, workers)
            conductor.conduct(jobs, engine, watch)
    except KeyboardInterrupt as stop:
        code = stop.args[0] if stop.args else 130
        print("harness: stopped; the same command carries on where it was", file=sys.stderr)
        sys.exit(code)
    finally:
        if engine is not None:
            engine.close()
    for dataset in datasets:
        _show(options, "markdown", study.name, dataset, None)
    _complain(jobs)


def _terminated(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(143)


def _complain(jobs: Sequence[Any]) -> None:
    """A Problem if some loss has no result at all, with the first reason."""
    from harness.schema import Problem

    for job in jobs:
        failed = [record for record in job.records if record.failure is not None]
        searched = [record for record in job.records if record.stage == "search"]
        if failed and job.progress().best_trial is None and searched:
            raise Problem(
                f"{job.loss} on {job.dataset}: every trial failed; the first one: "
                f"{failed[0].failure} (params {json.dumps(dict(failed[0].params))}); widen or "
                f"mend its search space, then remove {job.path} and start again"
            )


def _device(asked: str) -> str:
    import torch

    from harness.schema import Problem

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise Problem(f"no device {asked!r}; known: auto, cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Problem(f"device {asked!r} is not there: torch sees no GPU; use --device cpu")
    return asked


def _places(options: argparse.Namespace) -> list[Path]:
    """The folders results/<study>/<dataset> that hold records and are asked for."""
    from harness import records
    from harness.schema import Problem

    found = sorted(path.parent for path in options.results.glob("*/*/study.json"))
    there = [(path.parent.name, path.name) for path in found]
    if options.study is not None:
        _known("study", options.study, sorted({name for name, _ in there}) or ["(no records)"])
        found = [path for path in found if path.parent.name == options.study]
    if options.dataset is not None:
        wanted = {
            records.folder(options.results, path.parent.name, options.dataset) for path in found
        }
        kept = [path for path in found if path in wanted]
        if not kept:
            _known("dataset", options.dataset, sorted({path.name for path in found}) or ["(none)"])
        found = kept
    if not found:
        raise Problem(
            f"no records in {options.results}; run `python -m harness study` first, or give "
            "another folder with --results"
        )
    return found


def _show(
    options: argparse.Namespace,
    form: str,
    study: str,
    dataset: str,
    losses: Sequence[str] | None,
) -> None:
    from harness import records, tables
    from harness.schema import Problem

    where = records.folder(options.results, study, dataset)
    description = records.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    names = sorted(path.stem for path in where.glob("*.jsonl"))
    for name in losses or ():
        _known("loss", name, names)
    if losses is not None:
        names = [name for name in names if name in losses or name == "untrained"]
    read = {name: records.read(where / f"{name}.jsonl") for name in names}
    notes = [lines.torn for lines in read.values() if lines.torn is not None]
    told = tables.table(
        records.study_of(description),
        description["dataset"],
        {name: lines.records for name, lines in read.items()},
        notes,
    )
    if options.json:
        print(json.dumps({"event": "table", **tables.as_data(told)}))
    else:
        sys.stdout.write(tables.FORMATS[form](told))


def _losses(options: argparse.Namespace) -> None:
    from harness import catalogue

    names = _files("losses")
    if options.name is not None:
        _known("loss", options.name, names)
        names = [options.name]
    if options.json:
        print(json.dumps([catalogue.row(name) for name in names]))
    elif options.name is not None:
        print("\n".join(catalogue.page(options.name)))
    else:
        print("\n".join(catalogue.table(names)))


def _data(options: argparse.Namespace) -> None:
    from harness import datasets
    from harness.data import fetch, verify
    from harness.schema import Problem

    root = options.data.resolve()
    if options.action == "list":
        for row in verify.describe(root):
            size = f"{row.images:,} images, {row.classes:,} classes; " if row.images else ""
            print(f"{row.name}: {size}{row.where}" + (f"; here: {row.here}" if row.here else ""))
        return
    if options.name is None:
        raise Problem(f"data {options.action} needs the NAME of a dataset; `data list` lists them")
    name, own = options.name, options.name.startswith("folder:")
    if not own:
        _known("dataset", name, datasets.names())
    path = Path(name.removeprefix("folder:")).resolve() if own else root / name
    if options.action == "cache":
        found = datasets.load(name, root, 32 if name == "glyphs" else options.resize, print)
        print(f"{found.name}: {len(found.images):,} images cached, fingerprint {found.fingerprint}")
    elif name == "glyphs":
        found = datasets.load(name, root, 32, print)
        print(f"glyphs: {len(found.images):,} images, fingerprint {found.fingerprint}: whole")
    elif options.action == "verify":
        print("\n".join(verify.verify("folder" if own else name, path, print)))
    elif own:
        raise Problem("folder:PATH is your own: there is nothing to fetch")
    elif not fetch.fetch(name, path, print):
        sys.exit(1)


def _audit(options: argparse.Namespace) -> None:
    from harness import audit, claims, conditions, evidence, findings, statements

    published = Path(__file__).resolve().parent.parent / "results" / "published"
    known = claims.read(published / "claims.csv")
    if options.claims is not None:
        known += claims.read(options.claims, known=known)
    facts = conditions.read_facts(published / "code_facts.csv")
    facts += conditions.read_unfair(published / "unfair_comparisons.csv")
    found = audit.findings(
        known,
        statements.read(published / "statements.json"),
        evidence.read(options.results, options.study),
        options.paper,
        facts,
        conditions.read_effects(published / "known_effects.csv"),
    )
    form = {"markdown": findings.to_markdown, "csv": findings.to_csv, "json": findings.to_json}
    sys.stdout.write(form[options.format](found))


def _table(options: argparse.Namespace) -> None:
    from harness import records

    for where in _places(options):
        description = records.read_description(where) or {}
        _show(options, options.format, where.parent.name, description["dataset"], options.loss)


def _status(options: argparse.Namespace) -> None:
    from harness.status import lines, told

    rows = [row for where in _places(options) for row in told(where, options.loss)]
    if options.json:
        print(json.dumps(rows))
    else:
        print("\n".join(lines(rows)))
