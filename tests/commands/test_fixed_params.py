"""A study that fixes params of a loss, and older records with absolute follow-up values: all of it.

Trained for real on tiny images: records, their derivation, the export, the continuing.
"""

from __future__ import annotations

import json
from dataclasses import replace

import optuna
import pytest

from harness.commands.optuna_studies import export
from harness.engines import conductor
from harness.engines.jobs import Job
from harness.protocol import derive, search
from harness.records import folder, records
from tests.made import TINY, images, run

STUDY = replace(TINY, trials=2, loss_params={"margin": {"sampling": "all"}})


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    where = tmp_path_factory.mktemp("fixed")
    jobs = run(STUDY, images(where / "tiny"), where / "results", losses=("margin",))
    return next(job for job in jobs if job.loss == "margin")


def test_every_record_states_the_fixed_params_and_derives_from_the_study_on_disk(job):
    description = folder.read_description(job.path.parent)
    study = folder.study_of(description)
    assert study == STUDY.for_dataset(job.dataset)
    contents = records.read(job.path)
    assert {record.params["sampling"] for record in contents.records} == {"all"}
    assert "followup_margin_ratio" in contents.records[0].params
    origin = derive.Origin(study, job.dataset, "margin", description["fingerprint"])
    assert derive.misfits(origin, contents.records) == {}
    assert derive.underivable(origin, contents.records, job.space) == {}
    first = replace(contents.records[0], params={**contents.records[0].params, "sampling": "any"})
    assert 0 in derive.underivable(origin, [first, *contents.records[1:]], job.space)


def test_the_export_has_the_searched_params_as_params_and_the_fixed_ones_beside(job, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    export(job.path.parent, None, url)
    [name] = optuna.get_all_study_names(url)
    trials = optuna.load_study(study_name=name, storage=url).trials
    assert [set(trial.params) for trial in trials] == [set(job.space)] * STUDY.trials
    assert all(trial.user_attrs["loss_params"] == {"sampling": "all"} for trial in trials)


@pytest.mark.parametrize(("ratio", "inside"), [(0.5, True), (3.0, False)])
def test_a_search_with_absolute_followup_values_goes_on_and_says_if_they_inform_nothing(
    job, tmp_path, ratio, inside
):
    """Older records hold followup_margin where today's hold followup_margin_ratio."""
    path = tmp_path / "margin.jsonl"
    trials = [r for r in records.read(job.path).records if r.stage == "search" and r.trial == 0]
    for record in trials:
        params = dict(record.params)
        params.pop("followup_margin_ratio")
        old = {**params, "followup_margin": ratio * params["margin"]}
        fields = vars(replace(record, params=old, provenance={}, digest=None))
        kept = {k: v for k, v in fields.items() if v is not None or k in ("repeat", "failure")}
        with path.open("a") as file:
            file.write(json.dumps(kept) + "\n")
    older = Job(job.study, job.dataset, "margin", job.space, path)
    lines = []
    engine = EndedAtOnce()
    assert not conductor.conduct(
        [older], engine, lambda *event: lines.append(event), stopping=lambda: True
    )
    warned = [text for kind, text in (e for e in lines if e[0] == "line") if "inform" in text]
    assert len(warned) == (0 if inside else 1)
    assert all(
        "margin: trials of other ranges than today's inform no proposal: trial 0" in text
        for text in warned
    )
    assert len(older.startable()) == STUDY.folds  # the next trial
    normal, followup = search.loss_params({}, older.records[0].params)
    assert followup["margin"] == pytest.approx(ratio * normal["margin"])


class EndedAtOnce:
    """An engine that takes no run, because the study stops before the first one."""

    slots = 1

    def stop(self) -> str:
        return "stopping"
