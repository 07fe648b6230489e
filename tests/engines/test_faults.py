"""Faults while a study runs: writes that fail, clocks that jump, embeddings that end.

Each leaves a study that the same call finishes with the records of an undisturbed one.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.engines import execute
from harness.records import records
from harness.schema import Problem
from tests.made import TINY, comparable, images, run

SMALL = replace(TINY, name="small", folds=2, trials=1, max_epochs=2, repeats=2)
LOSS = "contrastive"
WRITES = ("write", "fsync", "replace")  # of os: every way by which a study's files get there


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return images(tmp_path_factory.mktemp("images") / "tiny")


def study(folder: Path, results: Path) -> dict[str, dict[str, object]]:
    """The comparable records of the whole study, as they stand on disk."""
    jobs = run(SMALL, folder, results, losses=(LOSS,))
    return comparable([record for job in jobs for record in records.read(job.path).records])


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory) -> dict[str, dict[str, object]]:
    return study(folder, tmp_path_factory.mktemp("whole") / "results")


class Writes:
    """Counts the calls of os.write, os.fsync and os.replace, and lets one of them fail."""

    def __init__(self, monkeypatch, failing: int | None) -> None:
        self.calls: list[str] = []
        for name in WRITES:
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name), failing))

    def _counted(self, name, real, failing):
        def call(*words, **named):
            self.calls.append(name)
            if len(self.calls) - 1 == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*words, **named)

        return call


@pytest.mark.slow
def test_every_write_may_fail_once_and_the_same_call_ends_with_the_same_records(
    folder, undisturbed, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        counted = Writes(patched, None)
        assert study(folder, tmp_path / "counted" / "results") == undisturbed
    n = len(counted.calls)
    assert set(counted.calls) == set(WRITES)
    for failing in range(0, n, max(1, n // 12)):
        results = tmp_path / str(failing) / "results"
        with monkeypatch.context() as patched:
            Writes(patched, failing)
            with pytest.raises((Problem, OSError), match=r"No space left on device|is full"):
                study(folder, results)  # the command line has one line for both
        assert study(folder, results) == undisturbed, f"after write {failing} of {n} failed"
        left_over = [path.name for path in results.rglob(".*") if ".lock" not in path.name]
        assert not left_over


def test_a_clock_that_jumps_changes_no_record(folder, undisturbed, tmp_path, monkeypatch):
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** next(calls) * 86_400 * 400)
    assert study(folder, tmp_path / "results") == undisturbed


@pytest.mark.parametrize("value", [0.0, 1e30, -1e-30])
def test_embeddings_that_are_all_equal_are_scored_as_what_they_are(
    folder, tmp_path, monkeypatch, value
):
    real = execute.embeddings.network.embed

    def constant(*words):
        return torch.full_like(real(*words), value)

    monkeypatch.setattr(execute.embeddings.network, "embed", constant)
    for record in study(folder, tmp_path / "results").values():
        assert record["failure"] is None
        assert all(0 <= score <= 1 for name, score in record["scores"].items() if name != "queries")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_embeddings_that_are_not_finite_are_failures_and_never_numbers(
    folder, tmp_path, monkeypatch, value
):
    real = execute.embeddings.network.embed

    def broken(*words):
        embedded = real(*words)
        embedded[len(embedded) // 2] = value
        return embedded

    monkeypatch.setattr(execute.embeddings.network, "embed", broken)
    ended = study(folder, tmp_path / "results")
    assert ended
    assert all(str(record["failure"]).startswith("Diverged: ") for record in ended.values())
    assert all(record["scores"] == {} for record in ended.values())
