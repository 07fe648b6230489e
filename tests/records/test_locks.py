"""One writer, wherever the folder lies: file systems without locks, machines that are gone."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from harness.records import folder, locks
from harness.schema import Problem
from tests.made import HANGS


@pytest.fixture
def without_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "RIVAL_SECONDS", 0.05)


def hold_until_released(lock: Path, ready, release) -> None:
    with locks.hold(lock):
        ready.set()
        release.wait(HANGS)


def test_without_locks_a_living_process_holds_and_a_dead_one_does_not(tmp_path, without_locks):
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    lock = tmp_path / "made.lock"
    holder = context.Process(target=hold_until_released, args=(lock, ready, release))
    holder.start()
    assert ready.wait(HANGS)
    with pytest.raises(locks.LockHeld), locks.hold(lock):
        pass
    assert (locks.holder_of(lock) or {})["pid"] == holder.pid
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert locks.holder_of(lock) is None
    with locks.hold(lock):
        assert (locks.holder_of(lock) or {})["pid"] == os.getpid()
    assert locks.holder_of(lock) is None


def test_a_process_that_has_the_number_of_a_dead_holder_does_not_hold(tmp_path, without_locks):
    lock = tmp_path / "made.lock"
    with locks.hold(lock):
        holder = json.loads(lock.read_text())
    lock.write_text(json.dumps(holder | {"started": "1"}))
    assert locks.holder_of(lock) is None


def test_of_two_who_take_it_at_the_same_moment_the_later_one_has_it(
    tmp_path, without_locks, monkeypatch
):
    lock = tmp_path / "made.lock"
    with locks.hold(lock):
        rival = json.loads(lock.read_text()) | {"token": "another"}
    # The rival writes its name while this process waits for rivals.
    monkeypatch.setattr(time, "sleep", lambda _: lock.write_text(json.dumps(rival)))
    with pytest.raises(locks.LockHeld), locks.hold(lock):
        pass
    assert json.loads(lock.read_text()) == rival


@pytest.mark.parametrize("locking", [True, False])
def test_a_holder_on_another_machine_is_believed_until_it_gives_no_more_signs_of_life(
    tmp_path, request, locking
):
    if not locking:
        request.getfixturevalue("without_locks")
    path = tmp_path / "made.jsonl"
    lock = path.with_suffix(".lock")
    holder = {"pid": 12, "host": "away", "since": "x", "machine": "other", "started": "1"}
    lock.write_text(json.dumps(holder))
    os.utime(lock, (time.time() - 30, time.time() - 30))
    with (
        pytest.raises(Problem, match=r"by process 12 on away.*its hold ends in (90|89|91) s"),
        folder.hold(path),
    ):
        pass
    assert folder.holder_of(path) == holder
    lapsed = time.time() - locks.LEASE_SECONDS - 5
    os.utime(lock, (lapsed, lapsed))
    assert folder.holder_of(path) is None
    with folder.hold(path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert lock.read_text() == ""


def test_a_holder_gives_signs_of_life_and_a_lock_kept_for_a_lost_machine_says_the_way_out(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.02)
    path = tmp_path / "made.jsonl"
    lock = path.with_suffix(".lock")
    with folder.hold(path):
        os.utime(lock, (0, 0))
        deadline = time.monotonic() + HANGS
        while lock.stat().st_mtime < time.time() - 60:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    monkeypatch.setattr(locks, "RENEW_SECONDS", 60.0)
    with folder.hold(path):
        # A file server that still locks for a machine that is gone looks like this.
        os.utime(lock, (0, 0))
        with pytest.raises(Problem, match=f"if that machine is gone for good, remove {lock}"):
            folder.hold(path).__enter__()


@pytest.mark.parametrize(
    "text", ["[]", "1", '"x"', "[" * 100_000, '{"pid": "x"}', '{"pid": 1, "machine": 2}', "\x00"]
)
def test_a_lock_that_names_no_holder_is_free_whatever_it_holds(tmp_path, text):
    lock = tmp_path / "made.lock"
    lock.write_text(text)
    assert locks.holder_of(lock) is None
    with locks.hold(lock):
        assert (locks.holder_of(lock) or {})["pid"] == os.getpid()


def test_the_holder_of_a_lock_that_is_removed_or_replaced_learns_it(tmp_path, without_locks):
    lock = tmp_path / "made.lock"
    with locks.hold(lock) as is_held:
        assert is_held()
        content = lock.read_text()
        lock.unlink()
        assert not is_held()
        lock.write_text(content)
        assert not is_held()  # another file, whatever it says
    lock.unlink()
    with locks.hold(lock) as is_held:
        lock.write_text(content)  # another holder's name in the same file
        assert not is_held()


@pytest.mark.parametrize(
    ("seconds", "by_file_system", "advice"),
    [
        (0.0, False, "--results"),
        (10.0, False, f"its hold ends in {locks.LEASE_SECONDS - 10:.0f} s"),
        (10.0, True, "--results"),  # no lease ends it
        (20 * 60.0, False, "no sign of life for 20 minutes: if that machine is gone for good, "),
    ],
)
def test_what_to_do_about_another_writer_goes_with_how_its_lock_would_end(
    tmp_path, seconds, by_file_system, advice
):
    held = locks.LockHeld({"pid": 12}, seconds, by_file_system=by_file_system)
    text = folder._writer_message(tmp_path / "a.jsonl", tmp_path / "a.lock", held)
    assert "by process 12 on ? since ?; wait for it, stop it, or give another folder" in text
    assert advice in text
    assert text.endswith("--results") == (advice == "--results")
