"""Findings as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.findings import Finding, to_csv, to_json


def test_csv_and_json_hold_every_finding(findings):
    objects = json.loads(to_json(findings))
    assert len(objects) == len(findings)
    rows = list(csv.DictReader(io.StringIO(to_csv(findings))))
    for finding, parsed, row in zip(findings, objects, rows, strict=True):
        assert parsed["verdict"] == row["verdict"] == finding.verdict
        assert parsed["reason"] == row["reason"] == finding.reason
        assert json.loads(row["numbers"]) == parsed["numbers"]


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
