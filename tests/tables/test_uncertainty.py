"""Scores by class add up to the scores, and the test set's own uncertainty is the bootstrap's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from harness.measure.scores import neighbour_lists, retrieval_scores, sums_by_class
from harness.tables import uncertainty
from harness.tables.table import METRICS
from tests.made import STUDY, TINY, call, images, play, run
from tests.twins import retrieval as twins


def test_sums_by_class_are_those_of_a_slow_twin_and_add_up_to_the_scores():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4))
    labels = np.sort(rng.integers(0, 5, 30))
    lists = neighbour_lists(torch.from_numpy(x), torch.from_numpy(labels))
    sums = sums_by_class(lists)
    scores = retrieval_scores(torch.from_numpy(x), torch.from_numpy(labels))
    neighbours = twins.neighbour_lists(x)
    classes = [c for c in range(5) if (labels == c).sum() > 1]
    for place, c in enumerate(classes):
        queries = np.flatnonzero(labels == c)
        assert sums["queries"][place] == len(queries)
        hits = sum(labels[neighbours[query][0]] == c for query in queries)
        assert sums["precision_at_1"][place] == hits
    for metric in METRICS:
        total = sum(sums[metric]) / sum(sums["queries"])
        assert total == pytest.approx(scores[metric], abs=1e-12)


def test_a_class_without_a_query_that_can_be_answered_is_left_out():
    x = torch.tensor([[0.0], [0.1], [5.0], [9.0], [9.1]])
    lists = neighbour_lists(x, torch.tensor([0, 0, 1, 2, 2]))
    assert sums_by_class(lists)["queries"] == [2.0, 2.0]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny study that was really run: its jobs by loss, its results folder."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny", classes=16, per_class=3)
    results = tmp_path_factory.mktemp("run") / "results"
    return {job.loss: job for job in run(TINY, folder, results, losses=("contrastive",))}, results


def test_every_final_record_holds_its_scores_by_class_and_no_search_record_does(made):
    for job in made[0].values():
        for line, record in zip(job.path.read_text().splitlines(), job.records, strict=True):
            assert ("by_class" in json.loads(line)) == (record.stage != "search")
            if record.by_class is None:
                continue
            assert len(record.by_class["queries"]) == 8
            for metric in METRICS:
                total = sum(record.by_class[metric]) / sum(record.by_class["queries"])
                assert total == pytest.approx(record.scores[metric], abs=1e-12)


def test_the_command_shows_training_and_test_set_beside_each_other_in_every_form(made):
    words = ("table", "--uncertainty", "--results", made[1])
    code, out, _ = call(*words)
    assert code == 0
    assert "| contrastive | complete  | MAP@R  |" in out
    assert "over classes: the test classes drawn anew, given these trained models" in out
    data = json.loads(call(*words, "--json")[1])
    row = next(r for r in data["rows"] if r["loss"] == "contrastive")
    assert row["classes_low"] <= row["mean"] <= row["classes_high"]
    assert (row["repeats"], row["classes"]) == (2, 8)
    text = call(*words, "--format", "csv")[1]
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert lines[0].startswith("study,dataset,loss,category,metric,mean,repeats,classes,failed,")
    assert lines[0].endswith(",repeats_and_classes_high")
    named = {(data["study"], data["dataset"])}
    assert {tuple(line.split(",")[:2]) for line in lines[1:]} == named
    assert r"\end{tabular}" in call(*words, "--format", "latex")[1]


def by_class(means):
    """Scores by class as records hold them, of 4 queries a class."""
    return {"queries": [4.0] * len(means), **{m: [4 * mean for mean in means] for m in METRICS}}


def test_the_interval_over_classes_is_scipys_bootstrap_of_the_class_means():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, (3, 40))
    played = [
        replace(r, by_class=by_class(scores[r.repeat])) if r.stage == "complete" else r
        for r in play(lambda runs: runs[0])
    ]
    lines = uncertainty.lines(STUDY, "made", {"made": played})
    assert [line.metric for line in lines] == list(METRICS)
    line = lines[0]
    expected = scipy_stats.bootstrap(
        (scores.mean(0),), np.mean, n_resamples=10_000, method="percentile", rng=1
    ).confidence_interval
    assert line.sources["classes"].mean == pytest.approx(scores.mean())
    assert line.sources["classes"].low == pytest.approx(expected.low, abs=0.005)
    assert line.sources["classes"].high == pytest.approx(expected.high, abs=0.005)
    assert uncertainty.lines(STUDY, "made", {"made": played}) == lines


def test_older_records_without_scores_by_class_end_in_one_line_that_says_so(made, tmp_path):
    for description in made[1].glob("*/*/study.json"):
        older = tmp_path / description.parent.relative_to(made[1])
        older.mkdir(parents=True)
        shutil.copy(description, older)
        for path in description.parent.glob("*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                line.pop("by_class", None)
                line.pop("digest", None)
            (older / path.name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = call("table", "--uncertainty", "--results", tmp_path)
    assert code == 2
    assert "has no scores by class" in err
