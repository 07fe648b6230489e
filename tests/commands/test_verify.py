"""`verify`: an honest record comes out identical, a forged one different."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from harness.commands import targets, verify
from harness.commands.targets import Target, records_named
from harness.engines.execute import Places
from harness.records import provenance
from harness.schema import Problem, run_of
from tests.made import TINY, call, images, run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The jobs of a finished tiny study, and the places where its runs can be repeated."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny")
    results = tmp_path_factory.mktemp("run") / "results"
    jobs = {job.loss: job for job in run(TINY, folder, results, losses=("warped",))}
    return jobs, Places(results, results.parent / "data")


def target_of(study, record, loss="warped", **changes) -> Target:
    """The record as the command has it, with its job's records."""
    job = study[0][loss]
    whole = {"loss_records": job.records, "reason": None, **changes}
    return Target(address=record.name, study=job.study, record=record, **whole)


def first(study, stage):
    return next(record for record in study[0]["warped"].records if record.stage == stage)


@pytest.mark.parametrize("stage", ["search", "repeat", "ensemble", "complete"])
@pytest.mark.parametrize("loss", ["warped", "untrained"])
def test_every_kind_of_record_comes_out_identical(study, stage, loss):
    jobs, places = study
    records = [record for record in jobs[loss].records if record.stage == stage]
    assert bool(records) == ((loss, stage) != ("untrained", "search"))
    for record in records[-1:]:
        finding = verify.verify(target_of(study, record, loss), places)
        assert (finding.verdict, finding.differences) == ("identical", {})


@pytest.mark.parametrize("by", [0.1, 1e-9, -0.001])
@pytest.mark.parametrize("peers", [0, 3])
def test_a_forged_score_is_different_however_small_and_whatever_its_peers(study, by, peers):
    """The forged record is no peer of its own, and unchanged provenance leaves no interval."""
    record = first(study, "complete")
    forged = replace(record, scores={**record.scores, "map_at_r": record.scores["map_at_r"] + by})
    others = [replace(forged, key=f"complete-{number}") for number in range(peers)]
    target = target_of(study, forged, loss_records=[forged, *others])
    finding = verify.verify(target, study[1])
    assert finding.verdict == "different"
    assert finding.differences["map_at_r"] == pytest.approx(-by)


@pytest.mark.parametrize(
    ("stage", "field"),
    [("search", "curve"), ("complete", "by_class"), ("complete", "epochs")],
)
def test_a_forged_field_beside_the_scores_is_different_and_named(study, stage, field):
    record = first(study, stage)
    value = json.loads(json.dumps(getattr(record, field)))
    if field == "curve":
        value[0]["loss"] += 1e-9
    elif field == "by_class":
        value["map_at_r"][0] += 1e-9
    forged = replace(record, **{field: value if field != "epochs" else record.epochs})
    if field == "epochs":
        forged = replace(record, failure="Diverged: made up")
    finding = verify.verify(target_of(study, forged), study[1])
    assert finding.verdict == "different"
    assert finding.differences == {}
    name = "failure" if field == "epochs" else field
    assert finding.changes[-1] == f"its {name} differs"


@pytest.mark.parametrize("change", ["deleted", "added"])
def test_scores_are_compared_by_name_both_ways(study, change):
    record = first(study, "repeat")
    scores = {**record.scores, "recall_at_99": 0.5}
    if change == "deleted":
        scores = {name: value for name, value in record.scores.items() if name != "recall_at_2"}
    finding = verify.verify(target_of(study, replace(record, scores=scores)), study[1])
    assert finding.verdict == "different"
    name = "recall_at_2" if change == "deleted" else "recall_at_99"
    assert finding.differences.keys() == {name}


def test_a_finding_is_one_json_object_where_a_score_that_is_not_there_is_null():
    finding = verify.Finding("a/b/c", "different", {"map_at_r": 0.5, "nmi": math.nan}, ("x",))
    assert json.loads(verify.as_json(finding), parse_constant=pytest.fail) == {
        "event": "finding",
        "record": "a/b/c",
        "verdict": "different",
        "differences": {"map_at_r": 0.5, "nmi": None},
        "changes": ["x"],
    }


def moved(record, **scores):
    """The record as if made on another machine, with some scores changed."""
    made_by = {**record.provenance, "device": "cuda: H100"}
    return replace(record, provenance=made_by, scores={**record.scores, **scores})


@pytest.mark.parametrize(
    ("by", "peers", "verdict"),
    [
        (0.0, 0, "identical"),
        (0.001, 3, "within the interval"),
        (0.001, 2, "different"),
        (0.9, 3, "different"),
    ],
)
def test_on_another_machine_a_score_must_lie_in_the_interval_of_the_other_repeats(
    study, by, peers, verdict
):
    record = first(study, "complete")
    score = record.scores["map_at_r"]
    forged = moved(record, map_at_r=score + by)
    others = [
        replace(record, key=f"c{n}", scores={k: v + 0.01 * n for k, v in record.scores.items()})
        for n in range(-1, peers - 1)
    ]
    finding = verify.verify(target_of(study, forged, loss_records=[forged, *others]), study[1])
    assert finding.verdict == verdict
    assert any(line.startswith("device cuda: H100 -> cpu") for line in finding.changes)


@pytest.mark.parametrize("kind", ["family 25, model 1: avx2", None])
def test_another_processor_of_the_same_name_is_named_and_an_older_record_has_none(study, kind):
    record = first(study, "complete")
    made_by = {name: value for name, value in record.provenance.items() if name != "processor"}
    if kind is not None:
        made_by["processor"] = kind
    finding = verify.verify(target_of(study, replace(record, provenance=made_by)), study[1])
    named = [line for line in finding.changes if line.startswith("processor ")]
    here = first(study, "search").provenance.get("processor")
    assert named == ([f"processor {kind} -> {here}"] if kind and here else [])
    if provenance.processor_kind() is not None:
        assert here.startswith(f"{provenance.processor_kind()}; torch ")


