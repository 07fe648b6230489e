"""Our records on disk as evidence, up to the verdict that they lead to."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import files
from harness.audit import check_evidence, evidence
from harness.audit.statements import STEPS, pairs
from harness.records import folder, records
from tests.audit.builders import claim_of, statement_of
from tests.made import STUDY, play


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
