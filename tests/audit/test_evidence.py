"""Our records on disk as evidence, up to the verdict that they lead to."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import files
from harness.audit import check_evidence, check_in_kind, evidence
from harness.audit.by_records import judge_by_records, our_side
from harness.audit.statements import STEPS, pairs
from harness.records import folder, records
from tests.audit.builders import A_AGAINST_B, claim_of, evidence_of, statement_of
from tests.made import STUDY, call, play


def rising(rate: float, epochs: int = 40) -> list[dict[str, object]]:
    """A curve that nears 1 at `rate` an epoch, evaluated every epoch."""
    return [
        {"phase": "normal", "epoch": e, "loss": 1.0, "map_at_r": 1 - float(np.exp(-rate * e))}
        for e in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.5, "supported"), (3.0, "not supported"), (6.0, "contradicted")]
)
def test_a_statement_of_faster_convergence_is_judged_by_the_curves_of_our_repeats(
    tmp_path, factor, verdict
):
    where = tmp_path / "tiny" / "cars"
    where.mkdir(parents=True)
    study = replace(STUDY, name="tiny")
    files.write_text(where / "study.json", json.dumps(folder.describe(study, "cars", "cars", "x")))
    rng = np.random.default_rng(0)
    for loss, rate in (("fast", 0.3), ("slow", 0.1)):
        for record in play(lambda runs: runs[0], study, loss, dataset="cars"):
            if record.stage == "repeat":
                record = replace(record, curve=rising(rate * (1 + 0.1 * rng.normal())))
            records.append(where / f"{loss}.jsonl", record)
    measured = evidence.read(tmp_path, "tiny")
    assert measured["fast", "cars", "complete", STEPS].curves is not None
    faster = statement_of(
        "converges_faster",
        factor=factor,
        a={"method": ("fast",)},
        b={"method": ("slow",)},
        where={"dataset": ("cars",)},
    )
    finding = check_evidence.of_statement(faster, pairs(faster, []), measured)
    assert finding.verdict == verdict
    assert "90 % of the lowest best value among the runs of both losses" in finding.reason
    assert "times as fast" in finding.reason
    assert all("/repeat-" in name for name in finding.records)


def test_a_claim_of_nmi_meets_the_diagnostics_of_our_runs_in_percent(tmp_path):
    where = tmp_path / "tiny" / "cars"
    where.mkdir(parents=True)
    study = replace(STUDY, name="tiny")
    files.write_text(where / "study.json", json.dumps(folder.describe(study, "cars", "cars", "x")))
    nmi = (0.60, 0.62, 0.61)
    for record in play(lambda runs: runs[0], study, "proxy_nca", dataset="cars"):
        if record.stage == "complete":
            diagnostics = {"nmi": nmi[record.repeat], "avg_dtp": 1.5}
            record = replace(record, diagnostics=diagnostics)
        records.append(where / "proxy_nca.jsonl", record)
    measured = evidence.read(tmp_path, "tiny")
    of_nmi = measured["proxy_nca", "cars", "complete", "nmi"]
    assert of_nmi.values == pytest.approx([60, 62, 61])
    assert measured["proxy_nca", "cars", "complete", "avg_dtp"].values == [1.5, 1.5, 1.5]
    assert ("proxy_nca", "cars", "ensemble", "nmi") not in measured
    claimed = claim_of(method="proxy_nca", dataset="cars", metric="NMI", value=64.9)
    finding = check_evidence.of_claim(claimed, measured)
    assert finding.numbers["measured"] == pytest.approx(61)
    assert "claimed 64.9, ours 61.00" in finding.reason


def test_evidence_names_the_final_records_of_the_first_search_s_winner_and_no_others():
    study = replace(STUDY, name="tiny", search_repeats=2)
    every = play(lambda runs: runs[0], study, "proxy_nca", dataset="cars")
    assert {record.search_repeat for record in every} == {0, 1}
    winner = next(r.trial for r in every if r.stage == "ensemble" and not r.search_repeat)
    of_an_earlier_winner = [
        replace(record, trial=winner + 1, key=f"{record.key}-other")
        for record in every
        if record.stage == "ensemble" and not record.search_repeat
    ]
    given = [*every, *of_an_earlier_winner]
    measured = evidence.of_loss(study, "proxy_nca", given, dataset="cars")
    for category, stage in (("aggregate", "repeat"), ("ensemble", "ensemble")):
        found = measured["proxy_nca", "cars", category, "map_at_r"]
        assert sorted(found.records) == sorted(
            f"tiny/cars/proxy_nca/{record.key}"
            for record in every
            if record.stage == stage and not record.search_repeat
        )
        assert len(found.values) == study.repeats


def write(root, study, by_loss):
    """Their records in a results folder of the study on cars."""
    where = root / study.name / "cars"
    where.mkdir(parents=True)
    files.write_text(where / "study.json", json.dumps(folder.describe(study, "cars", "cars", "x")))
    for loss, of_loss in by_loss.items():
        for record in of_loss:
            records.append(where / f"{loss}.jsonl", record)


def test_the_variants_of_a_loss_are_evidence_as_losses_are(tmp_path):
    variants = {"hot": {"loss": "proxy_nca", "fields": {"classes_per_batch": 4}}}
    study = replace(STUDY, name="tiny", variants=variants)
    said: list[str] = []
    write(
        tmp_path,
        study,
        {
            loss: play(lambda runs: runs[0], study.for_loss(loss), loss, dataset="cars")
            for loss in ("hot", "proxy_nca")
        },
    )
    measured = evidence.read(tmp_path, "tiny", said.append)
    assert said == []
    for loss in ("hot", "proxy_nca"):
        assert len(measured[loss, "cars", "complete", "map_at_r"].values) == study.repeats


def test_a_category_with_failed_repeats_is_no_evidence_and_the_others_are(tmp_path):
    study = replace(STUDY, name="tiny")
    of_loss = list(play(lambda runs: runs[0], study, "proxy_nca", dataset="cars"))
    place = next(place for place, record in enumerate(of_loss) if record.stage == "complete")
    of_loss[place] = replace(of_loss[place], scores={}, curve=(), failure="Diverged: made up")
    said: list[str] = []
    write(tmp_path, study, {"proxy_nca": of_loss})
    measured = evidence.read(tmp_path, "tiny", said.append)
    assert {key[2] for key in measured} == {"aggregate", "ensemble"}
    assert said == ["tiny/cars/proxy_nca: no evidence in complete, where 1 of its repeats failed"]


def test_records_that_the_study_does_not_give_are_said_to_be_no_evidence(tmp_path):
    study = replace(STUDY, name="tiny")
    of_loss = list(play(lambda runs: runs[0], study, "proxy_nca", dataset="cars"))
    of_loss[0] = replace(of_loss[0], seed=of_loss[0].seed + 1)
    said: list[str] = []
    write(tmp_path, study, {"proxy_nca": of_loss})
    evidence.read(tmp_path, "tiny", said.append)
    assert len(said) == 1
    assert said[0].startswith(f"tiny/cars/proxy_nca: 1 of {len(of_loss)} records are no evidence")


@pytest.mark.parametrize(
    "words", [("--study", "chekc"), ("--study", "check", "--results", "nowhere")]
)
def test_a_study_that_is_named_and_has_no_records_is_refused(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("audit", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no records in " in err
    assert "give --study NAME and --results DIR" in err


def test_how_many_times_as_fast_is_what_it_is_called_and_belongs_to_its_data():
    def of(repeats):
        return evidence_of(repeats, repeats=range(len(repeats)))

    sides = {"a": of([10.0, 10.5, 9.5, 10.2]), "b": of([20.0, 20.6, 19.3, 20.3])}
    measured = {(loss, "emoji", "complete", STEPS): sides[loss] for loss in sides}
    three_times = statement_of("converges_faster", **A_AGAINST_B, factor=3.0)
    claims = [claim_of(method=method, dataset="cub") for method in ("a", "b")]
    moved = [
        (replace(a, dataset="emoji", metric=STEPS), replace(b, dataset="emoji", metric=STEPS))
        for a, b in pairs(statement_of("beats", **A_AGAINST_B), claims)
    ]
    judged = judge_by_records(three_times, [(our_side(a), our_side(b)) for a, b in moved], measured)
    assert judged.verdict == "contradicted"
    assert "more than 3 times as fast in 0" in judged.reason
    assert "less than 3 times as fast in 1" in judged.reason
    (finding,) = check_in_kind.of_statement(
        three_times,
        [(replace(a, dataset="cub"), replace(b, dataset="cub")) for a, b in moved],
        measured,
    )
    assert finding.verdict == "supported"
    assert ": faster in 1," in finding.reason
