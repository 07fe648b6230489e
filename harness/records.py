"""Records on disk: JSON lines, one per run, one writer; everything else is derived from them.

results/<study>/<dataset>/study.json      the study and the dataset's fingerprint, once
results/<study>/<dataset>/<loss>.jsonl    one line per run
results/<study>/<dataset>/<loss>.lock     who writes it (harness.locks)
results/<study>/<dataset>/work/<loss>/    what runs keep while they or their ensemble need it
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from harness import locks
from harness.schema import LATER, RECORD_FORMAT, Problem, Record, Run, Study

# What parts of a line stand between. None can be part of a text: its quotes would be escaped.
CURVE = (b'"curve": [', b'], "epochs": ')
PROVENANCE = (b'"provenance": ', b', "format": ')
COUNTS = ("trials", "repeats", "search_repeats")
FIELDS = {field.name: field.default for field in dataclasses.fields(Record)}
DEFAULTS = {n: default for n, default in FIELDS.items() if default is not dataclasses.MISSING}
REQUIRED = FIELDS.keys() - DEFAULTS


@dataclass(frozen=True)
class Lines:
    """A record file as read: its records, and what is wrong with a torn last line, if it is."""

    records: tuple[Record, ...]
    torn: str | None


def folder(results: Path, study: str, dataset: str) -> Path:
    """Where the records of a study on a dataset lie; folder:PATH becomes a name with a hash."""
    if dataset.startswith("folder:"):
        path = Path(dataset.removeprefix("folder:")).resolve()
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        dataset = f"folder-{re.sub(r'[^A-Za-z0-9_.-]', '_', path.name)}-{digest}"
    return results / study / dataset


def read(path: Path, *, curves: bool = True) -> Lines:
    """Every record of a file; none where it does not exist.

    Without `curves` they are cut out unread: most of a line, of which no table needs anything. What
    made the records is then read once where it is the same, and shared.
    A last line without its end is torn: it is left out and told of. Any other line that is no
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
    with _without_collection():
        records = [_record(path, n, line, curves) for n, line in enumerate(lines[:-1], start=1)]
    return Lines(tuple(records), torn)


def _record(path: Path, number: int, line: bytes, curves: bool) -> Record:
    try:
        told = orjson.loads(line) if curves else _without_curve(line)
        if told["format"] != RECORD_FORMAT:
            raise Problem(
                f"{path}: line {number} is of record format {told['format']}, this version "
                f"reads and writes {RECORD_FORMAT}; use the version that wrote it, or "
                "--results with a new folder"
            )
        told["epochs"] = tuple(told["epochs"])
        if amiss := _amiss(tuple(told)):
            raise TypeError(f"fields missing or unknown: {amiss}")
        record = object.__new__(Record)  # Record(**told), in a fraction of the time
        whole = told if len(told) == len(FIELDS) else DEFAULTS | told
        object.__setattr__(record, "__dict__", whole)
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            f"{path}: line {number} is not a record ({type(error).__name__}: {error}); take "
            "the line out, its run is then done again"
        ) from None


@functools.lru_cache(maxsize=64)
def _amiss(names: tuple[str, ...]) -> list[str]:
    """Required fields that are not among the names, and names that are no fields."""
    return sorted((REQUIRED - set(names)) | (set(names) - FIELDS.keys()))


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No search for cyclic garbage, now or later, in what is made inside.

    Records have no cycles, and many of them make every search slow.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def _without_curve(line: bytes) -> dict[str, Any]:
    """A line's fields, its curve empty; a line that is laid out otherwise takes longer."""
    start = line.find(CURVE[0]) + len(CURVE[0])
    end = line.rfind(CURVE[1], start)
    made = line.find(PROVENANCE[0], end) + len(PROVENANCE[0])
    rest = line.rfind(PROVENANCE[1], made)
    if len(CURVE[0]) <= start <= end < made <= rest:
        told: dict[str, Any] = orjson.loads(line[:start] + line[end:made] + b"0" + line[rest:])
        told["provenance"] = _provenance(line[made:rest])
    else:
        told = orjson.loads(line)
        told["curve"].clear()
    return told


@functools.lru_cache(maxsize=256)
def _provenance(text: bytes) -> Any:
    return orjson.loads(text)


def append(path: Path, record: Record) -> None:
    """Add one line and make it durable; a torn line before it is cut off first."""
    told = asdict(record)
    if not record.search_repeat:
        del told["search_repeat"]
    if record.by_class is None:
        del told["by_class"]
    line = json.dumps(told, allow_nan=False).encode() + b"\n"
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


