"""Records on disk: JSON lines, one per run, one writer; everything else is derived from them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.records import fast_read
from harness.schema import Problem, Record


@dataclass(frozen=True)
class Lines:
    """A record file as read: its records, and what is wrong with a torn last line, if it is."""

    records: tuple[Record, ...]
    torn: str | None


def read(path: Path, *, curves: bool = True) -> Lines:
    """Every record of a file; none where it does not exist.

    Without `curves` the learning curves are left out: they are most of a line, and no table needs
    them.
    A last line without its end is torn: it is left out and reported. Any other line that is no
    record is a Problem with its number, and so is a record of another format.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Lines((), None)
    lines = raw.split(b"\n")
    torn = None
    if lines[-1]:
        torn = f"{path}: line {len(lines)} is torn ({len(lines[-1])} bytes); its run is done again"
    with fast_read.without_garbage_collection():
        records = [_record(path, n, line, curves) for n, line in enumerate(lines[:-1], start=1)]
    return Lines(tuple(records), torn)


def _record(path: Path, number: int, line: bytes, curves: bool) -> Record:
    try:
        return fast_read.record(line, curves=curves)
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


def append(path: Path, record: Record) -> None:
    """Add one line and make it durable; a torn line before it is cut off first."""
    fields = asdict(record)
    if not record.search_repeat:
        del fields["search_repeat"]
    if record.by_class is None:
        del fields["by_class"]
    line = json.dumps(fields, allow_nan=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            kept = file.read().rfind(b"\n") + 1
        os.ftruncate(descriptor, kept)
        os.lseek(descriptor, kept, os.SEEK_SET)
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
