"""Studies that are stopped and workers that are killed, as real processes: the same records."""

from __future__ import annotations

import functools
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.commands import signals
from harness.engines import conductor
from harness.engines.execute import Places
from harness.engines.local import Local
from tests.engines import interrupted, killer
from tests.made import HANGS, needs_proc


def conduct(folder: str, root: str, pause: str, patience: str) -> None:
    """What `study` does between its options and its table, in a process of its own."""
    signals.SECONDS_AFTER_SIGTERM = float(patience)
    where = interrupted.places(Path(root))
    jobs = interrupted.jobs(where, Path(folder))
    slowly = functools.partial(interrupted.slowly, every=3600.0, pause=float(pause))
    engine = Local([where] * 2, slowly)
    try:
        with signals.StopSignals() as stop_signals:
            finished = conductor.conduct(
                jobs, engine, print_stopping, stopping=stop_signals.received
            )
        code = 0 if finished else stop_signals.exit_code
    except KeyboardInterrupt as stop:
        code = 1000 + stop.args[0]
    finally:
        engine.close()
    print(code)


def print_stopping(event: str, *values: object) -> None:
    if event == "stopping":
        print(*values, flush=True)


def start(*words: object) -> subprocess.Popen[str]:
    code = (
        f"from tests.engines.test_stop import conduct; conduct(*{[str(word) for word in words]!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for_epoch(
    where: Places, number: int, process: subprocess.Popen[str], *, runs: int = 1
) -> None:
    """Until so many runs have trained so many epochs."""
    deadline = time.monotonic() + HANGS
    while len({e.key for e in interrupted.trace(where) if e.number >= number}) < runs:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return interrupted.folder(tmp_path_factory.mktemp("stop"))


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    return interrupted.sequential(tmp_path_factory.mktemp("sequential"), folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])  # SIGINT: tests/commands/test_cli.py
def test_after_one_signal_runs_in_flight_keep_a_checkpoint_from_which_the_next_start_goes_on(
    folder, expected, tmp_path, number
):
    (tmp_path / "stopped").mkdir()
    where = interrupted.places(tmp_path / "stopped")
    process = start(folder, tmp_path / "stopped", 0.3, 60)
    wait_for_epoch(where, 1, process, runs=2)
    process.send_signal(number)
    lines = process.communicate(timeout=HANGS)[0].splitlines()
    assert "finish their epoch and keep a checkpoint" in lines[0]
    assert lines[1:] == [str(128 + number)]
    checkpoints = {path.stem for path in where.results.rglob("*.checkpoint")}
    assert checkpoints == {"search-t0-f0", "search-t0-f1"}
    assert not list(where.results.rglob("contrastive.jsonl"))
    again = start(folder, tmp_path / "stopped", 0.0, 60)
    assert again.communicate(timeout=HANGS)[0] == "0\n"
    assert interrupted.recorded(interrupted.jobs(where, folder)) == expected
    for key in checkpoints:
        first, second = interrupted.lives(where, key)
        assert second == list(range(first[-1] + 1, interrupted.SMALL.max_epochs + 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "patience", "code"),
    [
        ([signal.SIGINT, signal.SIGINT], 60, 1130),
        ([signal.SIGTERM], 1, 1143),
    ],
)
def test_a_second_signal_or_a_long_epoch_after_sigterm_stops_at_once(
    folder, tmp_path, numbers, patience, code
):
    where = interrupted.places(tmp_path)
    process = start(folder, tmp_path, 45, patience)
    wait_for_epoch(where, 1, process)
    begun = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.5)
    lines = process.communicate(timeout=HANGS)[0].splitlines()
    assert lines[-1] == str(code)
    assert time.monotonic() - begun < 20
    assert not list(where.results.rglob("*.checkpoint"))


@pytest.mark.slow
@needs_proc
def test_workers_killed_at_random_six_times_or_more_in_a_study_change_no_record(
    tmp_path,
):
    expected, recorded = killer.records_of_both(
        tmp_path, lambda where, execute: Local([where] * 2, execute), least=6
    )
    assert recorded == expected


@pytest.mark.parametrize("in_flight", [False, True])
def test_nothing_of_an_engine_is_left_when_it_is_closed(folder, tmp_path, in_flight):
    where = interrupted.places(tmp_path)
    run = interrupted.jobs(where, folder)[0].startable()[0]
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    engine = Local([where] * 2)
    future = engine.submit(run) if in_flight else None
    engine.close()
    assert {*threading.enumerate(), *multiprocessing.active_children()} <= before
    assert future is None or future.cancelled()