def describe(study: Study, dataset: str, title: str, fingerprint: str) -> dict[str, Any]:
    """What study.json holds: enough to read the records without the study's file.

    `dataset` is the name on the command line; `title` what the dataset calls itself, which is
    another where its own counts.txt says that it is not the published one.
    """
    return {
        "format": RECORD_FORMAT,
        "study": json.loads(json.dumps(dataclasses.asdict(study))),
        "digest": study.digest(),
        "dataset": dataset,
        "title": title,
        "fingerprint": fingerprint,
    }


def read_description(where: Path) -> dict[str, Any] | None:
    """What study.json says, or None where there is none."""
    try:
        told: dict[str, Any] = json.loads((where / "study.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Problem(
            f"{where / 'study.json'} is not readable ({error}); restore or remove it"
        ) from None
    return told


def study_of(description: Mapping[str, Any]) -> Study:
    """The study that study.json holds."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description["study"].items()
    }
    return Study(**fields)  # a field of the wrong type is the study's own Problem


def admit(where: Path, description: Mapping[str, Any]) -> None:
    """Let records of this study and dataset into a folder, or refuse with what differs.

    More trials or repeats than before are let in, and fewer are not.
    """
    before = read_description(where)
    way_out = f"take another folder (--results NEW) or move {where} away"
    if before is not None:
        if before["format"] != description["format"]:
            raise Problem(
                f"{where} holds records of format {before['format']}, now {description['format']}; "
                + way_out
            )
        if before["fingerprint"] != description["fingerprint"]:
            raise Problem(
                f"{where} holds records of the dataset {before['dataset']} as fingerprint "
                f"{before['fingerprint']}, now it is {description['fingerprint']}: the images or "
                f"labels changed, and records would not be comparable; {way_out}"
            )
        old, new = LATER | before["study"], description["study"]
        differing = [
            f"{name} {old.get(name)!r} -> {new.get(name)!r}"
            for name in sorted(old | new)
            if old.get(name) != new.get(name) and name not in (*COUNTS, "losses", "datasets")
        ]
        if differing:
            raise Problem(
                f"{where} holds records of another study {old['name']!r} "
                f"({'; '.join(differing)}); undo the change, or {way_out}"
            )
        for name in COUNTS:
            had = old.get(name, 1)  # search_repeats is younger than the first records
            if new[name] < had:
                raise Problem(
                    f"{where} was planned with {name} = {had}, now {new[name]}: fewer would "
                    f"choose again from less; give {had} or more, or {way_out}"
                )
        if before == description:
            return
    write_text(where / "study.json", json.dumps(description, indent=1) + "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes its place at the end, or goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Put text in place whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def create(where: Path) -> None:
    """Make a results folder, or say plainly that it cannot be written."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=where, prefix=".writable"):
            pass
    except OSError as error:
        raise Problem(
            f"results folder {where} cannot be written ({error.strerror}); "
            "give another one with --results"
        ) from None


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Be the only writer of a record file while the context lasts; Problem if another one is.

    A dead process holds nothing, or on another machine nothing for long: see harness.locks.
    """
    lock = path.with_suffix(".lock")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.hold(lock))
        except locks.Taken as taken:
            told = taken.holder
            way = "wait for it, stop it, or give another folder with --results"
            if taken.silent > locks.LEASE_SECONDS:
                way += (
                    f"; it gave no sign of life for {taken.silent / 60:.0f} minutes: if that "
                    f"machine is gone for good, remove {lock}"
                )
            elif not taken.locked and taken.silent:
                left = locks.LEASE_SECONDS - taken.silent
                way += f"; if it was killed, its hold ends in {left:.0f} s"
            raise Problem(
                f"{path} is being written by process {told.get('pid', '?')} on "
                f"{told.get('host', '?')} since {told.get('since', '?')}; {way}"
            ) from None
        yield


def holder_of(path: Path) -> dict[str, Any] | None:
    """Who writes a record file now: {pid, host, since, ...}, or None if nobody does."""
    return locks.holder_of(path.with_suffix(".lock"))


def record_of(
    run: Run,
    *,
    scores: Mapping[str, float],
    curve: Sequence[Mapping[str, Any]],
    epochs: tuple[int, int],
    failure: str | None,
    seconds: float,
    provenance: Mapping[str, Any],
    by_class: Mapping[str, Sequence[float]] | None = None,
) -> Record:
    """What a run left behind, with the run's own names beside it."""
    return Record(
        study=run.study.name,
        dataset=run.dataset,
        loss=run.loss,
        stage=run.stage,
        key=run.key,
        seed=run.seed,
        params=run.params,
        trial=run.trial,
        repeat=run.repeat,
        fold=run.fold,
        scores=scores,
        curve=curve,
        epochs=epochs,
        failure=failure,
        seconds=seconds,
        provenance=provenance,
        search_repeat=run.search_repeat,
        by_class=by_class,
    )
