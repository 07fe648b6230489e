"""The audit's findings on a page: those about its losses, and only doubts one by one."""

from __future__ import annotations

import json

import pytest

from harness.report import findings
from tests import made
from tests.report import sheets


def finding(subject: str, verdict: str, **numbers: object) -> dict[str, object]:
    names = {"check": "on paper", "about": "claim", "paper": "A <b>paper</b>", "reason": "a reason"}
    return {**names, "subject": subject, "verdict": verdict, "numbers": numbers, "records": []}


FINDINGS = [
    finding("p.T1.warped.cub.R@1", "suspicious"),
    finding("p.T1.warped.cub.R@2", "consistent"),
    finding("p.best", "contradicted", cells=[{"a": "hist", "b": "contrastive"}]),
    finding("p.T1.hist.cub.R@1", "suspicious"),
    finding("p.T2", "not comparable", cells=["p.T2.hist.cub.R@1", "p.T2.triplet.cub.R@1"]),
]


def test_only_findings_about_the_losses_count_and_doubts_are_listed():
    chosen = findings.about(FINDINGS, ["warped", "contrastive"])
    assert [one["subject"] for one in chosen.listed] == ["p.T1.warped.cub.R@1", "p.best"]
    assert chosen.counted == [("consistent", 1)]
    assert [one["subject"] for one in findings.about(FINDINGS, ["triplet"]).listed] == ["p.T2"]
    assert findings.about([finding("margin cub single R@1", "disputed")], ["margin"]) is not None
    assert findings.about(FINDINGS, ["margin"]) is None


def test_they_stand_on_the_page_as_text(tmp_path):
    sheets.write(tmp_path / "results")
    path, output = tmp_path / "findings.json", tmp_path / "page.html"
    path.write_text(json.dumps(FINDINGS))
    words = ("report", "--results", tmp_path / "results", "--output", output, "--findings", path)
    assert made.call(*words)[0] == 0
    (section,) = sheets.parse(output.read_text()).all("section", id="audit")
    rows = section.all("tbody")[0].all("tr")
    assert [row.all("td")[0].text for row in rows] == ["suspicious", "contradicted"]
    assert rows[0].all("td")[3].text == "A <b>paper</b>"
    assert "Not listed: 1 consistent." in section.text


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"subject": "x"}]'])
def test_a_file_of_something_else_is_refused_in_one_line(text, tmp_path):
    sheets.write(tmp_path / "results", warped=(0.5, 0.4, 0.3))
    path = tmp_path / "findings.json"
    path.write_text(text)
    words = ("report", "--results", tmp_path / "results", "--output", tmp_path / "page.html")
    code, _, err = made.call(*words, "--findings", path)
    assert code == 2
    assert "audit --json" in err
    assert err.count("\n") == 1


def test_what_the_audit_prints_is_taken_as_it_is(capsys):
    code, out, _ = made.call("audit", "--json", "--paper", "2408.15656")
    assert code == 0
    assert findings.about(findings.read(out, "x"), ["warped"]) is not None
