"""Findings as CSV, JSON and markdown."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.findings import PLAIN, Finding, to_csv, to_json, to_markdown


def test_csv_and_json_hold_every_finding_and_markdown_every_statement_and_doubt(findings):
    objects = json.loads(to_json(findings))
    assert len(objects) == len(findings)
    rows = list(csv.DictReader(io.StringIO(to_csv(findings))))
    for finding, parsed, row in zip(findings, objects, rows, strict=True):
        assert parsed["verdict"] == row["verdict"] == finding.verdict
        assert parsed["reason"] == row["reason"] == finding.reason
        assert json.loads(row["numbers"]) == parsed["numbers"]
    text = to_markdown(findings)
    for finding in findings:
        if finding.about == "statement" or finding.verdict not in PLAIN:
            assert finding.subject.replace("|", "\\|") in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == 5


WORDS = st.text('ab|",;\n\\é± ')


@settings(deadline=None)
@given(WORDS, WORDS)
def test_any_words_survive_the_csv_and_the_json(reason, subject):
    finding = Finding(
        check="on paper",
        about="claim",
        subject=subject,
        paper="p",
        verdict="suspicious",
        reason=reason,
    )
    (row,) = csv.DictReader(io.StringIO(to_csv([finding]), newline=""))
    assert (row["reason"], row["subject"]) == (reason, subject)
    assert json.loads(to_json([finding]))[0]["reason"] == reason
