"""How many trials and repeats a results folder was begun with, where others come to be asked for.

The losses of a folder are compared by one plan. If one of them were given more trials, the others
would be unfinished and leave the table. So a plan grows only where that is asked for, or where all
losses that have records are run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from harness.records.folder import COUNTS, read_description
from harness.records.packed import record_files
from harness.schema import BASELINES, LATER, Study


def with_counts_begun(
    folder: Path, study: Study, *, given: Collection[str], losses: Collection[str]
) -> tuple[Study, tuple[str, ...]]:
    """The study by the plan of a folder that holds records of other losses than these too.

    Of COUNTS, those that are not `given` become what the folder was begun with. A line for each
    that differs: what is done, and whose records it concerns.
    """
    before = read_description(folder)
    others = {path.stem for path in record_files(folder)} - {*losses, *BASELINES}
    if before is None or not others:
        return study, ()
    begun: dict[str, Any] = {}
    lines = []
    for name in COUNTS:
        planned, asked = before["study"].get(name, LATER.get(name)), getattr(study, name)
        option = f"--{name.replace('_', '-')} {asked}"
        if not isinstance(planned, int) or planned == asked:
            continue
        if name not in given:
            begun[name] = planned
            more = f"; {option} would plan {asked} for every loss there" if asked > planned else ""
            lines.append(
                f"{folder} was begun with {name} = {planned} and goes on so, though the study has "
                f"{asked}{more}"
            )
        elif asked > planned:
            lines.append(
                f"{folder}: {name} {planned} -> {asked} for every loss there; unfinished until "
                f"they are run with {option} too: {', '.join(sorted(others))}"
            )
    return dataclasses.replace(study, **begun), tuple(lines)
