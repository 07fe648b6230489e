"""`export`: searches as Optuna studies in a database, or records packed to be committed."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.commands import options as shared
from harness.commands import selection

HELP = "write searches as Optuna studies into a database, or records as packed files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--optuna", metavar="URL", help="sqlite:///study.db, postgresql://...")
    target.add_argument(
        "--packed",
        type=shared.folder_path,
        metavar="FOLDER",
        help="compressed records, which every command reads (--results FOLDER) and `study "
        "--resume-from FOLDER` goes on with",
    )
    selection.add(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Bring the database or the packed files up to date; print a line for each study or loss."""
    if options.packed is not None:
        _pack(options)
        return
    from harness.commands import optuna_studies  # loads Optuna, SQLAlchemy and torch

    for where, losses in selection.selected(options):
        for exported in optuna_studies.export(where, losses, options.optuna):
            new = exported.trials - exported.trials_before
            change = "all rewritten" if exported.rewritten else f"{new} new"
            print(f"{exported.name}: {exported.trials} trials ({change})")


def _pack(options: argparse.Namespace) -> None:
    """Write the selected records packed, as STUDY/DATASET/LOSS.jsonl.xz with their study.json."""
    from harness.files import write_text
    from harness.records import folder, packed
    from harness.schema import BASELINES, Problem

    chosen = []
    for where, losses in selection.selected(options):
        paths = [
            path
            for path in packed.record_files(where)
            if losses is None or path.stem in (*losses, *BASELINES)
        ]
        chosen.append((where, options.packed / where.parent.name / where.name, paths))
    for where, into, paths in chosen:  # before anything is written
        if into.resolve() == where.resolve():
            raise Problem(f"--packed {options.packed} is RESULTS itself; give another folder")
        if (there := folder.read_description(into)) is not None:
            way_out = "give another folder, nothing was written"
            now = shared.read_description(where)
            folder.check_admissible(into, there, now, way_out)
        for path in paths:
            _check_whole(path, into)
    for where, into, paths in chosen:
        for path in paths:
            target = packed.pack(path, into)
            print(f"{target}: {target.stat().st_size / 1e3:,.0f} kB")
        write_text(into / "study.json", (where / "study.json").read_text(encoding="utf-8"))


def _check_whole(path: Path, into: Path) -> None:
    """Problem where a record file cannot be read, or lacks records that its package there has."""
    from harness.records import records
    from harness.schema import Problem

    now, before = (records.read(one, curves=False) for one in (path, into / path.name))
    if now.torn is not None:
        shared.warn(now.torn)
    have = {(record.key, record.digest) for record in now.records}
    lost = [record.key for record in before.records if (record.key, record.digest) not in have]
    if lost:
        raise Problem(
            f"{into / path.name}.xz holds {len(lost)} records that {path} lacks, the first is "
            f"{lost[0]}; nothing was written: give --packed another folder, or remove that file"
        )
