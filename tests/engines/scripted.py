"""A small study under an engine that does at once what a test says of each run."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from harness.engines import conductor
from harness.records import folder
from tests.made import SPACE, STUDY, done

SMALL = replace(STUDY, trials=3, parallel_trials=1, folds=2, repeats=2)


class Scripted:
    """An engine that does at once what a function says of a run: a record, or an exception."""

    def __init__(self, outcome, slots=2):
        self.outcome, self.slots = outcome, slots

    def submit(self, run):
        future: Future = Future()
        result = self.outcome(run)
        (future.set_exception if isinstance(result, Exception) else future.set_result)(result)
        return future

    def stop(self):
        return "stopping"

    def close(self):
        pass


def job_in(root, loss="made", study=SMALL):
    where = root / study.name / "made"
    folder.create(where)
    folder.admit(where, folder.describe(study, "made", "made", "f00d"))
    return conductor.Job(study, "made", loss, SPACE, where / f"{loss}.jsonl")


def conduct(jobs, outcome, slots=2):
    lines: list[str] = []

    def notify(event, *values):
        if event == "line":
            lines.append(values[0])

    conductor.conduct(jobs, Scripted(outcome, slots), notify)
    return lines


def failed(run, failure):
    return done(run, failure=failure, scores={}, epochs=(0, 0))
