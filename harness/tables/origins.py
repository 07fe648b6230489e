"""Where records come from: commits, packages, devices, threads; and whether these are mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.schema import Record

Origins = Mapping[str, frozenset[str]]  # a name of MIXED -> its values, in words

MIXED = {  # what changes numbers or their last digits, as the warning calls it
    "commits": "commits",
    "versions": "package versions",
    "devices": "kinds of device, as far as they tell, which round otherwise",
    "threads": "numbers of threads, with which runs round otherwise",
}


def origins(records: Iterable[Record]) -> Origins:
    """Everything that these records come from."""
    # The records of a file share few provenance objects: each is put into words once.
    shared = {id(record.provenance): record.provenance for record in records}
    distinct = [provenance for provenance in shared.values() if provenance]
    return {
        "commits": frozenset(commit_of(one) for one in distinct),
        "versions": frozenset(
            ", ".join(map(" ".join, one["versions"].items())) for one in distinct
        ),
        "devices": frozenset(device_of(one) for one in distinct),
        "threads": frozenset(str(one["threads"]) for one in distinct if "threads" in one),
    }


def lines(of_rows: Iterable[Origins]) -> list[str]:
    """The caption's line on the code, and a warning for all of which there are several."""
    rows = list(of_rows)
    values = {name: sorted(set().union(*(row[name] for row in rows))) for name in MIXED}
    said = [f"Code: {', '.join(values['commits']) or 'no records'}."]
    for name, words in MIXED.items():
        if len(values[name]) > 1:
            listed = " | ".join(values[name])
            said.append(f"MIXED: these records come from {len(values[name])} {words}: {listed}.")
    return said


def commit_of(provenance: Mapping[str, Any]) -> str:
    """The commit that made a record and whether its tree was changed, or the code's content."""
    commit = str(provenance["commit"])
    short = commit if " " in commit else commit[:10]
    return f"{short}{'+changes' if provenance['dirty'] else ''}"


def device_of(provenance: Mapping[str, Any]) -> str:
    """The device that made a record, and of a processor its kind where the record holds it."""
    kind = provenance.get("processor")
    return f"{provenance['device']}" + (f" ({kind})" if kind else "")
