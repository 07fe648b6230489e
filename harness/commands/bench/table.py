"""What a user waits for at a prompt: a table from many records."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from harness.commands import options
from harness.commands.bench.orchestration import LOSS, conduct
from harness.commands.bench.timing import Comparison, Setting, alone, in_turn, seconds
from harness.records import records
from harness.schema import Record, Study
from harness.tables import table, table_text
from studies.appendix_d import STUDY as APPENDIX_D

RECORDS = 100_000
STUDY = APPENDIX_D.for_dataset("glyphs")
RUNS = STUDY.trials * STUDY.folds + STUDY.repeats * (STUDY.folds + 2)  # of a loss's one search


def measure(setting: Setting) -> list[Comparison]:
    """Seconds from record files on disk to the table's text, for the same number of records twice.

    Once as every loss that there is, its search repeated; once as many more losses, searched once.
    """
    comparisons = []
    for losses, most in ((len(options.names_in("losses")), 3.0), (-(-RECORDS // RUNS), None)):
        study, files = made_up(RECORDS, setting.folder / f"table-{losses}", losses)
        size = sum(path.stat().st_size for path in files) / 2**20
        searches = study.search_repeats
        what = f"from {RECORDS:,} records: {losses} losses, searches: {searches}; {size:.0f} MB"
        work = functools.partial(a_table, study, files)
        values = alone(functools.partial(seconds, work, setting.device), setting.rounds)
        comparisons.append(
            Comparison(name="table", what=what, unit="s", ours=tuple(values), most=most)
        )
        comparisons.append(_reading(files, setting))
    return comparisons


def _reading(files: Sequence[Path], setting: Setting) -> Comparison:
    """Seconds to read the records, against orjson and the dataclass's own constructor."""

    def fast() -> float:
        work = functools.partial(_read_fast, files)
        return seconds(work, setting.device)

    def plain() -> float:
        work = functools.partial(_read_plainly, files)
        return seconds(work, setting.device)

    ours, baseline = in_turn(fast, plain, setting.rounds)
    return Comparison(
        name="table",
        what=f"reading {RECORDS:,} records of {len(files)} losses (harness/records/fast_read.py)",
        unit="s",
        ours=tuple(ours),
        baseline=tuple(baseline),
    )


def _read_fast(files: Sequence[Path]) -> list[Record]:
    return [record for path in files for record in records.read(path, curves=False).records]


def _read_plainly(files: Sequence[Path]) -> list[Record]:
    lines = (line for path in files for line in path.read_bytes().split(b"\n")[:-1])
    return [Record(**orjson.loads(line)) for line in lines]


def made_up(count: int, folder: Path, losses: int) -> tuple[Study, list[Path]]:
    """So many records of so many losses, the search repeated as often as it takes: record files."""
    study = replace(STUDY, search_repeats=-(-count // (losses * RUNS)))
    return study, many_records(study, folder, losses, count)


def many_records(study: Study, folder: Path, losses: int, count: int) -> list[Path]:
    """Record files of so many losses that hold `count` lines together, all of the same study."""
    first = conduct(replace(study, search_repeats=1), folder / "one")
    records_of_one = [
        replace(record, key=record.key.replace("-t", f"-s{number}-t", 1), search_repeat=number)
        if number
        else record
        for number in range(study.search_repeats)
        for record in first
    ]
    lines = [json.dumps(asdict(record)) + "\n" for record in records_of_one]
    named = json.dumps({"loss": LOSS})[1:-1]
    assert all(line.count(named) == 1 for line in lines)
    files = []
    remaining = count
    for number in range(losses):
        path = folder / f"loss_{number:03}.jsonl"
        chosen = lines[: -(-remaining // (losses - number))]
        its_name = json.dumps({"loss": path.stem})[1:-1]
        path.write_text("".join(line.replace(named, its_name) for line in chosen))
        files.append(path)
        remaining -= len(chosen)
    return files


def a_table(study: Study, files: list[Path]) -> str:
    """The table of the files as markdown."""
    read: dict[str, tuple[Record, ...]] = {
        p.stem: records.read(p, curves=False).records for p in files
    }
    return table_text.markdown(table.table(study, "glyphs", read))
