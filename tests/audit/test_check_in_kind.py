"""Statements of papers against our records of data that the papers have not."""

from __future__ import annotations

import json

import pytest

from harness.audit import audit, check_in_kind, report, screen
from harness.audit.settings import study_settings
from harness.audit.statements import pairs, read
from harness.schema import Study
from tests.audit.builders import A_AGAINST_B, claim_of, evidence_of, statement_of

HIGH, LOW = [60.0, 60.2, 60.1, 60.3], [50.1, 50.0, 50.3, 50.2]
METRICS = ("recall_at_1", "map_at_r")
TWO_METRICS = [
    claim_of(method=method, metric=metric, value=value)
    for method, value in (("a", 60.0), ("b", 50.0))
    for metric in ("R@1", "NMI")
]


def records_of(values_by_loss, dataset="emoji", metrics=METRICS):
    return {
        (loss, dataset, "complete", metric): evidence_of(values, name=f"{loss}-{dataset}-")
        for loss, values in values_by_loss.items()
        for metric in metrics
    }


def in_kind(statement, claims, measured):
    return check_in_kind.of_statement(statement, pairs(statement, claims), measured)


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [(HIGH, LOW, "supported"), (LOW, HIGH, "contradicted"), (HIGH, HIGH[::-1], "not supported")],
)
def test_other_data_say_whether_a_lead_travels(a, b, verdict):
    measured = records_of({"a": a, "b": b})
    (finding,) = in_kind(statement_of("beats", **A_AGAINST_B), TWO_METRICS, measured)
    assert (finding.check, finding.verdict) == ("in kind", verdict)
    assert finding.reason.startswith("on emoji, resnet50: measured in 1 of 1 cells")
    assert finding.reason.endswith("not recorded there: NMI")
    assert finding.records[0] == "a-emoji-0"
    assert len(finding.records) == 8


def test_the_papers_own_data_are_never_other_data():
    measured = records_of({"a": HIGH, "b": LOW}, dataset="cub")
    assert in_kind(statement_of("beats", **A_AGAINST_B), TWO_METRICS, measured) == []


def test_each_other_dataset_has_a_finding_of_its_own():
    measured = records_of({"a": HIGH, "b": LOW}) | records_of({"a": LOW, "b": HIGH}, "glyphs")
    found = in_kind(statement_of("beats", **A_AGAINST_B), TWO_METRICS, measured)
    assert [finding.verdict for finding in found] == ["supported", "contradicted"]
    assert [finding.numbers["cells"][0]["dataset"] for finding in found] == ["emoji", "glyphs"]


def test_without_records_of_both_sides_nothing_is_said():
    statement = statement_of("beats", **A_AGAINST_B)
    assert in_kind(statement, TWO_METRICS, records_of({"a": HIGH})) == []
    assert in_kind(statement, TWO_METRICS, {}) == []


def test_a_statement_about_its_own_data_alone_is_not_tested_on_others():
    statement = statement_of("beats", **A_AGAINST_B, general=False)
    assert in_kind(statement, TWO_METRICS, records_of({"a": HIGH, "b": LOW})) == []


def test_the_points_of_a_lead_belong_to_its_data_and_the_points_that_are_allowed_behind_do_not():
    small_lead = records_of({"a": HIGH, "b": [value - 1 for value in HIGH]})
    lead = statement_of("beats", **A_AGAINST_B, by=6.0)
    small_lead["b", "emoji", "complete", "recall_at_1"].values[0] -= 0.1
    assert in_kind(lead, TWO_METRICS, small_lead)[0].verdict == "supported"
    comparable = statement_of("comparable", **A_AGAINST_B, by=-2.5)
    (behind,) = in_kind(comparable, TWO_METRICS, records_of({"a": LOW, "b": HIGH}))
    assert behind.verdict == "contradicted"
    assert "ahead or less than 2.5 points behind in 0" in behind.reason


@pytest.mark.parametrize(("k", "verdict"), [(3, "supported"), (4, "not supported")])
def test_a_claimed_count_of_cells_is_a_share_of_the_cells_that_there_are(k, verdict):
    claims = [
        claim_of(method=method, metric=metric, dataset=dataset)
        for method in ("a", "b")
        for metric in ("R@1", "MAP@R")
        for dataset in ("cub", "cars", "sop")
    ]
    measured = records_of({"a": HIGH, "b": LOW})
    measured["a", "emoji", "complete", "map_at_r"] = evidence_of([50.2, 50.0, 50.1, 50.3])
    statement = statement_of("beats_in", **A_AGAINST_B, k=k, n=6)
    (finding,) = in_kind(statement, claims, measured)
    assert len(finding.numbers["cells"]) == 2
    assert f"asked for are {-(-k * 2 // 6)} of 2 cells, the paper's share" in finding.reason
    assert finding.verdict == verdict


def test_a_rival_without_records_leaves_a_first_place_open():
    claims = [claim_of(method=method) for method in "abc"]
    best = statement_of("best_among", a={"method": ("a",)})
    measured = records_of({"a": HIGH, "b": LOW})
    (open_one,) = in_kind(best, claims, measured)
    assert open_one.verdict == "not supported"
    assert "measured in 1 of 2 cells (no test of a to c): ahead in 1" in open_one.reason
    measured |= records_of({"c": LOW[::-1]})
    assert in_kind(best, claims, measured)[0].verdict == "supported"


def test_the_report_and_the_screen_hold_it_against_no_paper():
    statement = statement_of("beats", **A_AGAINST_B, text="a is better")
    claims = [claim_of(method="a", value=60.0), claim_of(method="b", value=50.0)]
    found = audit.findings(claims, [statement], records_of({"a": LOW, "b": HIGH}))
    text = report.to_markdown(found)
    opening, _, rest = text.partition("## In kind, on other datasets")
    assert "Nothing, by these checks." in opening
    assert '- **contradicted** "a is better" (p): on emoji, resnet50: measured in 1' in rest
    assert "| in kind | contradicted |" in rest
    first, *others = screen.lines(found, width=100, height=40)
    assert "contradicted" not in first
    assert "Statements tested in kind on other datasets: 1 contradicted." in others


def test_whether_a_statement_is_general_is_read_from_its_file(tmp_path):
    item = {"statement_id": "s", "paper": "p", "said": "x", "where_said": "y", "kind": "beats"}
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([item, {**item, "statement_id": "t", "general": False}]))
    assert [s.general for s in read(path).statements] == [True, False]
    path.write_text(json.dumps([{**item, "general": "no"}]))
    assert read(path).left_out[0].reason == "general = 'no'; true or false is needed"


def test_a_frozen_trunk_is_another_setting_than_a_trained_one():
    trained = study_settings(Study(name="s"), "complete")
    frozen = study_settings(Study(name="s", freeze_trunk=True), "complete")
    assert (trained["trunk"], frozen["trunk"]) == ("resnet50", "frozen resnet50")
