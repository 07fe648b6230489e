"""Slurm: options, and a real cluster of two nodes with jobs requeued and coordinators killed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="submitit is not installed")

from harness.commands.signals import StopSignals
from harness.engines import conductor, execute, slurm_options
from harness.engines.execute import Places
from harness.engines.slurm import Slurm
from harness.engines.slurm_jobs import note_of
from harness.engines.slurm_options import Options
from harness.schema import Problem
from tests.engines import interrupted, killer, slurm_fixture
from tests.made import HANGS

OBSTACLE = slurm_fixture.obstacle()
real_slurm = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
OPTIONS = """\
partition = "gpu"
time_minutes = 3
gres = "gpu:1"
max_queued = 2
look_seconds = 1
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_options_come_from_toml_and_become_options_of_sbatch(tmp_path):
    path = written(
        tmp_path / "slurm.toml",
        'partition = "gpu"\ntime_minutes = 90\ngpus = 1\nmemory = "16GB"\n'
        'setup = ["module load cuda"]\n[extra]\nnice = 100\nexclusive = true\n',
    )
    parameters = slurm_options.parameters(slurm_options.read(path), "harness-demo", threads=3)
    assert parameters["partition"] == "gpu"
    assert parameters["time"] == 90
    assert parameters["gpus_per_node"] == 1
    assert parameters["mem"] == "16GB"
    assert parameters["cpus_per_task"] == 3
    assert parameters["setup"][-1] == "module load cuda"
    checkout = Path(__file__).resolve().parents[2]
    assert parameters["setup"][0].startswith(f"export PYTHONPATH={shlex.quote(str(checkout))}$")
    assert parameters["additional_parameters"] == {"requeue": True, "nice": 100, "exclusive": True}
    assert "account" not in parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('partitoin = "gpu"', "did you mean 'partition'"),
        ('time_minutes = "60"', "time_minutes = '60' is not of the type int"),
        ("gpus = true", "gpus = True is not of the type int"),
        ('setup = "module load cuda"', "not of the type list of strings"),
        ('gpus = 1\ngres = "gpu:1"', "give one"),
        ("max_queued = 0", "max_queued = 0; 1 to 1000"),
        ("time_minutes = 1", "leaves a job of 1 minutes no time"),
        ("partition = ", "are not TOML"),
    ],
)
def test_an_option_that_is_wrong_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(Problem, match=message):
        slurm_options.read(written(tmp_path / "slurm.toml", text))


def test_a_missing_options_file_is_a_problem_that_names_it(tmp_path):
    with pytest.raises(Problem, match=r"nowhere\.toml cannot be read"):
        slurm_options.read(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("options", "device"),
    [
        (Options(), "cpu"),
        (Options(gpus=1), "cuda"),
        (Options(gres="gpu:a100:1"), "cuda"),
        (Options(gres="shard:1"), "cpu"),
        (Options(extra={"gpus-per-task": 1}), "cuda"),
    ],
)
def test_a_job_whose_options_have_a_gpu_runs_on_it(options, device):
    assert options.device == device


def test_a_machine_without_slurm_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="no sbatch, squeue, srun on this machine"):
        Slurm(interrupted.places(tmp_path), Options())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_fixture.slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


def coordinate(folder: str, root: str, options: str) -> None:
    """What a coordinator does, here in a process of its own."""
    where = interrupted.places(Path(root))
    engine = Slurm(where, slurm_options.read(Path(options)), interrupted.slowly)
    jobs = interrupted.jobs(where, Path(folder))
    try:
        with StopSignals() as signals:
            conductor.conduct(jobs, engine, lambda *_: None, stopping=signals.received)
    finally:
        engine.close()


