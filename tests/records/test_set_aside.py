"""Records that a study starts again without lie in a folder of their own; nothing is deleted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.records import folder, records
from harness.records.set_aside import set_aside
from harness.schema import Problem
from tests.made import STUDY, play

NOW = folder.describe(STUDY, "made", "made", "f00d")


@pytest.fixture
def where(tmp_path):
    """A results folder with two losses and a checkpoint of one."""
    where = tmp_path / "tiny" / "made"
    folder.create(where)
    folder.admit(where, NOW)
    for loss in ("a", "b"):
        records.append(where / f"{loss}.jsonl", play(lambda runs: runs[0], loss=loss)[0])
    (where / "work" / "a").mkdir(parents=True)
    (where / "work" / "a" / "x.checkpoint").write_text("x")
    return where


def files(path):
    names = {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}
    return {name for name in names if not name.endswith(".lock")}


def test_the_records_and_the_work_of_one_loss_move_and_those_of_others_stay(where):
    text = (where / "a.jsonl").read_text()
    target = set_aside(where, ["a", "never_run"], NOW)
    assert target is not None
    assert target.parent == where / folder.SET_ASIDE
    assert files(target) == {"study.json", "a.jsonl", "work/a/x.checkpoint"}
    assert (target / "a.jsonl").read_text() == text
    aside = target.relative_to(where)
    kept = {"study.json", "b.jsonl"}
    assert files(where) == kept | {f"{aside}/{name}" for name in files(target)}


@pytest.mark.parametrize(
    "now",
    [
        folder.describe(replace(STUDY, weight_decay=0.5), "made", "made", "f00d"),
        NOW | {"fingerprint": "beef"},
    ],
)
def test_all_losses_move_where_the_study_or_the_dataset_changed(where, now):
    with pytest.raises(Problem, match="--fresh"):
        folder.admit(where, now)
    target = set_aside(where, ["a"], now)
    assert target is not None
    assert files(target) == {"study.json", "a.jsonl", "b.jsonl", "work/a/x.checkpoint"}
    assert json.loads((target / "study.json").read_text()) == NOW
    folder.admit(where, now)


def test_twice_in_a_second_are_two_folders_and_nothing_is_nothing(where, tmp_path):
    targets = {set_aside(where, [loss], NOW) for loss in ("a", "b")}
    assert len(targets - {None}) == 2
    assert set_aside(where, ["a"], NOW) is None
    assert set_aside(tmp_path / "nowhere", ["a"], NOW) is None


def test_records_that_are_being_written_stay(where):
    with folder.hold(where / "a.jsonl"), pytest.raises(Problem, match="is being written by"):
        set_aside(where, ["a"], NOW)
    assert (where / "a.jsonl").exists()
