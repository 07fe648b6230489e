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

from harness.commands.optuna_studies import Exported, export
from harness.protocol.search import propose, space_of
from harness.protocol.trials import seed_prefix, trials_of
from harness.records import folder, records
from harness.schema import Problem, Record, Run, record_of
from harness.seeds import seed_from
from losses import contrastive
from tests.made import HANGS, TINY

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
        Run(
            STUDY,
            "glyphs",
            "contrastive",
            "search",
            seed_from(*seed_prefix(STUDY, "glyphs", 0), "search", trial, fold),
            params[trial],
            trial,
            fold=fold,
        )
        for trial in range(count)
        for fold in range(STUDY.folds)
    ]


@pytest.fixture
def where(tmp_path):
    """A results folder: five complete trials, one of them failed; a sixth without its last fold."""
    where = folder.folder_of(tmp_path / "results", STUDY.name, "glyphs")
    folder.create(where)
    folder.admit(where, folder.describe(STUDY, "glyphs", "glyphs", "abc"))
    for run in search_runs(6)[:-1]:
        failure = "Diverged: the loss became nan" if (run.trial, run.fold) == (2, 1) else None
        records.append(where / "contrastive.jsonl", record(run, failure))
    return where


def load(url: str) -> optuna.Study:
    return optuna.load_study(storage=url, study_name="tiny/glyphs/contrastive")


def database_numbers(url: str) -> list[int]:
    """The database's own numbers of the trials; a trial that was written again has another."""
    storage = optuna.storages.RDBStorage(url)
    study = storage.get_study_id_from_name("tiny/glyphs/contrastive")
    return [
        storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        for trial in storage.get_all_trials(study)
    ]


def check_that_it_grows(where: Path, url: str) -> None:
    name = "tiny/glyphs/contrastive"
    assert export(where, None, url) == [Exported(name, trials_before=0, trials=5, rewritten=False)]
    assert export(where, None, url) == [Exported(name, trials_before=5, trials=5, rewritten=False)]
    written = load(url)
    numbers = database_numbers(url)
    read = records.read(where / "contrastive.jsonl").records
    trials = trials_of(STUDY, read)
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
    assert export(where, None, url) == [Exported(name, trials_before=5, trials=6, rewritten=False)]
    assert database_numbers(url)[:5] == numbers


def test_the_export_is_a_study_that_optuna_reads_and_grows_with_the_records(where, tmp_path):
    check_that_it_grows(where, f"sqlite:///{tmp_path}/study.db")


def test_optuna_can_go_on_from_an_exported_study(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    export(where, None, url)
    trial = load(url).ask(dict(SPACE))
    assert trial.number == 5
    assert set(trial.params) == set(SPACE)
    assert set(optuna.importance.get_param_importances(load(url))) == set(SPACE)


def test_a_study_whose_records_changed_is_rewritten(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    export(where, None, url)
    path = where / "contrastive.jsonl"
    unchanged = [line for line in records.read(path).records if line.trial != 2]
    path.unlink()
    for line in [*unchanged, *map(record, search_runs(3)[-STUDY.folds :])]:
        records.append(path, line)
    assert export(where, None, url) == [
        Exported("tiny/glyphs/contrastive", trials_before=5, trials=5, rewritten=True)
    ]
    states = [trial.state for trial in load(url).trials]
    assert states == [TrialState.COMPLETE] * 5


def test_a_gap_in_the_trials_ends_the_export_so_that_numbers_stay(where, tmp_path):
    path = where / "contrastive.jsonl"
    lines = records.read(path).records
    path.unlink()
    for line in lines:
        if line.key != "search-t3-f0":
            records.append(path, line)
    (exported,) = export(where, None, f"sqlite:///{tmp_path}/study.db")
    assert exported.trials == 3


def test_a_study_that_this_command_did_not_write_is_not_touched(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    foreign = optuna.create_study(storage=url, study_name="tiny/glyphs/contrastive")
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(Problem, match="that this command did not write"):
        export(where, None, url)
    assert [trial.value for trial in load(url).trials] == [1.0]


def test_only_the_selected_losses_are_written_and_the_untrained_trunk_never(where, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    shutil.copy(where / "contrastive.jsonl", where / "untrained.jsonl")
    assert export(where, ["untrained"], url) == []
    assert [study.name for study in export(where, None, url)] == ["tiny/glyphs/contrastive"]


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
    with pytest.raises(Problem, match=message) as problem:
        export(where, None, url)
    assert "secret" not in str(problem.value)


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
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return debian[-1].parent if debian else None


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a new PostgreSQL server, in a temporary folder and reached by a socket there."""
    data = Path(tempfile.mkdtemp(prefix="postgresql"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(data, user)
    bin_folder = programs()

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [str(bin_folder / program), f"--pgdata={data}/data", *words],
            check=True,
            cwd=data,
            user=user,
            stdout=subprocess.DEVNULL,
            timeout=HANGS,
        )

    try:
        call("initdb", "--username=harness", "--auth=trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={data} -c fsync=off"
        call("pg_ctl", "start", "--wait", f"--options={options}", f"--log={data}/log")
        yield f"postgresql://harness@/postgres?host={data}"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            call("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(data, ignore_errors=True)


@pytest.mark.services
@pytest.mark.skipif(postgresql_missing() is not None, reason=str(postgresql_missing()))
def test_the_export_into_postgresql_is_the_same_study(where):
    with postgresql() as url:
        check_that_it_grows(where, url)
