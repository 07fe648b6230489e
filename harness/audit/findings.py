"""A Finding, and findings as CSV and JSON text. `report` writes them as markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Check = Literal[
    "reading",
    "on paper",
    "other documents",
    "separable",
    "comparability",
    "literature",
    "our evidence",
    "in kind",  # our evidence of other datasets
]
About = Literal["claim", "statement", "table", "group", "row"]
Verdict = Literal[
    "supported",  # it holds, by this check
    "not supported",  # this check cannot tell it from no difference
    "contradicted",
    "not comparable",  # the numbers were obtained under unequal settings
    "no evidence",  # there is nothing to check it with
    "consistent",  # a number that raises no doubt
    "suspicious",  # a number that raises a doubt
    "comparable",
    "disputed",  # reports of one number disagree, and nothing tells which of them is wrong
    "left out",  # a row or a statement of a file that could not be read
]


class LeftOut(NamedTuple):
    """A row or a statement that could not be read: its place in the file, and what is wrong."""

    place: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict of one check on one claim, statement, table or group of claims, and the reason.

    `numbers` is the finding as data (JSON values). `records` are the ids of our records behind it.
    """

    check: Check
    about: About
    subject: str
    paper: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[str, ...] = ()


def of_left_out(rows: Sequence[LeftOut]) -> list[Finding]:
    """A finding for every row or statement that was left out."""
    return [
        Finding(
            check="reading",
            about="row",
            subject=row.place,
            paper="",
            verdict="left out",
            reason=row.reason,
        )
        for row in rows
    ]


def to_json(findings: Sequence[Finding]) -> str:
    """A JSON list with one object per finding."""
    return json.dumps([vars(finding) for finding in findings], indent=1, ensure_ascii=False) + "\n"


def to_csv(findings: Sequence[Finding]) -> str:
    """CSV with one line per finding; `numbers` as JSON, `records` joined by spaces."""
    text = io.StringIO()
    columns = ("check", "about", "subject", "paper", "verdict", "reason", "numbers", "records")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for finding in findings:
        numbers = json.dumps(finding.numbers, ensure_ascii=False)
        row = {**vars(finding), "numbers": numbers, "records": " ".join(finding.records)}
        writer.writerow(row)
    return text.getvalue()
