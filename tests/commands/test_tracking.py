"""`study --log`: what is refused at the start, and that a tracker's fault costs no study."""

from __future__ import annotations

import importlib.util
import threading

import pytest

from harness.commands import tracking
from harness.commands.tracking import Tracking
from harness.engines.jobs import Job
from harness.trackers.ledger import Ledger
from tests.made import HANGS, SPACE, STUDY, call
from tests.trackers.entries import record

FULL = "[Errno 28] No space left on device"


class Listing:
    """A tracker that keeps the keys of what it is given, and raises where it is told to."""

    place = "a list"

    def __init__(self, *broken: str) -> None:
        self.broken, self.keys = set(broken), []

    def write(self, entry) -> None:
        if entry.key in self.broken:
            raise OSError(FULL)
        self.keys.append(entry.key)


def track(tracker, path, *events) -> list[str]:
    """What a study with these events says, to its end."""
    lines: list[str] = []
    with Tracking("tensorboard", tracker, Ledger(path), lines.append) as one:
        for event in events:
            one(*event)
        one.finish()
    return lines


def job(*records) -> Job:
    return Job(STUDY, "glyphs", "made", SPACE, STUDY.name, records=list(records))


@pytest.mark.parametrize("name", tracking.TRACKERS)
def test_a_package_that_is_missing_is_named_before_anything_runs(name, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == name else find(n, *a)
    )
    words = ("study", "--study", "smoke", "--dataset", "glyphs", "--results", tmp_path / "results")
    code, out, err = call(*words, "--log", name)
    assert (code, out) == (2, "")
    assert f"python -m pip install {name}" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_misspelt_tracker_is_refused_in_one_line_with_the_one_that_was_meant():
    code, _, err = call("study", "--log", "tensorbord")
    assert code == 2
    assert "'tensorboard'" in err
    assert err.count("\n") == 1


def test_what_was_there_comes_first_and_a_second_study_writes_nothing_twice(tmp_path):
    tracker = Listing()
    events = [("jobs", [job(record(0))]), ("record", None, record(1))]
    assert track(tracker, tmp_path / "written", *events) == []
    assert tracker.keys == ["search-t0-f0", "search-t0-f1"]
    later = [("jobs", [job(record(0), record(1))]), ("record", None, record(2))]
    track(tracker, tmp_path / "written", *later)
    assert tracker.keys == ["search-t0-f0", "search-t0-f1", "search-t0-f2"]


def test_an_error_is_said_once_and_what_was_missed_is_written_by_the_next_study(tmp_path):
    tracker = Listing("search-t0-f0")
    events = [("record", None, record(fold)) for fold in range(3)]
    lines = track(tracker, tmp_path / "written", *events)
    assert lines[0].startswith(
        "tensorboard: OSError: [Errno 28] No space left on device; the study"
    )
    assert lines[1:] == ["tensorboard: 1 runs are not written there; the same command writes them"]
    tracker.broken.clear()
    track(tracker, tmp_path / "written", ("jobs", [job(*(record(fold) for fold in range(3)))]))
    assert sorted(tracker.keys) == [f"search-t0-f{fold}" for fold in range(3)]


def test_a_server_that_is_down_is_left_alone_after_three_errors(tmp_path):
    tracker = Listing(*(f"search-t0-f{fold}" for fold in range(3)))
    lines = track(tracker, tmp_path / "x", *(("record", None, record(f)) for f in range(5)))
    assert tracker.keys == []
    assert "3 errors in a row; nothing more is written there" in lines[1]
    assert "5 runs are not written there" in lines[2]


def test_a_study_that_is_stopped_does_not_wait_for_a_tracker_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.05)
    begun, goes_on = threading.Event(), threading.Event()

    class Hanging(Listing):
        def write(self, entry) -> None:
            begun.set()
            goes_on.wait(HANGS)

    lines: list[str] = []
    with Tracking("mlflow", Hanging(), Ledger(tmp_path / "x"), lines.append) as one:
        one("record", None, record())
        assert begun.wait(HANGS)
    goes_on.set()
    assert lines == ["mlflow: 1 runs are not written there; the same command writes them"]
