"""What lies in the results folder of what a command asks for: folders, and the records in them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.names import known

if TYPE_CHECKING:
    from harness.schema import Record, Study


def places_of(options: argparse.Namespace) -> list[Path]:
    """The folders results/<study>/<dataset> that hold records and are asked for."""
    from harness import records
    from harness.schema import Problem

    found = sorted(path.parent for path in options.results.glob("*/*/study.json"))
    there = [(path.parent.name, path.name) for path in found]
    if options.study is not None:
        known("study", options.study, sorted({name for name, _ in there}) or ["(no records)"])
        found = [path for path in found if path.parent.name == options.study]
    if options.dataset is not None:
        wanted = {
            records.folder(options.results, path.parent.name, options.dataset) for path in found
        }
        kept = [path for path in found if path in wanted]
        if not kept:
            known("dataset", options.dataset, sorted({path.name for path in found}) or ["(none)"])
        found = kept
    if not found:
        raise Problem(
            f"no records in {options.results}; run `python -m harness study` first, or give "
            "another folder with --results"
        )
    return found


def loaded(
    where: Path, losses: Sequence[str] | None
) -> tuple[Study, str, dict[str, Sequence[Record]], list[str]]:
    """A study, its dataset's title, the records by loss that lie in its folder, torn lines."""
    from harness import records
    from harness.schema import Problem

    description = records.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    names = sorted(path.stem for path in where.glob("*.jsonl"))
    for name in losses or ():
        known("loss", name, names)
    if losses is not None:
        names = [name for name in names if name in losses or name == "untrained"]
    read = {name: records.read(where / f"{name}.jsonl", curves=False) for name in names}
    notes = [lines.torn for lines in read.values() if lines.torn is not None]
    lines = {name: found.records for name, found in read.items()}
    return records.study_of(description), description["title"], dict(lines), notes
