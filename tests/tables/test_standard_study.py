"""The study `standard`, really run: same trials, two choices, and where test classes may go."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import optuna
import pytest
import torch

from harness import files
from harness.audit import evidence
from harness.commands import optuna_studies, targets, verify
from harness.engines import conductor, execute
from harness.engines.execute import Places
from harness.protocol import splits
from harness.records import folder, records
from harness.schema import TEST_TUNED, Part, Problem, Run
from harness.seeds import seed_from
from harness.tables import optimism
from harness.training import train, tuned_on_test
from tests.made import TINY, images, run

SMALL = replace(
    TINY,
    name="standard",
    protocol="standard",
    folds=2,
    dim=16,
    complete_dim=16,
    repeats=3,
    complete_epochs_multiple=1,
)


class Finished(NamedTuple):
    """The job of one loss, where it ran, and in which order test parts met trainings.

    `events` are ("start" or "tuned", stage) as a training begins, ("trained", stage) as it ends and
    ("test", "") as a test part is built.
    """

    job: conductor.Job
    places: Places
    events: list[tuple[str, str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study, really run."""
    image_folder = images(tmp_path_factory.mktemp("images") / "tiny")
    results = tmp_path_factory.mktemp("run") / "results"
    events: list[tuple[str, str]] = []
    real_start, real_epochs = train.start, train.epochs
    real_tuned, real_test = tuned_on_test.start, splits.test_part
    with pytest.MonkeyPatch.context() as patch:

        def start(started, *rest):
            events.append(("start", started.stage))
            return real_start(started, *rest)

        def epochs(training):
            yield from real_epochs(training)
            events.append(("trained", training.run.stage))

        def tuned(started, *rest):
            events.append(("tuned", started.stage))
            return real_tuned(started, *rest)

        def test_part(*arguments):
            events.append(("test", ""))
            return real_test(*arguments)

        patch.setattr(execute.train, "start", start)
        patch.setattr(execute.train, "epochs", epochs)
        patch.setattr(execute.tuned_on_test, "start", tuned)
        patch.setattr(execute.splits, "test_part", test_part)
        jobs = {job.loss: job for job in run(SMALL, image_folder, results, losses=("warped",))}
    return Finished(jobs["warped"], Places(results, results.parent / "data"), events)


def test_both_searches_train_the_same_trials_and_every_run_is_done_once(finished):
    job_records = finished.job.records
    assert Counter(record.stage for record in job_records) == {
        "search": 3,
        "test_tuned_search": 3,
        "complete": 3,
        "test_tuned_complete": 3,
    }
    params = {
        stage: {r.trial: r.params for r in job_records if r.stage == stage}
        for stage in ("search", "test_tuned_search")
    }
    assert params["search"] == params["test_tuned_search"]
    assert len({json.dumps(p, sort_keys=True) for p in params["search"].values()}) == 3


def test_the_honest_branch_never_meets_test_classes_before_its_model_is_kept(finished):
    events = finished.events
    assert {stage for event, stage in events if event == "start"} == {"search", "complete"}
    assert {stage for event, stage in events if event == "tuned"} == set(TEST_TUNED)
    for i, (event, stage) in enumerate(events):
        if event == "start":
            assert events[i + 1] == ("trained", stage)  # no test part in between
        if event == "test":
            before = events[i - 1] if i else ("", "")
            after = events[i + 1] if i + 1 < len(events) else ("", "")
            is_final = before in (("trained", "complete"), ("trained", "test_tuned_complete"))
            assert is_final or after[0] == "tuned"


def test_the_honest_search_holds_out_the_second_half_of_the_trainval_classes():
    labels = np.repeat(np.arange(100), 2)
    split = splits.fold(labels, SMALL.fold_layout, folds=SMALL.folds, number=SMALL.search_folds[0])
    assert SMALL.search_folds == (1,)
    assert set(labels[split.train]) == set(range(50))
    assert set(labels[split.held_out]) == set(range(50, 100))


def test_the_winner_of_each_branch_and_the_honest_epochs_follow_from_its_own_scores(finished):
    job_records = finished.job.records
    for searching, final in (("search", "complete"), TEST_TUNED):
        scores = {r.trial: r.scores["map_at_r"] for r in job_records if r.stage == searching}
        winner = max(scores, key=lambda trial: (scores[trial], -trial))
        assert {r.trial for r in job_records if r.stage == final} == {winner}
    honest = next(r for r in job_records if r.stage == "complete")
    chosen = next(r for r in job_records if r.stage == "search" and r.trial == honest.trial)
    assert honest.epochs == chosen.epochs


