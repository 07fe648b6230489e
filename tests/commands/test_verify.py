"""Verification: a true record comes out identical, a forged one different."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.commands import verify
from harness.engines.execute import Places
from harness.schema import Problem
from tests.made import TINY, images, run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished tiny study: its jobs, its folder and places to redo its runs."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny", classes=10)
    results = tmp_path_factory.mktemp("run") / "results"
    jobs = {job.loss: job for job in run(TINY, folder, results, losses=("warped",))}
    return jobs, Places(results, results.parent / "data")


@pytest.mark.parametrize("stage", ["search", "repeat", "ensemble", "complete"])
@pytest.mark.parametrize("loss", ["warped", "untrained"])
def test_every_kind_of_record_comes_out_identical(made, stage, loss):
    jobs, places = made
    lines = [record for record in jobs[loss].records if record.stage == stage]
    assert bool(lines) == ((loss, stage) != ("untrained", "search"))
    for record in lines[-1:]:
        found = verify.verify(jobs[loss].study, record, jobs[loss].records, places)
        assert (found.verdict, found.differences, found.changed) == ("identical", {}, ())


def test_a_forged_score_is_found_with_its_difference(made):
    jobs, places = made
    job = jobs["warped"]
    record = next(record for record in job.records if record.stage == "complete")
    forged = replace(record, scores={**record.scores, "map_at_r": record.scores["map_at_r"] + 0.2})
    found = verify.verify(job.study, forged, job.records, places)
    assert found.verdict == "different"
    assert found.differences["map_at_r"] == pytest.approx(-0.2)


@pytest.mark.parametrize("field", ["curve", "by_class"])
def test_what_is_forged_beside_the_scores_is_named(made, field):
    jobs, places = made
    job = jobs["warped"]
    stage = "search" if field == "curve" else "complete"
    record = next(record for record in job.records if record.stage == stage)
    told = json.loads(json.dumps(getattr(record, field)))
    if field == "curve":
        told[0]["loss"] += 1e-9
    else:
        told["map_at_r"][0] += 1e-9
    forged = replace(record, **{field: told})
    found = verify.verify(job.study, forged, job.records, places)
    assert found.verdict != "identical"
    assert found.differences == {}
    assert found.changed == (f"its {field} differs",)


def test_changed_circumstances_are_named(made):
    jobs, places = made
    job = jobs["warped"]
    record = job.records[0]
    elsewhere = replace(record, provenance={**record.provenance, "device": "cuda: H100"})
    found = verify.verify(job.study, elsewhere, job.records, places)
    assert found.verdict == "identical"
    assert any(line.startswith("device cuda: H100 -> cpu") for line in found.changed)


def test_a_record_of_another_study_cannot_be_redone(made):
    jobs, _ = made
    with pytest.raises(Problem, match="was not made by the study beside it"):
        verify.run_of(replace(jobs["warped"].study, weight_decay=0.5), jobs["warped"].records[0])


def test_a_row_is_the_final_runs_of_the_best_trial_and_a_key_is_one_record(made):
    jobs, places = made
    where = jobs["warped"].path.parent
    name = f"{where.parent.name}/{where.name}/warped"
    row = [record for _, record, _ in verify.chosen(places.results, name)]
    assert {record.stage for record in row} == {"repeat", "ensemble", "complete"}
    assert len(row) == 8 + 2 + 2
    key = row[0].key
    assert [r for _, r, _ in verify.chosen(places.results, f"{name}/{key}")] == [row[0]]
    for wrong in (f"{name}/nothing", "no/where", "x"):
        with pytest.raises(Problem, match="no record"):
            list(verify.chosen(places.results, wrong))
