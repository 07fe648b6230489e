"""The results folder of a study on a dataset: its paths, its study.json, who may write in it.

results/<study>/<dataset>/study.json      the study and the dataset's fingerprint, once
results/<study>/<dataset>/<loss>.jsonl    one line per run
results/<study>/<dataset>/<loss>.lock     who writes it (harness/records/locks.py)
results/<study>/<dataset>/work/<loss>/    what runs keep while they or their ensemble need it
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.records import locks
from harness.schema import LATER, RECORD_FORMAT, Problem, Run, Study

COUNTS = ("trials", "repeats", "search_repeats")


def folder_of(results: Path, study: str, dataset: str) -> Path:
    """Where the records of a study on a dataset lie; folder:PATH becomes a name with a hash."""
    if dataset.startswith("folder:"):
        path = Path(dataset.removeprefix("folder:")).resolve()
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        dataset = f"folder-{re.sub(r'[^A-Za-z0-9_.-]', '_', path.name)}-{digest}"
    return results / study / dataset


def work_folder(results: Path, run: Run) -> Path:
    """What the runs of a loss keep beside their records while it is needed."""
    return folder_of(results, run.study.name, run.dataset) / "work" / run.loss


def checkpoint_path(results: Path, run: Run) -> Path:
    """Where a run keeps its state."""
    return work_folder(results, run) / f"{run.key}.checkpoint"


def progress_path(results: Path, run: Run) -> Path:
    """Where a run writes how far it is, for whoever watches."""
    return work_folder(results, run) / f"{run.key}.progress.json"


def embeddings_path(results: Path, run: Run) -> Path:
    """Where a fold's model leaves its test embeddings for the ensemble."""
    return work_folder(results, run) / f"{run.key}.npz"


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
