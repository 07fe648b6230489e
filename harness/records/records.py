"""Records on disk: JSON lines, one per run, one writer; everything else is derived from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.records import content, fast_read, packed
from harness.records.mistyped import mistyped
from harness.schema import Problem, Record

ALTERED = "it was changed after it was written: its digest is of another content"


@dataclass(frozen=True)
class Lines:
    """What a record file holds: its records, and a message if its last line is torn.

    `altered` are the positions of records that are no longer what their digest was made of.
    """

    records: tuple[Record, ...]
    torn: str | None
    altered: frozenset[int] = frozenset()


def read(path: Path, *, curves: bool = True) -> Lines:
    """Every record of a file, packed or not; none where it does not exist.

    Without `curves` the learning curves are left out: they are most of a line, and no table needs
    them. A last line without a line break is torn: it is left out and reported. Any other line that
    is no record is a Problem that gives its number, and so is a record of another format or with
    scores that no run can have.
    """
    lines = packed.content_of(path).split(b"\n")
    torn = None
    if lines[-1]:
        torn = f"{path}: line {len(lines)} is torn ({len(lines[-1])} bytes); its run is done again"
    with fast_read.without_garbage_collection():
        records = [
            _record(path, number, line, curves=curves)
            for number, line in enumerate(lines[:-1], start=1)
        ]
    altered = {
        place
        for place, (record, line) in enumerate(zip(records, lines, strict=False))
        if record.digest is not None and content.is_altered(line, record.digest)
    }
    return Lines(tuple(records), torn, frozenset(altered | _unsealed(records)))


def _unsealed(records: Sequence[Record]) -> set[int]:
    """Positions of records that lost their digest: others of their commit have one."""
    without = [place for place, record in enumerate(records) if record.digest is None]
    if not without:
        return set()
    sealing = {_clean_commit(record) for record in records if record.digest is not None} - {None}
    return {place for place in without if _clean_commit(records[place]) in sealing}


def _clean_commit(record: Record) -> str | None:
    """The commit that made a record, where its files were as committed."""
    made_by = record.provenance or {}
    return made_by.get("commit") if made_by.get("dirty") is False else None


def _record(path: Path, number: int, line: bytes, *, curves: bool) -> Record:
    """The record of a line; Problem with the line's number if it is none."""
    try:
        record = fast_read.record(line, curves=curves)
        wrong = mistyped(record) or content.impossible(record)
    except fast_read.OtherFormat as error:
        raise Problem(
            f"{path}: line {number} is of {error}; use the version that wrote it, or "
            "--results with a new folder"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            f"{path}: line {number} is not a record ({type(error).__name__}: {error}); take "
            "the line out, its run is then done again"
        ) from None
    if wrong is not None:
        raise Problem(
            f"{path}: line {number}, {record.key}: {wrong}; take the line out, its run is then "
            "done again"
        )
    return record


def append(path: Path, record: Record) -> None:
    """Add one line and wait until it is on the disk; a torn last line is cut off first."""
    fields = asdict(record)
    if not record.search_repeat:
        del fields["search_repeat"]
    for name in ("by_class", "epochs_run", "capped", "test_queries", "diagnostics"):
        if fields[name] is None:
            del fields[name]
    line = content.sealed_line(fields)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            end = file.read().rfind(b"\n") + 1  # of the last line that is not torn
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
