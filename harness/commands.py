"""What each command does between its options and its output; cli.py holds the options."""

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
    from harness.tables import Table


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


def study(options: argparse.Namespace) -> None:
    """Search, retrain and score, then print the tables."""
    from harness.schema import Problem

    plan = _load_study(options.study)
    changes = {
        name: getattr(options, name)
        for name in ("trials", "repeats", "weights")
        if getattr(options, name) is not None
    }
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in plan.per_dataset.items()
    }
    plan = replace(plan, **changes, per_dataset=per_dataset)
    given = options.loss or list(plan.losses)
    wanted = _files("losses") if given == ["all"] else given
    wanted = [_known("loss", name, _files("losses")) for name in wanted]
    from harness.datasets import names

    datasets = options.dataset or list(plan.datasets)
    for name in datasets:
        if not name.startswith("folder:"):
            _known("dataset", name, names())
    if not wanted or not datasets:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    _conduct(options, plan, list(dict.fromkeys(wanted)), list(dict.fromkeys(datasets)))


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
        _show(options, "markdown", _assembled(options, study.name, dataset, None))
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


def _assembled(
    options: argparse.Namespace, study: str, dataset: str, losses: Sequence[str] | None
) -> Table:
    """The table of a study on a dataset from what lies in the results folder."""
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
    return tables.table(
        records.study_of(description),
        description["title"],
        {name: lines.records for name, lines in read.items()},
        notes,
    )


def _show(options: argparse.Namespace, form: str, told: Table) -> None:
    from harness import tables

    if options.json:
        print(json.dumps({"event": "table", **tables.as_data(told)}))
    else:
        sys.stdout.write(tables.FORMATS[form](told))


def losses(options: argparse.Namespace) -> None:
    """List the losses, or tell everything about one."""
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


def data(options: argparse.Namespace) -> None:
    """List, fetch, verify or cache datasets."""
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


def audit(options: argparse.Namespace) -> None:
    """Say what published claims are worth."""
    from harness import audit as auditing
    from harness import claims, conditions, evidence, findings, statements

    published = Path(__file__).resolve().parent.parent / "results" / "published"
    known = claims.read(published / "claims.csv")
    if options.claims is not None:
        known += claims.read(options.claims, known=known)
    facts = conditions.read_facts(published / "code_facts.csv")
    facts += conditions.read_unfair(published / "unfair_comparisons.csv")
    found = auditing.findings(
        known,
        statements.read(published / "statements.json"),
        evidence.read(options.results, options.study),
        options.paper,
        facts,
        conditions.read_effects(published / "known_effects.csv"),
    )
    form = {"markdown": findings.to_markdown, "csv": findings.to_csv, "json": findings.to_json}
    sys.stdout.write(form[options.format](found))


def table(options: argparse.Namespace) -> None:
    """Print (and draw) tables from records."""
    from harness import records
    from harness.schema import Problem

    places = _places(options)
    if options.figure is not None:
        if options.figure.suffix not in (".png", ".pdf", ".svg"):
            raise Problem(f"--figure {options.figure}: the name must end in .png, .pdf or .svg")
        if len(places) > 1:
            there = ", ".join(f"{path.parent.name}/{path.name}" for path in places)
            raise Problem(
                f"--figure draws one table; there are {there}: give --study and --dataset"
            )
    for where in places:
        description = records.read_description(where) or {}
        told = _assembled(options, where.parent.name, description["dataset"], options.loss)
        _show(options, options.format, told)
        if options.figure is not None:
            from harness import figure

            figure.draw(told, options.figure)


def status(options: argparse.Namespace) -> None:
    """Say how far studies are."""
    from harness.status import lines, told

    rows = [row for where in _places(options) for row in told(where, options.loss)]
    if options.json:
        print(json.dumps(rows))
    else:
        print("\n".join(lines(rows)))


def verify(options: argparse.Namespace) -> None:
    """Retrain what is behind a number; exit 1 if something comes out different."""
    from harness import verify as verifying
    from harness.engines import prepare
    from harness.execute import Places

    places = Places(
        options.results.resolve(), options.data.resolve(), _device(options.device), options.threads
    )
    prepare(places)
    different = 0
    for study, record, others in verifying.chosen(places.results, options.name):
        found = verifying.verify(study, record, others, places)
        print("\n".join(verifying.lines(found)), flush=True)
        different += found.verdict == "different"
    if different:
        sys.exit(1)
