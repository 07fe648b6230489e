"""The page of `main_tables` on planted scores: columns, marks, verdicts, what claims it meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.settings import study_settings
from harness.tables.page import page_of
from studies.main_tables import STUDY as MAIN_TABLES
from studies.main_tables_large import STUDY as LARGE
from tests.made import MADE, STUDY, play

PLANTED = replace(
    STUDY,
    name="main_tables",
    protocol="main_tables",
    stages=("search", "repeat", "complete"),
    folds=2,
    repeats=5,
    recall_at=(1, 2),
    diagnostics=("nmi",),
)
NOISE = (0.000, 0.004, -0.003, 0.002, -0.001)


def planted(loss: str, r_at_1: float, step: int = 0):
    """R@1 about `r_at_1`, R@2 0.1 above, NMI 0.2 below; noise in another order by `step`."""
    records = []
    for record in play(lambda runs: runs[0], PLANTED, loss):
        if record.repeat is not None:
            noise = NOISE[(record.repeat + step) % len(NOISE)]
            scores = dict.fromkeys(("map_at_r", "r_precision", "precision_at_1"), 0.3)
            scores |= {"recall_at_1": r_at_1 + noise, "recall_at_2": r_at_1 + 0.1 + noise}
            nmi = {"nmi": r_at_1 - 0.2 + noise}
            record = replace(record, scores=scores, diagnostics=nmi, provenance=MADE)
        records.append(record)
    return records


def page(**r_at_1: float):
    by_loss = {loss: planted(loss, value, i) for i, (loss, value) in enumerate(r_at_1.items())}
    return page_of(PLANTED, "made", by_loss, [])


@pytest.mark.parametrize(
    ("warped", "verdicts"),
    [(0.7, ["agrees", "agrees"]), (0.5, ["disagrees", "disagrees"]), (0.6, ["undecided"] * 2)],
)
def test_the_findings_are_judged_by_the_tests_of_the_table(warped, verdicts):
    statements = page(warped=warped, proxy_nca_pp=0.6, contrastive=0.4).data()["statements"]
    assert [one["verdict"] for one in statements] == verdicts


def test_another_loss_that_is_better_disagrees_with_the_first_finding_alone():
    first, second = page(warped=0.7, proxy_nca_pp=0.6, contrastive=0.8).data()["statements"]
    assert (first["verdict"], second["verdict"]) == ("disagrees", "agrees")
    assert "rank 2 of 3 losses" in first["here"]
    assert "warped - proxy_nca_pp is +10.00" in second["here"]


def test_one_loss_alone_is_judged_by_nothing():
    assert page(warped=0.7).data()["statements"] == []


def test_the_columns_are_recall_and_nmi_of_the_single_models():
    made = page(warped=0.7, proxy_nca_pp=0.6)
    head, _, first, *_ = made.text("markdown").splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["loss", "R@1", "R@2", "NMI", "n"]
    assert first.split("|")[1].strip() == "warped"
    assert first.count("**") == 6
    assert "70.04" in first
    assert "50.04" in first
    row = made.data()["rows"][0]
    assert row["nmi"] == pytest.approx({r: 0.5 + NOISE[r] for r in range(5)})


def test_its_numbers_meet_claims_that_were_tuned_on_a_validation_split():
    small = study_settings(MAIN_TABLES.for_dataset("cub"), "complete")
    large = study_settings(LARGE.for_dataset("cub"), "complete")
    assert (small["tuned_on"], small["dim"], small["crop"]) == ("val", "512", "224 or 227")
    assert (large["tuned_on"], large["crop"]) == ("val", "256")
    assert study_settings(STUDY, "complete")["tuned_on"] == "cv4"
