"""What a user waits for at a prompt: a table from many records, and --help."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from harness import records, tables, tables_text
from harness.bench.compare import Comparison, Setting, alone, seconds
from harness.bench.conducting import conduct
from harness.bench.scores import ROOT
from harness.schema import Problem, Record, Study
from studies.appendix_d import STUDY as APPENDIX_D

RECORDS = 100_000


def measure_table(setting: Setting) -> list[Comparison]:
    """Seconds from record files on disk to the table's text."""
    study = APPENDIX_D.for_dataset("glyphs")
    files = many_records(study, setting.folder / "table")
    size = sum(path.stat().st_size for path in files) / 2**20
    took = alone(lambda: seconds(lambda: a_table(study, files), setting.device), setting.rounds)
    return [
        Comparison(
            name="table", what=f"from {RECORDS:,} records of {len(files)} losses, {size:.0f} MB",
            unit="s", ours=tuple(took), most=3.0,
        )
    ]  # fmt: skip


def many_records(study: Study, folder: Path) -> list[Path]:
    """Record files that hold RECORDS lines together: the same whole study under many names."""
    one = conduct(study, folder / "one")
    files = []
    left = RECORDS
    for number in range(-(-RECORDS // len(one))):
        path = folder / f"loss_{number:03}.jsonl"
        lines = (json.dumps(asdict(replace(record, loss=path.stem))) for record in one[:left])
        path.write_text("".join(line + "\n" for line in lines))
        files.append(path)
        left -= len(one)
    return files


def a_table(study: Study, files: list[Path]) -> str:
    """The table of the files as markdown."""
    read: dict[str, tuple[Record, ...]] = {
        p.stem: records.read(p, curves=False).records for p in files
    }
    return tables_text.markdown(tables.table(study, "glyphs", read))


def measure_help(setting: Setting) -> list[Comparison]:
    """Seconds of `python -m harness --help`, the interpreter's start included."""
    command = [sys.executable, "-m", "harness", "--help"]

    def work() -> None:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode or "usage" not in ended.stdout.lower():
            raise Problem(f"bench: --help failed: {ended.stderr.strip()[-200:]}")

    took = alone(lambda: seconds(work, setting.device), setting.rounds)
    return [Comparison(name="help", what="--help", unit="s", ours=tuple(took), most=0.5)]