def start(cluster, *words: object) -> subprocess.Popen[bytes]:
    code = (
        f"from tests.engines.test_slurm import coordinate; coordinate(*{[str(w) for w in words]!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code], env=cluster)


def wait_for(condition, process: subprocess.Popen[bytes] | None = None, seconds: float = HANGS):
    """The first true value of `condition()`, while `process` lives."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        assert process is None or process.poll() is None, "the coordinator ended early"
        time.sleep(0.05)
    return value


def notes(where: Places) -> dict[str, str]:
    """Slurm's job by the run's key, of runs in flight."""
    jobs = {}
    for path in where.results.glob("*/*/work/slurm/contrastive-*.json"):
        try:
            jobs[path.stem.removeprefix("contrastive-")] = json.loads(path.read_text())["job"]
        except FileNotFoundError:
            continue  # its result was collected meanwhile
    return jobs


def in_mid_run(where: Places, beside: str = "") -> tuple[str, str] | None:
    """Key and job of a run that has trained some epochs and is far from its last."""
    for key, job in notes(where).items():
        lives = interrupted.lives(where, key)
        if key != beside and len(lives) == 1 and 2 <= lives[0][-1] <= 4:
            return key, job
    return None


@pytest.mark.services
@real_slurm
def test_requeued_jobs_and_a_killed_coordinator_end_with_the_records_of_a_sequential_study(
    cluster, tmp_path
):
    folder = interrupted.folder(tmp_path)
    expected = interrupted.sequential(tmp_path / "sequential", folder)
    root = tmp_path / "slurm"
    root.mkdir()
    where = interrupted.places(root)
    options = written(tmp_path / "slurm.toml", OPTIONS)
    process = start(cluster, folder, root, options)
    try:
        preempted, job = wait_for(lambda: in_mid_run(where), process)
        slurm_fixture.ask(cluster, "scontrol", "requeue", job)
        timed_out, job = wait_for(lambda: in_mid_run(where, beside=preempted), process)
        slurm_fixture.ask(cluster, "scancel", "--signal=USR2", job)  # as at the time limit
        in_flight = notes(where)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(in_flight) == 2
        process = start(cluster, folder, root, options)
        most, deadline = 0, time.monotonic() + HANGS
        while process.poll() is None and time.monotonic() < deadline:
            most = max(most, len(notes(where)))
            time.sleep(0.1)
        assert process.returncode == 0
        assert most == 2  # of the four repeats that could start at once
    finally:
        process.kill()
        process.wait()
    assert interrupted.recorded(interrupted.jobs(where, folder)) == expected
    for key in (preempted, timed_out):
        interrupted.assert_resumed(where, key)
    known = slurm_fixture.ask(
        cluster, "squeue", "--noheader", "--array", "--states=all", "--format=%i %j"
    )
    mine = [line.split()[0] for line in known.splitlines() if line.endswith("harness-small")]
    assert len(mine) == interrupted.RUNS, "a run was submitted twice"
    assert notes(where) == {}


def engine_in(cluster, monkeypatch, where: Places, text: str, tmp_path: Path, execute) -> Slurm:
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster[name])
    return Slurm(where, slurm_options.read(written(tmp_path / "slurm.toml", text)), execute)


@pytest.mark.services
@real_slurm
def test_one_signal_ends_the_coordinator_and_the_jobs_go_on_without_it(cluster, tmp_path):
    folder = interrupted.folder(tmp_path)
    where = interrupted.places(tmp_path)
    process = start(cluster, folder, tmp_path, written(tmp_path / "slurm.toml", OPTIONS))
    try:
        wait_for(lambda: in_mid_run(where), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS) == 0
    finally:
        process.kill()
        process.wait()
    waiting = notes(where)
    assert waiting
    for job in waiting.values():
        state = slurm_fixture.ask(cluster, "squeue", "--noheader", f"--jobs={job}", "--format=%T")
        assert state.split()[0] in ("RUNNING", "PENDING")
        slurm_fixture.ask(cluster, "scancel", job)


def first_run(where: Places, tmp_path: Path):
    return interrupted.jobs(where, interrupted.folder(tmp_path))[0].startable()[0]


@pytest.mark.services
@real_slurm
def test_jobs_killed_at_random_four_times_or_more_in_a_study_change_no_record(
    cluster, tmp_path, monkeypatch
):
    def engine_of(where, execute):
        return engine_in(cluster, monkeypatch, where, OPTIONS, tmp_path, execute)

    expected, recorded = killer.records_of_both(
        tmp_path,
        engine_of,
        least=4,
        are_children=False,
    )
    assert recorded == expected


def die_once(run, places):
    """Stands for a run that takes its job down the first time."""
    marker = places.results.parent / "died"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return execute.execute(run, places)


@pytest.mark.services
@real_slurm
def test_a_job_that_crashes_is_submitted_again_and_one_that_cannot_begin_stops_the_study(
    cluster, tmp_path, monkeypatch
):
    where = interrupted.places(tmp_path)
    run = first_run(where, tmp_path)
    engine = engine_in(cluster, monkeypatch, where, OPTIONS, tmp_path, die_once)
    try:
        assert engine.submit(run).result(HANGS).failure is None
        assert (tmp_path / "died").exists()
    finally:
        engine.close()
    broken = OPTIONS + 'setup = ["echo no such module >&2; exit 1"]\n'
    engine = engine_in(cluster, monkeypatch, where, broken, tmp_path, execute.execute)
    try:
        with pytest.raises(Problem, match="ended before it began"):
            engine.submit(run).result(HANGS)
        with pytest.raises(Problem, match="ended before it began"):
            engine.submit(run).result(HANGS)
    finally:
        engine.close()
    assert notes(where) == {}


@pytest.mark.services
@real_slurm
def test_jobs_that_are_cancelled_refused_or_too_slow_are_problems_that_say_what_to_do(
    cluster, tmp_path, monkeypatch
):
    where = interrupted.places(tmp_path)
    run = first_run(where, tmp_path)
    engine = engine_in(cluster, monkeypatch, where, OPTIONS, tmp_path, interrupted.slowly)
    try:
        future = engine.submit(run)
        job = wait_for(lambda: notes(where).get(run.key))
        slurm_fixture.ask(cluster, "scancel", job)
        with pytest.raises(Problem, match=f"job {job} was cancelled"):
            future.result(HANGS)
    finally:
        engine.close()
    elsewhere = OPTIONS.replace('"gpu"', '"nowhere"', 1)
    engine = engine_in(cluster, monkeypatch, where, elsewhere, tmp_path, interrupted.slowly)
    try:
        with pytest.raises(Problem, match=r"(?s)sbatch refuses 1 jobs.*partition.*slurm\.toml"):
            engine.submit(run).result(HANGS)
    finally:
        engine.close()
    never = OPTIONS + "timeouts = 0\n"
    engine = engine_in(cluster, monkeypatch, where, never, tmp_path, interrupted.slowly)
    try:
        future = engine.submit(run)
        _, job = wait_for(lambda: in_mid_run(where))
        slurm_fixture.ask(cluster, "scancel", "--signal=USR2", job)
        with pytest.raises(Problem, match="reached its time limit more than 0 times; raise time_"):
            future.result(HANGS)
    finally:
        engine.close()
    assert notes(where) == {}


@pytest.mark.services
@real_slurm
def test_a_job_of_another_seed_is_cancelled_and_one_that_slurm_has_forgotten_is_replaced(
    cluster, tmp_path, monkeypatch
):
    where = interrupted.places(tmp_path)
    run = first_run(where, tmp_path)
    engine = engine_in(cluster, monkeypatch, where, OPTIONS, tmp_path, interrupted.slowly)
    engine.submit(run)
    old = wait_for(lambda: notes(where).get(run.key))
    engine.close()
    engine = engine_in(
        cluster, monkeypatch, replace(where, device="auto"), OPTIONS, tmp_path, execute.execute
    )
    engine.close()
    assert engine.places.device == "cuda"  # as gres asks
    engine = engine_in(cluster, monkeypatch, where, OPTIONS, tmp_path, execute.execute)
    other = replace(run, seed=run.seed + 1)
    forgotten = replace(other, fold=1)
    note_of(forgotten, where).write("987654", attempt=1)
    try:
        futures = [engine.submit(each) for each in (other, forgotten)]
        assert [future.result(HANGS).seed for future in futures] == [run.seed + 1] * 2
    finally:
        engine.close()
    states = slurm_fixture.ask(cluster, "squeue", "-h", "--states=all", "--format=%i %T")
    assert f"{old} CANCELLED" in states.splitlines()
