"""The export to Optuna: a real study, in SQLite and in a real PostgreSQL, growing with the records.

PostgreSQL is Debian's; it listens on a socket in a temporary folder and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from harness.commands.export import Exported, export
from harness.protocol import plan
from harness.protocol.search import propose, space_of
from harness.records import folder, records
from harness.schema import Problem, Record, Run, record_of
from losses import contrastive
from tests.made import TINY

STUDY = replace(TINY, trials=6, per_dataset={})
SPACE = space_of(STUDY, contrastive, 1.0)


def score(run: Run) -> float:
    return round(0.1 + 0.05 * run.trial + 0.01 * (run.fold or 0), 4)


def record(run: Run, failure: str | None = None) -> Record:
    scores = {} if failure else {"map_at_r": score(run), "precision_at_1": 0.5}
    return record_of(
        run, scores=scores, curve=[], epochs=(3, 1), failure=failure, seconds=12.5, provenance={}
    )


def search_runs(count: int) -> list[Run]:
    """The first trials' runs with every fold."""
    params = propose(SPACE, [], count, startup=count, seed=1)
    return [
        Run(STUDY, "glyphs", "contrastive", "search", 2**60 + fold, params[trial], trial, fold=fold)
        for trial in range(count)
        for fold in range(STUDY.folds)
    ]


@pytest.fixture
def where(tmp_path):
    """A results folder with five whole trials, one of them failed, and a sixth without its last."""
    place = folder.folder_of(tmp_path / "results", STUDY.name, "glyphs")
    folder.create(place)
    folder.admit(place, folder.describe(STUDY, "glyphs", "glyphs", "abc"))
    for run in search_runs(6)[:-1]:
        failure = "Diverged: the loss became nan" if (run.trial, run.fold) == (2, 1) else None
        records.append(folder / "contrastive.jsonl", record(run, failure))
    return folder


def load(url: str) -> optuna.Study:
    return optuna.load_study(storage=url, study_name="tiny/glyphs/contrastive")


def check_that_it_grows(where: Path, url: str) -> None:
    name = "tiny/glyphs/contrastive"
    assert export(where, None, url) == [Exported(name, before=0, trials=5, anew=False)]
    assert export(where, None, url) == [Exported(name, before=5, trials=5, anew=False)]
    written = load(url)
    numbers = {trial.number: trial._trial_id for trial in written.trials}
    read = records.read(where / "contrastive.jsonl").records
    trials = plan.trials_of(STUDY, read)
    for trial in written.trials:
        assert trial.params == trials[trial.number].params
        assert trial.distributions == SPACE
        folds = [run for run in read if run.trial == trial.number]
        assert trial.user_attrs["key"] == [run.key for run in folds]
        assert trial.user_attrs["seed"] == [str(run.seed) for run in folds]
        assert trial.user_attrs["failure"] == [run.failure for run in folds]
        assert trial.intermediate_values == {
            run.fold: run.scores["map_at_r"] for run in folds if run.failure is None
        }
        assert trial.duration.total_seconds() == pytest.approx(12.5 * STUDY.folds)
        if trial.number == 2:
            assert trial.state == TrialState.PRUNED
            assert trial.value is None
            assert sorted(trial.intermediate_values) == [0, 2, 3]
        else:
            assert trial.state == TrialState.COMPLETE
            assert trial.value == trials[trial.number].score
    assert written.best_trial.number == 4
    assert written.user_attrs["fingerprint"] == "abc"
    records.append(where / "contrastive.jsonl", record(search_runs(6)[-1]))
    assert export(where, None, url) == [Exported(name, before=5, trials=6, anew=False)]
    assert {t.number: t._trial_id for t in load(url).trials[:5]} == numbers


def test_the_export_is_a_study_that_optuna_reads_and_grows_with_the_records(where, tmp_path):
    check_that_it_grows(where, f"sqlite:///{tmp_path}/study.db")


def test_optuna_can_go_on_from_an_exported_study(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    export(where, None, url)
    asked = load(url).ask(dict(SPACE))
    assert asked.number == 5
    assert set(asked.params) == set(SPACE)
    assert set(optuna.importance.get_param_importances(load(url))) == set(SPACE)


def test_records_that_changed_are_written_anew(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    export(where, None, url)
    path = where / "contrastive.jsonl"
    kept = [read for read in records.read(path).records if read.trial != 2]
    path.unlink()
    for one in [*kept, *map(record, search_runs(3)[-STUDY.folds :])]:
        records.append(path, one)
    assert export(where, None, url) == [
        Exported("tiny/glyphs/contrastive", before=5, trials=5, anew=True)
    ]
    states = [trial.state for trial in load(url).trials]
    assert states == [TrialState.COMPLETE] * 5


def test_a_gap_in_the_trials_ends_the_export_so_that_numbers_stay(where, tmp_path):
    path = where / "contrastive.jsonl"
    kept = [one for one in records.read(path).records if one.key != "search-t3-f0"]
    path.unlink()
    for one in kept:
        records.append(path, one)
    (told,) = export(where, None, f"sqlite:///{tmp_path}/study.db")
    assert told.trials == 3


def test_a_study_that_somebody_else_wrote_is_left_alone(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    theirs = optuna.create_study(storage=url, study_name="tiny/glyphs/contrastive")
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(Problem, match="that this command did not write"):
        export(where, None, url)
    assert [trial.value for trial in load(url).trials] == [1.0]


def test_only_the_losses_asked_for_are_written_and_the_untrained_trunk_never(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    shutil.copy(where / "contrastive.jsonl", where / "untrained.jsonl")
    assert export(where, ["triplet"], url) == []
    assert [told.name for told in export(where, None, url)] == ["tiny/glyphs/contrastive"]


def test_params_outside_the_search_space_of_today_are_a_problem(where, tmp_path, monkeypatch):
    name = next(iter(contrastive.SPACE))
    narrow = {**contrastive.SPACE, name: FloatDistribution(1e-9, 2e-9)}
    monkeypatch.setattr(contrastive, "SPACE", narrow)
    with pytest.raises(Problem, match=r"losses/contrastive\.py has changed"):
        export(where, None, f"sqlite:///{tmp_path}/study.db")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "that URL cannot be written"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
        ("postgresql+nosuch://user:secret@host/db", r"user:\*\*\*@host"),
    ],
)
def test_a_database_that_cannot_be_written_is_a_problem(where, url, message):
    with pytest.raises(Problem, match=message) as told:
        export(where, None, url)
    assert "secret" not in str(told.value)


def test_a_folder_without_a_study_is_a_problem(tmp_path):
    with pytest.raises(Problem, match=r"holds no study\.json"):
        export(tmp_path, None, f"sqlite:///{tmp_path}/study.db")


def postgresql_missing() -> str | None:
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    if not programs():
        return "no PostgreSQL server here (Debian: postgresql)"
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    found = shutil.which("pg_ctl")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return Path(found).parent if found else debian[-1].parent if debian else None


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own in a temporary folder, reached by a socket there; yields its URL."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    bin_folder = programs()

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [str(bin_folder / program), f"--pgdata={folder}/data", *words],
            check=True,
            cwd=folder,
            user=user,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    try:
        call("initdb", "--username=harness", "--auth=trust", "--no-sync")
        asked = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "start", "--wait", f"--options={asked}", f"--log={folder}/log")
        yield f"postgresql://harness@/postgres?host={folder}"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            call("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.services
@pytest.mark.skipif(postgresql_missing() is not None, reason=str(postgresql_missing()))
def test_the_export_into_postgresql_is_the_same_study(where):
    with postgresql() as url:
        check_that_it_grows(where, url)
