"""The records that a name on the command line means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.derivation import reasons
from harness.commands.options import read_description
from harness.protocol import trials
from harness.protocol.final import outdated_complete
from harness.records import folder, packed, records
from harness.schema import BASELINES, POOL, TRIAL_STAGES, Problem, Record, Study
from harness.tables.failed import failed_repeats

if TYPE_CHECKING:
    from harness.engines.execute import Places
    from harness.engines.retrain import Model


LISTED = 3  # runs that a refusal names


@dataclass(frozen=True)
class Target:
    """A record to be verified, with its study, the records of its loss, and where it lies."""

    address: str  # study/dataset/loss/key as the results folder spells it: the command reads it
    study: Study
    record: Record
    loss_records: Sequence[Record]
    reason: str | None  # why it does not derive


def records_named(results: Path, name: str) -> list[Target]:
    """The records that a name means.

    study/dataset/loss/key is one record. study/dataset/loss and study/dataset are the records
    behind a row and behind a table: the final runs of the best trial, as each search has it. The
    dataset is spelled as on the command line of `study`, or as its results folder.
    """
    targets = _named(results, name, _is_final)
    if not targets:
        where = _place(results, name)[0]
        raise Problem(
            f"no record {name!r} in {where}; `python -m harness status` lists what there is"
        )
    return targets


def searched_folds(results: Path, name: str) -> list[Target]:
    """The runs of the winning trials' folds that a name means and that can be trained again.

    Those of the first search, unless the name is that of one record. Problem where there is none.
    """
    named = _named(results, name, _is_winners_fold)
    folds = [one for one in _of_first_search(named) if one.record.stage == "search"]
    sentence = f"{name} has no run of a search's best trial to train again"
    return _trainable(folds, sentence, "name a loss whose search is finished")


def _of_first_search(named: Sequence[Target]) -> list[Target]:
    """Runs of losses in their first search, as the table has them; a record named alone stays."""
    return [
        target
        for target in named
        if target.record.loss not in BASELINES
        and (not target.record.search_repeat or len(named) == 1)
    ]


def _trainable(targets: Sequence[Target], sentence: str, otherwise: str) -> list[Target]:
    """Those that ended well and derive; Problem where none does: the sentence, and why."""
    trainable = [one for one in targets if one.record.failure is None and one.reason is None]
    if not trainable:
        reasons = dict.fromkeys(
            f"{one.address}: {one.record.failure or one.reason}" for one in targets
        )
        raise Problem(f"{sentence}; {'; '.join(list(reasons)[:LISTED]) or otherwise}")
    return trainable


Chooses = Callable[[Study, Record, Sequence[Record]], bool]  # a record, among those of its loss


def _named(results: Path, name: str, chooses: Chooses) -> list[Target]:
    """The record whose address a name is, or those that are chosen of a loss or of all losses.

    Empty where there is none; Problem where the name is of no folder with records.
    """
    where, loss, key = _place(results, name)
    description = read_description(where)
    study = folder.study_of(description)
    targets: list[Target] = []
    for path in packed.record_files(where):
        if loss is not None and path.stem != loss:
            continue
        contents = records.read(path)
        chosen = [
            (place, record)
            for place, record in enumerate(contents.records)
            if (chooses(study, record, contents.records) if key is None else record.key == key)
        ]
        why = reasons(description, path.stem, contents) if chosen else {}
        targets += [
            Target(
                address=f"{where.parent.name}/{where.name}/{path.stem}/{record.key}",
                study=study.for_loss(path.stem),
                record=record,
                loss_records=contents.records,
                reason=why.get(place),
            )
            for place, record in chosen
        ]
    return targets


def complete_models(results: Path, name: str, *, repeats: int | None) -> list[Target]:
    """The Complete runs that a name means and that can be trained again, of the first `repeats`.

    Of a study that repeats its search those of the first search, as the table has them, unless the
    name is that of one record. Problem where there is none.
    """
    complete = [
        target
        for target in _of_first_search(records_named(results, name))
        if target.record.stage == "complete"
        and (repeats is None or (target.record.repeat or 0) < repeats)
    ]
    sentence = f"{name} has no Complete run that can be trained again"
    return _trainable(complete, sentence, "run the study on")


def failed_of(targets: Sequence[Target], *, repeats: int | None) -> dict[str, int]:
    """Loss -> how many of its first `repeats` Complete runs failed: what is left are survivors."""
    failed = {}
    for target in targets:
        loss = target.record.loss
        if loss not in failed:
            records = [
                r for r in target.loss_records if repeats is None or (r.repeat or 0) < repeats
            ]
            failed[loss] = failed_repeats(target.study, loss, records, searches=1)["complete"]
    return failed


def trained_again(targets: Sequence[Target], places: Places) -> Iterator[tuple[Target, Model]]:
    """Each target with its model, trained again when its turn comes; a line says which it is."""
    from harness.engines import retrain

    for target in announced(targets):
        yield target, retrain.model_of(target.study, target.record, places)


def announced(targets: Sequence[Target]) -> Iterator[Target]:
    """The targets one by one; a line says which it is."""
    for number, target in enumerate(targets, start=1):
        print(f"{number} of {len(targets)}: {target.address}", file=sys.stderr, flush=True)
        yield target


def _place(results: Path, name: str) -> tuple[Path, str | None, str | None]:
    """The results folder, the loss and the key that a name means; the last two may be left out."""
    study, _, rest = name.partition("/")
    parts = rest.split("/")
    # A folder:PATH or the like holds slashes itself: the longest path with records is meant.
    for cut in range(len(parts), max(len(parts) - 3, 0), -1):
        dataset, tail = "/".join(parts[:cut]), parts[cut:]
        if cut > 1 and ":" not in parts[0]:
            continue
        where = folder.folder_of(results, study, dataset)
        if study and dataset and (where / "study.json").exists():
            loss, key = (*tail, None, None)[:2]
            return where, loss, key
    raise Problem(
        f"no records {name!r} in {results}; give STUDY/DATASET, STUDY/DATASET/LOSS or "
        "STUDY/DATASET/LOSS/KEY; `python -m harness status` lists what there is"
    )


def _is_final(study: Study, record: Record, loss_records: Sequence[Record]) -> bool:
    """Whether the record is behind a number of the table: a final run of the best trial.

    Of the study `optimism`, every run of its pool.
    """
    if record.stage in TRIAL_STAGES:
        return record.stage == POOL and record.trial < study.trials
    return _is_winners(study, record, loss_records)


def _is_winners_fold(study: Study, record: Record, loss_records: Sequence[Record]) -> bool:
    """Whether the record is of the search's best trial, on one of its folds."""
    return record.stage == "search" and _is_winners(study, record, loss_records)


def _is_winners(study: Study, record: Record, loss_records: Sequence[Record]) -> bool:
    number = record.search_repeat
    winner = trials.winner_of(study, record.loss, loss_records, search_repeat=number)
    return record.trial == winner and record.key not in outdated_complete(
        study, record.loss, loss_records, winner=winner, search_repeat=number
    )
