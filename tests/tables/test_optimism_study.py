"""The study `optimism`, really run: the pool, what its training sees, and who else may have it."""

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
from harness.commands import findings, optuna_studies, targets, verify
from harness.data import datasets
from harness.engines import conductor, execute
from harness.engines.execute import Places
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.protocol import plan, splits
from harness.records import folder, records
from harness.schema import POOL, Part, Problem, Run, Stopped, Study
from harness.seeds import seed_from
from harness.training import embeddings, scored_on_test, train
from tests.made import TINY, images, run

SMALL = replace(
    TINY,
    name="optimism",
    protocol="optimism",
    folds=2,
    trials=3,
    max_epochs=2,
    followup=False,
    followup_max_epochs=0,
    patience=2,
    pool_images_per_class=3,
)


class Finished(NamedTuple):
    """The job of one loss, and where it ran."""

    job: conductor.Job
    places: Places


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study, really run."""
    image_folder = images(tmp_path_factory.mktemp("images") / "tiny")
    results = tmp_path_factory.mktemp("run") / "results"
    jobs = {job.loss: job for job in run(SMALL, image_folder, results, losses=("warped",))}
    assert jobs["untrained"].records == []
    return Finished(jobs["warped"], Places(results, results.parent / "data"))


def pool_run(finished: Finished, number: int = 0) -> Run:
    """A run of the pool, as the plan had it."""
    job = finished.job
    runs = plan.startable_runs(
        job.study, job.dataset, job.loss, space=job.space, done={}, search_repeat=0
    )
    return runs[number]


def test_every_configuration_trains_every_fold_once_for_the_same_epochs(finished):
    pool = finished.job.records
    assert Counter((record.stage, record.trial) for record in pool) == {
        (POOL, trial): 2 for trial in range(3)
    }
    assert len({json.dumps(record.params) for record in pool}) == 3
    assert {record.epochs_run for record in pool} == {(2, 0)}
    assert {record.capped for record in pool} == {None}
    for record in pool:
        assert record.key.startswith("test_scored_pool")
        assert [entry["epoch"] for entry in record.curve] == [1, 2]
        assert all(len(entry["test_sums"]) == 8 for entry in record.curve)
        assert record.test_queries == [3] * 8
        assert record.by_class is None
        held_out = [entry["map_at_r"] for entry in record.curve]
        assert record.scores["map_at_r"] == max(held_out)


def test_the_training_is_the_plain_one_on_thinned_held_out_classes(finished):
    a_run = pool_run(finished)
    job, places = finished.job, finished.places
    (record,) = [record for record in job.records if record.key == a_run.key]
    dataset = datasets.load(job.dataset, places.data, job.study.resize)
    trainval = splits.trainval_part(dataset, "official")
    split = splits.fold(trainval.labels, "kfold", folds=2, number=0)
    held_out = trainval.take(split.held_out)
    first = np.concatenate([np.flatnonzero(held_out.labels == c)[:3] for c in range(4)])
    training = train.start_on(
        a_run, trainval.take(split.train), held_out.take(first), torch.device("cpu")
    )
    test = splits.test_part(dataset, "official")
    test = test.take(np.concatenate([np.flatnonzero(test.labels == c)[:3] for c in range(8)]))
    for entry, recorded in zip(train.epochs(training), record.curve, strict=True):
        shared = {name: value for name, value in entry.items() if name in recorded}
        assert shared == {n: value for n, value in recorded.items() if n != "test_sums"}
        embedded = embeddings.for_retrieval(
            training.network, test, a_run, torch.device("cpu"), classes="test"
        )
        sums = sums_by_class(neighbour_lists(embedded, torch.from_numpy(test.labels)))
        assert recorded["test_sums"] == pytest.approx(sums["map_at_r"], abs=5e-7)


def test_a_run_stopped_after_every_epoch_ends_with_the_same_record(finished, tmp_path):
    a_run = pool_run(finished, 1)
    (record,) = [record for record in finished.job.records if record.key == a_run.key]
    places = replace(finished.places, results=tmp_path)
    for epoch in (1, 2):
        calls = iter([False])
        with pytest.raises(Stopped, match=f"after normal epoch {epoch}"):
            execute.execute(a_run, places, lambda calls=calls: next(calls, True))
    again = execute.execute(a_run, places)
    assert (again.curve, again.scores) == (record.curve, record.scores)
    assert again.test_queries == record.test_queries


def test_an_interrupted_pool_goes_on_and_its_records_are_checked_and_verified(finished, tmp_path):
    job = finished.job
    where = tmp_path / "results" / "optimism" / job.path.parent.name
    where.mkdir(parents=True)
    (where / "study.json").write_text((job.path.parent / "study.json").read_text())
    lines = job.path.read_bytes().splitlines(keepends=True)
    (where / "warped.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:100])
    unfinished = {finding.kind for finding in findings.check(where).findings}
    assert {"torn", "incomplete"} <= unfinished
    image_folder = finished.job.dataset.removeprefix("folder:")
    run(SMALL, image_folder, tmp_path / "results", losses=("warped",))
    on_again = records.read(where / "warped.jsonl").records
    outcome = {r.key: (r.scores, r.curve, r.test_queries, r.seed) for r in job.records}
    assert {r.key: (r.scores, r.curve, r.test_queries, r.seed) for r in on_again} == outcome
    kinds = {finding.kind for finding in findings.check(where).findings}
    assert kinds <= {"study"}  # SMALL is not what the study's file says
    row = targets.records_named(finished.places.results, f"optimism/{where.name}/warped")
    assert {target.record.key for target in row} == set(outcome)
    assert verify.verify(row[2], finished.places).verdict == "identical"
    forged = replace(row[2], record=replace(row[2].record, test_queries=[4] * 8))
    assert "its test_queries differs" in verify.verify(forged, finished.places).changes


def test_only_the_study_optimism_may_have_a_pool_and_it_has_nothing_else():
    with pytest.raises(Problem, match="is for the study 'optimism' alone"):
        replace(SMALL, name="mine")
    with pytest.raises(Problem, match="pool_images_per_class is for the study 'optimism'"):
        replace(TINY, pool_images_per_class=4)
    with pytest.raises(Problem, match="only the study 'optimism' has runs of the stage"):
        Run(TINY, "made", "warped", POOL, 1, {}, 0)
    with pytest.raises(Problem, match="and it has no others"):
        Run(SMALL, "made", "warped", "search", 1, {}, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"race": True}, "race = True"),
        ({"followup": True, "followup_max_epochs": 1}, "followup = True"),
        ({"search_repeats": 2}, "search_repeats = 2"),
        ({"patience": 1}, "patience = 1 would end some trainings early"),
        ({"pool_images_per_class": 1}, "at least 2 are needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pool_whose_configurations_would_not_be_alike_is_refused(changes, words):
    with pytest.raises(Problem, match=words):
        replace(SMALL, **changes)


def test_the_study_that_was_taken_out_is_refused_with_what_to_do():
    with pytest.raises(
        Problem, match="give --study optimism, or read old records with the version"
    ):
        Study(name="standard", protocol="standard")


def test_training_refuses_to_be_scored_on_test_classes_for_any_other_run():
    a_run = Run(TINY, "made", "warped", "search", 1, {}, 0, fold=0)
    nothing = Part(np.zeros((0, 1, 1, 3), np.uint8), np.arange(0), np.arange(0))
    with pytest.raises(ValueError, match="may not meet test classes before its model is kept"):
        scored_on_test.start(a_run, nothing, torch.device("cpu"))
    training = train.Training(a_run, nothing, None, None, None, None, torch.device("cpu"))
    with pytest.raises(ValueError, match="may not meet test classes before its model is kept"):
        next(scored_on_test.epochs(training, nothing))


def test_a_dataset_of_more_classes_than_records_can_hold_is_refused(finished, monkeypatch):
    monkeypatch.setattr(execute, "BY_CLASS", 7)
    with pytest.raises(Problem, match=r"has 8 test classes.*for at most 7"):
        execute.execute(pool_run(finished), finished.places)


def test_queries_are_counted_as_the_scores_have_them():
    rng = np.random.default_rng(1)
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    for groups in (None, np.array([1, 1, -1, 0, 3, 3, 3, 3]), np.array([1, 1, 2, 0, -1, -1, 5, 5])):
        part = Part(np.zeros((8, 1, 1, 3), np.uint8), np.arange(8), labels, groups)
        lists = neighbour_lists(
            torch.from_numpy(rng.normal(size=(8, 4))),
            torch.from_numpy(labels),
            groups=None if groups is None else torch.from_numpy(groups),
        )
        assert scored_on_test.queries_by_class(part) == sums_by_class(lists)["queries"]


def test_the_records_of_a_pool_are_no_evidence_and_trials_with_their_held_out_scores(
    finished, tmp_path
):
    where = tmp_path / "optimism" / "cub"
    where.mkdir(parents=True)
    files.write_text(
        where / "study.json",
        json.dumps(folder.describe(replace(SMALL, per_dataset={}), "cub", "cub", "x")),
    )
    for record in finished.job.records:
        seed = seed_from("optimism", "cub", POOL, record.trial, record.fold)
        moved = replace(record, dataset="cub", seed=seed, provenance={})
        records.append(where / "warped.jsonl", moved)
    assert evidence.read(tmp_path, "optimism") == {}
    url = f"sqlite:///{tmp_path}/optuna.db"
    (exported,) = optuna_studies.export(where, None, url)
    frozen = optuna.load_study(study_name=exported.name, storage=url).trials
    assert [trial.intermediate_values for trial in frozen] == [
        {r.fold: r.scores["map_at_r"] for r in finished.job.records if r.trial == trial}
        for trial in range(3)
    ]
