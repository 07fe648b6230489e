"""Search records as Optuna studies in a database, so that Optuna's own tools can read them.

There is one Optuna study per study, dataset and loss, named study/dataset/loss. Trial t of the
search is trial t of the Optuna study. Its value is the mean held-out MAP@R; its intermediate values
are the folds' scores. A trial with a failed fold is PRUNED. The records remain the truth: the
database can always be rewritten from them.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.commands import reading
from harness.commands.options import read_description
from harness.protocol import search
from harness.protocol.trials import trials_of
from harness.schema import BASELINES, Problem, Record, Study
from harness.training import search_space

# The user attribute that marks an Optuna study as written by this command, and its value.
MARK = "written_by"
WRITER = "python -m harness export"


@dataclass(frozen=True)
class Exported:
    """One Optuna study after the export; `rewritten` if trials that it held have changed."""

    name: str
    trials_before: int
    trials: int
    rewritten: bool


def export(where: Path, losses: Sequence[str] | None, url: str) -> list[Exported]:
    """Bring the database up to date with the records of the folder results/<study>/<dataset>.

    `losses` are those to export, all if None. Records that the study does not give are left out, as
    from a table, and said. The export of a loss ends before the first trial that
    lacks a fold, so that later exports leave the trials' numbers as they are. A Problem if the
    database cannot be written, or holds a study of the same name that this command did not write.
    """
    description = read_description(where)
    read = reading.read_records(where, losses)
    read.warn()
    study = read.study
    names = [loss for loss in read.by_loss if loss not in BASELINES]
    exported = []
    with search.quiet(optuna.logging), _database_errors_as_problems(url):
        _check_file(url)
        storage = optuna.storages.RDBStorage(url)
        try:
            for loss in names:
                loss_records = read.by_loss[loss]
                attributes = {
                    MARK: WRITER,
                    "study": study.name,
                    "dataset": description["dataset"],
                    "fingerprint": description["fingerprint"],
                    "digest": description["digest"],
                    "loss": loss,
                    "value": "mean held-out MAP@R over folds",
                }
                for search_repeat in range(study.search_repeats):
                    suffix = f"/search_repeat_{search_repeat}" if search_repeat else ""
                    name = f"{study.name}/{where.name}/{loss}{suffix}"
                    trials = _frozen_trials(study.for_loss(loss), loss, loss_records, search_repeat)
                    exported.append(_write(storage, name, attributes, trials))
        finally:
            storage.engine.dispose()
    return exported


def _frozen_trials(
    study: Study, loss: str, loss_records: Sequence[Record], search_repeat: int
) -> list[FrozenTrial]:
    """The trials of one search as Optuna holds them, up to the first one that lacks a fold."""
    space, fixed = _space(study, loss), search.fixed_params(study, loss)
    trials = trials_of(study, loss_records, search_repeat=search_repeat)
    runs = {
        record.key: record
        for record in loss_records
        if record.stage == study.trial_stage and record.search_repeat == search_repeat
    }
    frozen = []
    for number in range(len(trials)):
        if number not in trials:
            break
        folds = [record for record in runs.values() if record.trial == number]
        folds.sort(key=lambda record: record.fold or 0)
        try:
            frozen.append(_frozen_trial(trials[number], space, folds, fixed))
        except ValueError as error:
            raise Problem(
                f"{loss}: params of trial {number} are not of its search space ({error}); "
                f"losses/{loss}.py has changed since, restore its SPACE or search again"
            ) from None
    return frozen


def _frozen_trial(
    trial: search.Trial, space: search.Space, folds: Sequence[Record], fixed: Mapping[str, Any]
) -> FrozenTrial:
    """One trial as Optuna holds it; a ValueError if its params do not fit the space.

    The user attributes are fields of the records, one entry per fold, and the params that the
    study fixes.
    """
    params = search.in_space(space, trial.params)
    if params is None:
        raise ValueError(f"{dict(trial.params)}")
    frozen = create_trial(
        state=TrialState.PRUNED if trial.score is None else TrialState.COMPLETE,
        value=trial.score,
        params=params,
        distributions=dict(space),
        intermediate_values={
            fold.fold or 0: fold.scores["map_at_r"] for fold in folds if fold.failure is None
        },
        user_attrs={
            "key": [fold.key for fold in folds],
            "seed": [str(fold.seed) for fold in folds],  # too large for some readers' integers
            "epochs": [list(fold.epochs) for fold in folds],
            "seconds": [fold.seconds for fold in folds],
            "failure": [fold.failure for fold in folds],
            **({"raced_out": True} if trial.raced_out else {}),
            **({"loss_params": fixed} if fixed else {}),
        },
    )
    if frozen.datetime_complete is not None:
        seconds = sum(fold.seconds for fold in folds)
        frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=seconds)
    return frozen


def _space(study: Study, loss: str) -> search.Space:
    """The search space of a loss in a study."""
    try:
        return search_space.of_loss(study, loss)
    except ModuleNotFoundError:
        base = study.base_of(loss)
        raise Problem(
            f"there are records of {loss} but no losses/{base}.py, which defines its search space; "
            "restore it or leave the loss out with --loss"
        ) from None


def _write(
    storage: optuna.storages.RDBStorage,
    name: str,
    attributes: Mapping[str, Any],
    trials: Sequence[FrozenTrial],
) -> Exported:
    """Add the new trials; rewrite the study if a trial that it holds has changed."""
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    before = study.get_trials(deepcopy=False)
    if (before or study.user_attrs) and study.user_attrs.get(MARK) != WRITER:
        raise Problem(
            f"the database holds a study {name!r} that this command did not write; rename it, or "
            "give another database"
        )
    same_trials_now = trials[: len(before)]
    rewritten = list(map(_content, before)) != list(map(_content, same_trials_now))
    if rewritten:
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    for key, value in attributes.items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    study.add_trials(trials[0 if rewritten else len(before) :])
    return Exported(name, len(before), len(trials), rewritten)


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


def _check_file(url: str) -> None:
    """Problem where a URL of SQLite names no file: the database would be gone at the end."""
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise Problem(
            f"{shown(url)} names no file, so nothing would be kept; give sqlite:///FILE.db, with "
            "three slashes"
        )


def shown(url: str) -> str:
    """A URL without what may be secret in it: its password and its query."""
    try:
        parsed = sqlalchemy.make_url(url)
        return parsed.set(query={}).render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: its port is no number
        return "that URL"


def _without_secrets(reason: str, url: str) -> str:
    """A driver's message without the URL, and without what may be secret in it."""
    reason = reason.replace(url, "that URL")
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return reason
    secrets = [parsed.password, *itertools.chain(*parsed.normalized_query.values())]
    for secret in filter(None, secrets):
        reason = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", reason)
    return reason


@contextlib.contextmanager
def _database_errors_as_problems(url: str) -> Iterator[None]:
    """Turn an error of the database into a Problem with its first line; never show a password."""
    try:
        yield
    except (
        ImportError,
        OSError,
        OverflowError,
        RuntimeError,
        ValueError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
    ) as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        raise Problem(
            f"{shown(url)} cannot be written: {_without_secrets(reason, url)}; give a database as "
            "sqlite:///FILE.db or postgresql://USER@HOST/NAME, and install its driver (psycopg for "
            "PostgreSQL)"
        ) from None
