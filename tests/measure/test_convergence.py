"""Epochs to a threshold from the curves of records, up to the audit's verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import files
from harness.audit import check_evidence, evidence
from harness.audit import statements as statements_of
from harness.audit.statements import STEPS
from harness.measure import convergence
from harness.records import folder, records
from tests.made import STUDY, play, statement


def rising(rate: float, epochs: int = 40) -> list[dict[str, object]]:
    """A curve that nears 1 at `rate` an epoch, evaluated every epoch."""
    return [
        {"phase": "normal", "epoch": e, "loss": 1.0, "map_at_r": 1 - float(np.exp(-rate * e))}
        for e in range(1, epochs + 1)
    ]


def test_the_followup_counts_on_from_the_best_normal_epoch_and_only_evaluated_epochs_count():
    entries = [
        {"phase": "normal", "epoch": 1, "loss": 3.0},
        {"phase": "normal", "epoch": 2, "loss": 2.0, "map_at_r": 0.2},
        {"phase": "normal", "epoch": 4, "loss": 1.0, "map_at_r": 0.1},
        {"phase": "followup", "epoch": 1, "loss": 1.0, "map_at_r": 0.3},
    ]
    curve = convergence.curve_of(entries, (2, 1))
    assert curve == [(2, 0.2), (4, 0.1), (3, 0.3)]
    assert convergence.steps_to_threshold(curve, 0.2) == 2
    assert convergence.steps_to_threshold(curve, 0.25) == 3
    with pytest.raises(ValueError, match=r"best is 0\.3, below 0\.4"):
        convergence.steps_to_threshold(curve, 0.4)


def test_both_losses_run_to_the_threshold_that_every_run_reaches():
    a = [[[(1, 0.5), (2, 0.9)], [(1, 0.9), (2, 1.0)]]]
    b = [[[(1, 0.1), (2, 0.2), (3, 0.5)], [(1, 0.2), (2, 0.44), (3, 0.46)]]]
    # lowest best 0.46, threshold 0.414
    assert convergence.compared(a, b) == ([1.0], [2.5])


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
        for record in play(lambda runs: runs[0], study, loss):
            told = record
            if record.stage == "repeat":
                told = replace(record, curve=rising(rate * (1 + 0.1 * rng.normal())))
            records.append(where / f"{loss}.jsonl", replace(told, dataset="cars"))
    measured = evidence.read(tmp_path, "tiny")
    assert measured["fast", "cars", "complete", STEPS].curves is not None
    one = statement(
        "converges_faster", factor=factor, a={"method": ("fast",)}, b={"method": ("slow",)},
        where={"dataset": ("cars",)},
    )  # fmt: skip
    finding = check_evidence.of_statement(one, statements_of.pairs(one, []), measured)
    assert finding.verdict == verdict
    assert "90 % of the lowest best value among the runs of both losses" in finding.reason
    assert "times as fast" in finding.reason
    assert all("/repeat-" in name for name in finding.records)
