"""What a user waits for at a prompt: a table from many records, and --help."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from harness.commands import options
from harness.commands.bench.metrics import ROOT
from harness.commands.bench.orchestration import conduct
from harness.commands.bench.timing import Comparison, Setting, alone, seconds
from harness.records import records
from harness.schema import Problem, Record, Study
from harness.tables import table, table_text
from studies.appendix_d import STUDY as APPENDIX_D

RECORDS = 100_000


def measure_table(setting: Setting) -> list[Comparison]:
    """Seconds from record files on disk to the table's text, in two shapes.

    Every loss that there is, its search repeated; and more losses than there are, searched once.
    """
    study = APPENDIX_D.for_dataset("glyphs")
    runs = study.trials * study.folds + study.repeats * (study.folds + 2)
    told = []
    for losses, most in ((len(options.names_in("losses")), 3.0), (-(-RECORDS // runs), None)):
        searches = -(-RECORDS // (losses * runs))
        own = replace(study, search_repeats=searches)
        files = many_records(own, setting.folder / f"table-{losses}", losses)
        size = sum(path.stat().st_size for path in files) / 2**20
        what = f"from {RECORDS:,} records: {losses} losses, searches: {searches}; {size:.0f} MB"
        work = functools.partial(a_table, own, files)
        took = alone(functools.partial(seconds, work, setting.device), setting.rounds)
        told.append(Comparison(name="table", what=what, unit="s", ours=tuple(took), most=most))
    return told


def many_records(study: Study, folder: Path, losses: int) -> list[Path]:
    """Record files of so many losses that hold RECORDS lines together, all of the same study."""
    first = conduct(replace(study, search_repeats=1), folder / "one")
    one = [
        replace(record, key=record.key.replace("-t", f"-s{number}-t", 1), search_repeat=number)
        if number
        else record
        for number in range(study.search_repeats)
        for record in first
    ]
    files = []
    left = RECORDS
    for number in range(losses):
        path = folder / f"loss_{number:03}.jsonl"
        here = one[: -(-left // (losses - number))]
        lines = (json.dumps(asdict(replace(record, loss=path.stem))) for record in here)
        path.write_text("".join(line + "\n" for line in lines))
        files.append(path)
        left -= len(here)
    return files


def a_table(study: Study, files: list[Path]) -> str:
    """The table of the files as markdown."""
    read: dict[str, tuple[Record, ...]] = {
        p.stem: records.read(p, curves=False).records for p in files
    }
    return table_text.markdown(table.table(study, "glyphs", read))


def measure_help(setting: Setting) -> list[Comparison]:
    """Seconds of `python -m harness --help`, the interpreter's start included."""
    command = [sys.executable, "-m", "harness", "--help"]

    def work() -> None:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode or "usage" not in ended.stdout.lower():
            raise Problem(f"bench: --help failed: {ended.stderr.strip()[-200:]}")

    took = alone(lambda: seconds(work, setting.device), setting.rounds)
    return [Comparison(name="help", what="--help", unit="s", ours=tuple(took), most=0.5)]