@pytest.mark.parametrize(
    ("capability", "processor", "hinted"),
    [
        ("AVX512", None, True),
        ("AVX512", "family 25, model 1: avx2 fma; torch AVX2", True),
        ("AVX512", "family 25, model 17: avx2 fma avx512f; torch AVX512", False),
        ("AVX2", None, False),
    ],
)
def test_an_unequal_record_of_a_processor_without_avx512_gets_the_way_to_compute_like_it(
    study, monkeypatch, capability, processor, hinted
):
    record = first(study, "complete")
    made_by = {**record.provenance, "processor": processor}
    forged = replace(record, provenance=made_by, scores={**record.scores, "map_at_r": 0.5})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(targets, "records_named", lambda *_: [target_of(study, forged)])
    name, places = record.name, study[1]
    code, out, err = call("verify", name, "--results", places.results, "--data", places.data)
    assert code == 1
    assert "1 different" in out
    assert ("ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" in err) == hinted


def test_what_does_not_derive_is_not_trained(study, monkeypatch):
    monkeypatch.setattr("harness.engines.execute.execute", None)
    record = first(study, "complete")
    finding = verify.verify(target_of(study, record, reason="its seed is 5"), study[1])
    assert (finding.verdict, finding.changes) == ("underivable", ("its seed is 5",))


def test_a_run_that_was_given_up_has_nothing_to_compare(study):
    given_up = replace(first(study, "complete"), provenance={}, failure="its worker died")
    finding = verify.verify(target_of(study, given_up), study[1])
    assert (finding.verdict, finding.changes) == ("given up", ("its worker died",))


def test_a_dataset_that_changed_is_one_clear_problem_before_training(study, monkeypatch):
    monkeypatch.setattr("harness.engines.execute.execute", None)
    record = first(study, "complete")
    changed = replace(record, provenance={**record.provenance, "dataset": "beef"})
    with pytest.raises(Problem, match=r"is not the dataset of .*recorded beef"):
        verify.verify(target_of(study, changed), study[1])


def test_a_record_of_another_study_cannot_be_repeated(study):
    jobs, _ = study
    with pytest.raises(Problem, match="was not made by the study beside it"):
        run_of(replace(jobs["warped"].study, weight_decay=0.5), jobs["warped"].records[0])


def test_a_row_is_the_final_runs_of_the_best_trial_and_a_key_is_one_record(study):
    jobs, places = study
    where = jobs["warped"].path.parent
    name = f"{where.parent.name}/{where.name}/warped"
    row = records_named(places.results, name)
    assert {target.record.stage for target in row} == {"repeat", "ensemble", "complete"}
    assert len(row) == 8 + 2 + 2
    assert {target.reason for target in row} == {None}
    key = row[0].record.key
    spelled = f"{where.parent.name}/{row[0].record.dataset}/warped/{key}"
    assert spelled.startswith("tiny/folder:/")
    for address in (f"{name}/{key}", spelled, row[0].address, row[0].record.name):
        (target,) = records_named(places.results, address)
        assert (target.record, target.address) == (row[0].record, row[0].address)
    for wrong in (f"{name}/nothing", "no/where", "x", "", "tiny/", "tiny/folder:/nowhere", "/"):
        with pytest.raises(Problem, match="no record"):
            records_named(places.results, wrong)


def words_of(study, name):
    places = study[1]
    return ("verify", name, "--results", places.results, "--data", places.data, "--device", "cpu")


def test_the_command_counts_its_findings_and_prints_addresses_that_it_reads(study):
    record = first(study, "complete")
    where = study[0]["warped"].path.parent
    name = f"{where.parent.name}/{where.name}/warped/{record.key}"
    code, out, err = call(*words_of(study, name))
    assert (code, err) == (0, f"1 of 1: {name}\n")
    lines = [line for line in out.splitlines() if not line.startswith("  changed: ")]
    assert lines == [f"{name}: identical", "verified 1 of 1: 1 identical"]


def test_ctrl_c_leaves_a_summary_of_what_was_verified(study, monkeypatch):
    real, count = verify.verify, 0

    def interrupted(target, places):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return real(target, places)

    monkeypatch.setattr(verify, "verify", interrupted)
    where = study[0]["untrained"].path.parent
    code, out, err = call(*words_of(study, f"{where.parent.name}/{where.name}/untrained"))
    assert code == 130
    assert out.endswith("verified 2 of 12: 2 identical; stopped\n")
    assert err.splitlines()[-1].startswith("3 of 12: tiny/")


def test_diagnostics_are_compared_those_that_the_record_was_made_with(tmp_path):
    folder = images(tmp_path / "tiny")
    results = tmp_path / "results"
    with_some = replace(TINY, diagnostics=("uniformity", "spectral_decay"))
    jobs = {job.loss: job for job in run(with_some, folder, results, losses=("contrastive",))}
    job, places = jobs["contrastive"], Places(results, tmp_path / "data")
    record = next(record for record in job.records if record.stage == "complete")
    plain = replace(TINY, diagnostics=())  # as study.json may say now

    def finding_of(changed):
        target = Target(record.name, plain, changed, job.records, None)
        return verify.verify(target, places)

    assert finding_of(record).verdict == "identical"
    assert finding_of(replace(record, diagnostics=None)).verdict == "identical"
    forged = {**record.diagnostics, "uniformity": record.diagnostics["uniformity"] - 1e-9}
    finding = finding_of(replace(record, diagnostics=forged))
    assert finding.verdict == "different"
    assert finding.differences == {"uniformity": pytest.approx(1e-9)}
