"""A folder's losses are compared by one plan: it grows where that is asked for, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engines import conductor
from harness.records import folder
from harness.records.begun import with_counts_begun
from tests.made import STUDY, TINY, images, run, scored, write_records


@pytest.fixture
def where(tmp_path):
    """A folder whose losses a and b were run with STUDY's counts: 5 trials, 3 repeats."""
    records = {loss: scored(loss, [0.5] * 3) for loss in ("a", "b")}
    write_records(tmp_path / "results", "made", records)
    (tmp_path / "results" / STUDY.name / "made" / "untrained.jsonl").touch()
    return tmp_path / "results" / STUDY.name / "made"


def begun(where, study, *, given=(), losses=("mine",)):
    """The counts by which the losses are run, and what is said."""
    study, lines = with_counts_begun(where, study, given=given, losses=losses)
    return {name: getattr(study, name) for name in folder.COUNTS}, lines


def test_a_loss_that_comes_later_has_the_trials_that_the_others_had(where):
    counts, (line,) = begun(where, replace(STUDY, trials=50))
    assert counts == {"trials": 5, "repeats": 3, "search_repeats": 1}
    assert line.startswith(f"{where} was begun with trials = 5 and goes on so")
    assert line.endswith("has 50; --trials 50 would plan 50 for every loss there")


def test_it_has_the_repeats_and_searches_that_the_others_had_and_no_fewer_than_they(where):
    counts, (line,) = begun(where, replace(STUDY, repeats=2))
    assert counts["repeats"] == 3
    assert line.endswith("goes on so, though the study has 2")
    counts, lines = begun(where, replace(STUDY, repeats=9, search_repeats=4))
    assert counts == {"trials": 5, "repeats": 3, "search_repeats": 1}
    assert [line.split(" = ")[0].split()[-1] for line in lines] == ["repeats", "search_repeats"]


def test_more_trials_that_are_asked_for_grow_the_plan_and_name_whom_it_leaves_unfinished(where):
    counts, (line,) = begun(where, replace(STUDY, trials=50), given={"trials"})
    assert counts["trials"] == 50
    assert "trials 5 -> 50 for every loss there" in line
    assert line.endswith("run with --trials 50 too: a, b")


@pytest.mark.parametrize("losses", [("a", "b"), ("a", "b", "mine")])
def test_where_every_loss_of_a_folder_is_run_the_study_says_how_many_trials(where, losses):
    counts, lines = begun(where, replace(STUDY, trials=50), losses=losses)
    assert (counts["trials"], lines) == (50, ())


def test_a_new_folder_and_the_counts_that_it_has_already_change_nothing(where, tmp_path):
    unchanged = {name: getattr(STUDY, name) for name in folder.COUNTS}
    assert begun(tmp_path / "new", STUDY) == begun(where, STUDY) == (unchanged, ())


def test_the_plan_of_a_folder_is_the_one_that_it_was_begun_with(tmp_path):
    """As `study --loss mine` on the records of a study that had fewer trials than its file."""
    of_images = images(tmp_path / "images", classes=16)
    results = tmp_path / "results"
    run(TINY, of_images, results, losses=("warped",))
    said: list[str] = []

    def prepared(**given):
        return conductor.prepare(
            replace(TINY, trials=TINY.trials + 1),
            [f"folder:{of_images}"],
            ("contrastive",),
            results=results,
            data_root=tmp_path / "data",
            notify=lambda event, *values: said.extend(values) if event == "line" else None,
            **given,
        )

    (where,) = (path.parent for path in results.glob("*/*/study.json"))
    jobs = prepared(counts_given=())
    assert {job.study.trials for job in jobs} == {TINY.trials}
    assert folder.study_of(folder.read_description(where)).trials == TINY.trials
    assert any("goes on so" in line for line in said)
    jobs = prepared(counts_given={"trials"})
    assert {job.study.trials for job in jobs} == {TINY.trials + 1}
