"""The results folder of a study on a dataset: its paths, its study.json, who may write in it.

results/<study>/<dataset>/study.json      the study and the dataset's fingerprint, once
results/<study>/<dataset>/<loss>.jsonl    one line per run
results/<study>/<dataset>/<loss>.lock     who writes it (harness/records/locks.py)
results/<study>/<dataset>/work/<loss>/    what runs keep while they or their ensemble need it
results/<study>/<dataset>/set_aside/      what `study --fresh` replaced, by its time
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.records import locks, mistyped
from harness.records.packed import record_files
from harness.schema import LATER, NOT_IN_DIGEST, RECORD_FORMAT, Problem, Run, Study

COUNTS = ("trials", "repeats", "search_repeats")
SET_ASIDE = "set_aside"


def folder_of(results: Path, study: str, dataset: str) -> Path:
    """Where the records of a study on a dataset lie; KIND:PATH becomes a name with a hash."""
    kind, colon, place = dataset.partition(":")
    if colon:
        path = Path(place)
        if kind != "hf":  # whose name need be no path
            path = path.expanduser().resolve()
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        dataset = f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]', '_', path.name)}-{digest}"
    return results / study / dataset


def work_folder(results: Path, run: Run) -> Path:
    """Where the runs of a loss keep files beside their records while those are needed."""
    return folder_of(results, run.study.name, run.dataset) / "work" / run.loss


def checkpoint_path(results: Path, run: Run) -> Path:
    """Where a run writes its checkpoint."""
    return work_folder(results, run) / f"{run.key}.checkpoint"


def progress_path(results: Path, run: Run) -> Path:
    """Where a run writes how far it is, for `watch`."""
    return work_folder(results, run) / f"{run.key}.progress.json"


def crash_path(results: Path, run: Run) -> Path:
    """Where a process that crashes in a run leaves its traceback."""
    return work_folder(results, run) / f"{run.key}.crash"


def embeddings_path(results: Path, run: Run) -> Path:
    """Where a fold's model leaves its test embeddings for the ensemble."""
    return work_folder(results, run) / f"{run.key}.npz"


def describe(study: Study, dataset: str, title: str, fingerprint: str) -> dict[str, Any]:
    """What study.json holds: enough to read the records without the study's file.

    `dataset` is the name on the command line. `title` is what the dataset calls itself: another
    name where its counts.txt says that it is not the published dataset.
    """
    return {
        "format": RECORD_FORMAT,
        "study": json.loads(json.dumps(dataclasses.asdict(study))),
        "digest": study.digest(),
        "dataset": dataset,
        "title": title,
        "fingerprint": fingerprint,
    }


def read_description(folder: Path) -> dict[str, Any] | None:
    """What study.json of a results folder says, or None where there is no such file."""
    path = folder / "study.json"
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path} is not readable ({error}); restore or remove it") from None
    if (wrong := mistyped.of_description(description)) is not None:
        raise Problem(f"{path}: {wrong}; restore or remove it")
    return description


def study_of(description: Mapping[str, Any]) -> Study:
    """The study that study.json holds; a field that is younger than the file has its old effect."""
    fields: dict[str, Any] = LATER | _with_tuples(description["study"])
    if (wrong := mistyped.of_study(fields)) is not None:
        raise Problem(f"study.json: {wrong}")
    return Study(**fields)  # the study itself raises a Problem for a field of the wrong type


def _with_tuples(value: Any) -> Any:
    """A value as it was before JSON, which has lists for tuples."""
    if isinstance(value, dict):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def admit(folder: Path, description: Mapping[str, Any]) -> None:
    """Let records of this study and dataset into a folder, or refuse with what differs."""
    if check_admission(folder, description) != description:
        write_text(folder / "study.json", json.dumps(description, indent=1) + "\n")


def check_admission(folder: Path, description: Mapping[str, Any]) -> dict[str, Any] | None:
    """Problem where records of this study and dataset may not come into a folder.

    More trials or repeats than before may, fewer may not. Nothing may change while another process
    writes there, by the plan that it began with. Returns what study.json says now.
    """
    before = read_description(folder)
    if before is None and (files := record_files(folder)):
        raise Problem(
            f"{folder} holds records ({files[0].name}, ...) and no study.json, which says of what "
            "study; restore it, or set the records aside (study --fresh)"
        )
    if before is not None:
        check_admissible(folder, before, description)
    if before != description:
        for path in sorted(folder.glob("*.lock")):
            if (holder := holder_of(path.with_suffix(".jsonl"))) is not None:
                raise Problem(
                    f"{folder} is being written by process {holder.get('pid')} on "
                    f"{holder.get('host', '?')} by another plan than this one (trials, repeats, "
                    "...); wait until it has ended, or stop it"
                )
    return before