def test_a_test_tuned_record_says_so_in_stage_key_and_curve_and_has_the_best_epoch_on_test(
    finished,
):
    for record in finished.job.records:
        test_entries = [entry for entry in record.curve if "test_map_at_r" in entry]
        if record.stage not in TEST_TUNED:
            assert not test_entries
            assert "test" not in record.key
            continue
        assert record.key.startswith(record.stage)
        assert not any("map_at_r" in entry for entry in record.curve)
        best = max(test_entries, key=lambda entry: entry["test_map_at_r"])
        assert record.scores["map_at_r"] == pytest.approx(best["test_map_at_r"], abs=1e-12)


def test_the_repeats_of_both_branches_share_their_seeds_and_nothing_else_does(finished):
    job_records = finished.job.records
    seeds = {
        stage: {r.repeat: r.seed for r in job_records if r.stage == stage}
        for stage in ("complete", "test_tuned_complete")
    }
    assert seeds["complete"] == seeds["test_tuned_complete"]
    searched = [r.seed for r in job_records if r.stage in ("search", "test_tuned_search")]
    assert len(set(searched)) == 6
    assert not set(searched) & set(seeds["complete"].values())


def test_every_kind_of_record_of_the_study_verifies(finished):
    job, places = finished.job, finished.places
    for stage in ("search", "complete", *TEST_TUNED):
        record = next(r for r in job.records if r.stage == stage)
        name = f"standard/{job.path.parent.name}/warped/{record.key}"
        (target,) = targets.records_named(places.results, name)
        result = verify.verify(target, places)
        assert (result.verdict, result.differences) == ("identical", {})
    where = job.path.parent
    row = targets.records_named(places.results, f"standard/{where.name}/warped")
    assert {target.record.stage for target in row} == {"complete", "test_tuned_complete"}


def test_only_standard_may_be_of_the_protocol_that_tunes_on_test():
    with pytest.raises(Problem, match="is for the study 'standard' alone"):
        replace(SMALL, name="mine")
    with pytest.raises(Problem, match="only the study 'standard' may"):
        Run(TINY, "made", "warped", "test_tuned_complete", 1, {}, 0)


def test_training_refuses_test_classes_for_any_other_run():
    a_run = Run(SMALL, "made", "warped", "complete", 1, {}, 0)
    nothing = Part(np.zeros((0, 1, 1, 3), np.uint8), np.arange(0), np.arange(0))
    with pytest.raises(ValueError, match="may not see test classes in training"):
        tuned_on_test.start(a_run, nothing, nothing, torch.device("cpu"))


@pytest.fixture
def as_cub(finished, tmp_path):
    """The records of the study, as if they were of the published dataset cub: their folder."""
    where = tmp_path / "standard" / "cub"
    where.mkdir(parents=True)
    description = folder.describe(replace(SMALL, per_dataset={}), "cub", "cub", "x")
    files.write_text(where / "study.json", json.dumps(description))
    for record in finished.job.records:
        if record.repeat is None:
            names = (record.stage, record.trial, *(() if record.fold is None else (record.fold,)))
        else:
            names = ("complete", record.repeat)
        seed = seed_from("standard", "cub", *names)
        moved = replace(record, dataset="cub", seed=seed, provenance={})
        records.append(where / "warped.jsonl", moved)
    return where


def test_test_tuned_records_are_no_evidence(finished, as_cub):
    job = finished.job
    evidence_by_key = evidence.read(as_cub.parent.parent, "standard")
    ids = [name for of_key in evidence_by_key.values() for name in of_key.records]
    assert ids
    assert not any("test_tuned" in name for name in ids)
    honest = optimism.repeat_scores(
        job.study, "warped", job.records, stage="complete", metric="map_at_r"
    )
    values = evidence_by_key["warped", "cub", "complete", "map_at_r"].values
    assert values == [100 * honest[repeat] for repeat in sorted(honest)]


def test_test_tuned_records_are_no_optuna_trials(finished, as_cub, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    (exported,) = optuna_studies.export(as_cub, None, url)
    frozen = optuna.load_study(study_name=exported.name, storage=url).trials
    job_records = finished.job.records
    searched = {r.trial: r.scores["map_at_r"] for r in job_records if r.stage == "search"}
    assert [trial.value for trial in frozen] == [searched[trial] for trial in sorted(searched)]
