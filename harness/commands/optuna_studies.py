"""Search records as real Optuna studies in a database, so that Optuna's own tools work on them.

One study per study, dataset and loss, named study/dataset/loss. Trial t of the search is trial t of
the Optuna study: its value is the mean held-out MAP@R, its intermediate values are the folds'. A
trial with a failed fold is PRUNED. The records are the truth: the database can be written anew.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.protocol import plan, search
from harness.records import folder, records
from harness.schema import UNTRAINED, Problem, Record, Study
from harness.training import network

MARK = "written_by"
OWN = "python -m harness export"


@dataclass(frozen=True)
class Exported:
    """What became of one Optuna study: trials it had, trials it has; `anew` if records changed."""

    name: str
    before: int
    trials: int
    anew: bool


def export(where: Path, losses: Sequence[str] | None, url: str) -> list[Exported]:
    """Bring the database up to the records of results/<study>/<dataset>; all losses by default.

    Only trials with all their folds, without a gap before them, are written: their numbers stay.
    """
    description = folder.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    study = folder.study_of(description)
    names = sorted(path.stem for path in where.glob("*.jsonl") if path.stem != UNTRAINED)
    done = []
    with _quiet(), _told(url):
        storage = optuna.storages.RDBStorage(url)
        try:
            for loss in names:
                if losses is None or loss in losses:
                    read = records.read(where / f"{loss}.jsonl").records
                    about = {
                        MARK: OWN,
                        "study": study.name,
                        "dataset": description["dataset"],
                        "fingerprint": description["fingerprint"],
                        "digest": description["digest"],
                        "loss": loss,
                        "value": "mean held-out MAP@R over folds",
                    }
                    for number in range(study.search_repeats):
                        again = f"/search_repeat_{number}" if number else ""
                        name = f"{study.name}/{where.name}/{loss}{again}"
                        trials = frozen_trials(study, loss, read, number)
                        done.append(_write(storage, name, about, trials))
        finally:
            storage.engine.dispose()
    return done


def frozen_trials(
    study: Study, loss: str, read: Sequence[Record], search_repeat: int = 0
) -> list[FrozenTrial]:
    """The trials of the search so far, up to the first one that lacks a fold, as Optuna has them.

    User attributes bear the names of the records' fields, each with one entry per fold.
    """
    space = _space(study, loss)
    trials = plan.trials_of(study, read, search_repeat)
    read = [record for record in read if record.search_repeat == search_repeat]
    folds: dict[int, list[Record]] = {number: [] for number in trials}
    for record in {record.key: record for record in read}.values():
        if record.stage == "search" and record.trial in folds:
            folds[record.trial].append(record)
    frozen = []
    for number in range(len(trials)):
        if number not in trials:
            break
        runs = sorted(folds[number], key=lambda record: record.fold or 0)
        value = trials[number].score
        try:
            trial = create_trial(
                state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                value=value,
                params=dict(trials[number].params),
                distributions=dict(space),
                intermediate_values={
                    run.fold or 0: run.scores["map_at_r"] for run in runs if run.failure is None
                },
                user_attrs={
                    "key": [run.key for run in runs],
                    "seed": [str(run.seed) for run in runs],  # beyond the integers of some readers
                    "epochs": [list(run.epochs) for run in runs],
                    "seconds": [run.seconds for run in runs],
                    "failure": [run.failure for run in runs],
                    **({"raced_out": True} if trials[number].raced_out else {}),
                },
            )
        except ValueError as error:
            raise Problem(
                f"{loss}: params of trial {number} are not of its search space ({error}); "
                f"losses/{loss}.py has changed since, restore its SPACE or search again"
            ) from None
        if trial.datetime_complete is not None:
            seconds = sum(run.seconds for run in runs)
            trial.datetime_start = trial.datetime_complete - timedelta(seconds=seconds)
        frozen.append(trial)
    return frozen


def _space(study: Study, loss: str) -> search.Space:
    try:
        module = importlib.import_module(f"losses.{loss}")
    except ModuleNotFoundError:
        raise Problem(
            f"there are records of {loss} but no losses/{loss}.py, which tells its search space; "
            "restore it or leave the loss out with --loss"
        ) from None
    return search.space_of(study, module, network.initial_norm(study) if module.SCALED else 1.0)


def _write(
    storage: optuna.storages.RDBStorage,
    name: str,
    about: Mapping[str, Any],
    trials: Sequence[FrozenTrial],
) -> Exported:
    """Add what is new; if what is there is no beginning of it any more, write all of it anew."""
    there = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    before = there.get_trials(deepcopy=False)
    if (before or there.user_attrs) and there.user_attrs.get(MARK) != OWN:
        raise Problem(
            f"the database holds a study {name!r} that this command did not write; rename it, or "
            "give another database"
        )
    anew = [_content(trial) for trial in before] != [_content(t) for t in trials[: len(before)]]
    if anew:
        optuna.delete_study(study_name=name, storage=storage)
        there = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    for key, value in about.items():
        if there.user_attrs.get(key) != value:
            there.set_user_attr(key, value)
    there.add_trials(trials[0 if anew else len(before) :])
    return Exported(name, len(before), len(trials), anew)


def _content(trial: FrozenTrial) -> tuple[object, ...]:
    """A trial without its dates and the database's numbers for it."""
    return (
        trial.state,
        trial.values,
        trial.params,
        trial.distributions,
        trial.intermediate_values,
        trial.user_attrs,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's log lines off for a while; its verbosity is a global of the library."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """What a database refuses, as a Problem; a password is not repeated."""
    try:
        yield
    except (
        ImportError,
        RuntimeError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
    ) as error:
        try:
            shown = sqlalchemy.make_url(url).render_as_string(hide_password=True)
        except sqlalchemy.exc.ArgumentError:
            shown = "that URL"
        said = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise Problem(
            f"{shown} cannot be written: {said[0]}; give a database as sqlite:///FILE.db or "
            "postgresql://USER@HOST/NAME, and install its driver (psycopg for PostgreSQL)"
        ) from None