def check_admissible(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], way_out: str = ""
) -> None:
    """Problem where records of a study and dataset may not join those that the folder holds."""
    way_out = way_out or (
        f"set the old records aside (study --fresh; they stay in {folder}/{SET_ASIDE}) or take "
        "another folder (--results NEW)"
    )
    check_comparable(folder, before, now, way_out)
    check_counts(folder, before["study"], now["study"], way_out)


def check_comparable(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], way_out: str
) -> None:
    """Problem where records of the two descriptions could not be compared."""
    try:
        study_of(before)
    except (Problem, KeyError, TypeError) as error:
        raise Problem(f"{folder}/study.json: {error}; restore it, or {way_out}") from None
    if before["format"] != now["format"]:
        raise Problem(
            f"{folder} holds records of format {before['format']}, now {now['format']}; {way_out}"
        )
    if before["fingerprint"] != now["fingerprint"]:
        raise Problem(
            f"{folder} holds records of the dataset {before['dataset']} as fingerprint "
            f"{before['fingerprint']}, now it is {now['fingerprint']}: the images or "
            f"labels changed, and records would not be comparable; {way_out}"
        )
    if before["dataset"] != now["dataset"]:  # two spellings of one folder of images
        raise Problem(
            f"{folder} holds records of the dataset {before['dataset']}, now it is spelled "
            f"{now['dataset']}: seeds come from the name, so spell it as before, or {way_out}"
        )
    old, new = json.loads(json.dumps(LATER)) | before["study"], dict(now["study"])
    both = old["variants"].keys() & new["variants"].keys()  # of which more may be added
    old["variants"], new["variants"] = (
        {name: variants[name] for name in sorted(both)}
        for variants in (old["variants"], new["variants"])
    )
    differences = [
        f"{name} {old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name) and name not in NOT_IN_DIGEST
    ]
    if differences:
        raise Problem(
            f"{folder} holds records of another study {old['name']!r} "
            f"({'; '.join(differences)}); undo the change, or {way_out}"
        )


def check_counts(
    folder: Path,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    way_out: str,
    names: Collection[str] = COUNTS,
) -> None:
    """Problem where a study plans fewer trials or repeats, those of `names`, than it did."""
    for name in names:
        planned = before.get(name, 1)  # the first records were older than search_repeats
        if now[name] < planned:
            raise Problem(
                f"{folder} was planned with {name} = {planned}, now {now[name]}: fewer would "
                f"choose again from less; give {planned} or more, or {way_out}"
            )


def check_fingerprint(results: Path, run: Run, fingerprint: str) -> None:
    """Problem where a run's dataset is no longer the one of its study's records."""
    folder = folder_of(results, run.study.name, run.dataset)
    description = read_description(folder)
    if description is not None and description["fingerprint"] != fingerprint:
        raise Problem(
            f"{run.dataset} changed while {folder} was being filled: its fingerprint is "
            f"{fingerprint}, study.json's is {description['fingerprint']}; nothing was recorded; "
            "restore the images and start again, or begin anew (study --fresh)"
        )


def create(folder: Path) -> None:
    """Make a results folder; Problem if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable"):
            pass
    except OSError as error:
        raise Problem(
            f"results folder {folder} cannot be written ({error.strerror}); "
            "give another one with --results"
        ) from None


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Callable[[], bool]]:
    """Be the only writer of a record file while the context lasts; Problem if another one is.

    A dead process holds nothing, or on another machine not for long: see harness/records/locks.py.
    Yields a function that says whether it still is the writer: somebody may remove the lock.
    """
    lock = lock_path(path)
    with contextlib.ExitStack() as stack:
        try:
            is_held = stack.enter_context(locks.hold(lock))
        except locks.LockHeld as held:
            raise Problem(_writer_message(path, lock, held)) from None
        yield is_held


def lock_path(path: Path) -> Path:
    """The file that says who writes a record file."""
    return path.with_suffix(".lock")


def _writer_message(path: Path, lock: Path, held: locks.LockHeld) -> str:
    """Who writes the record file, and what to do about it."""
    advice = "wait for it, stop it, or give another folder with --results"
    seconds = held.seconds_since_renewal
    if seconds > locks.LEASE_SECONDS:
        advice += (
            f"; it gave no sign of life for {seconds / 60:.0f} minutes: if that "
            f"machine is gone for good, remove {lock}"
        )
    elif not held.by_file_system and seconds:
        advice += f"; if it was killed, its hold ends in {locks.LEASE_SECONDS - seconds:.0f} s"
    holder = held.holder
    return (
        f"{path} is being written by process {holder.get('pid', '?')} on "
        f"{holder.get('host', '?')} since {holder.get('since', '?')}; {advice}"
    )


def holder_of(path: Path) -> dict[str, Any] | None:
    """Who writes a record file now: {pid, host, since, ...}, or None if nobody does."""
    return locks.holder_of(lock_path(path))
