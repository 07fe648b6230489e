"""What commands do between options and output; study, table and compare have their own files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from harness.found import places_of
from harness.names import device_of, files, known


def losses(options: argparse.Namespace) -> None:
    """List the losses, or tell everything about one."""
    from harness import catalogue

    names = files("losses")
    if options.name is not None:
        known("loss", options.name, names)
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
        known("dataset", name, datasets.names())
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
    read = claims.read(published / "claims.csv")
    if options.claims is not None:
        read += claims.read(options.claims, known=read)
    facts = conditions.read_facts(published / "code_facts.csv")
    facts += conditions.read_unfair(published / "unfair_comparisons.csv")
    found = auditing.findings(
        read,
        statements.read(published / "statements.json"),
        evidence.read(options.results, options.study),
        options.paper,
        facts,
        conditions.read_effects(published / "known_effects.csv"),
    )
    form = {"markdown": findings.to_markdown, "csv": findings.to_csv, "json": findings.to_json}
    sys.stdout.write(form[options.format](found))


def status(options: argparse.Namespace) -> None:
    """Say how far studies are."""
    from harness.status import lines, told

    rows = [row for where in places_of(options) for row in told(where, options.loss)]
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
        options.results.resolve(),
        options.data.resolve(),
        device_of(options.device),
        options.threads,
    )
    prepare(places)
    different = 0
    for study, record, others in verifying.chosen(places.results, options.name):
        found = verifying.verify(study, record, others, places)
        print("\n".join(verifying.lines(found)), flush=True)
        different += found.verdict == "different"
    if different:
        sys.exit(1)


def export(options: argparse.Namespace) -> None:
    """Write search records as Optuna studies into a database."""
    from harness import export as exporting

    for where in places_of(options):
        for done in exporting.export(where, options.loss, options.optuna):
            how = "written anew" if done.anew else f"{done.trials - done.before} new"
            print(f"{done.name}: {done.trials} trials ({how})")


def bench(options: argparse.Namespace) -> None:
    """Measure this harness and its hand-written alternative in turn, or the engines."""
    import harness.bench as benching
    from harness.bench import compare

    if options.engines:
        _bench_engines(options)
        return
    report = benching.run(
        options.only,
        rounds=options.rounds,
        device=device_of(options.device),
        tell=_tell_bench,
    )
    sys.stdout.write(
        json.dumps(compare.as_data(report)) + "\n" if options.json else compare.text(report)
    )


def _bench_engines(options: argparse.Namespace) -> None:
    from harness.bench import engines, schedule
    from harness.launch import load_study

    study = load_study(options.study)
    throughputs = engines.report(
        runs=options.runs,
        ray_address=options.ray_address,
        slurm=options.slurm,
        folder=options.results,
        tell=_tell_bench,
    )
    schedules = schedule.report(study, options.images_per_second)
    if options.json:
        found = {
            "engines": [dataclasses.asdict(one) for one in throughputs],
            "schedules": [dataclasses.asdict(one) for one in schedules],
        }
        print(json.dumps(found))
        return
    print("\n".join(engines.lines(throughputs)))
    assumed = schedule.assumed(study, options.images_per_second)
    print("\n".join(["", assumed, "", *schedule.lines(schedules)]))


def _tell_bench(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
