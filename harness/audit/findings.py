"""A Finding, and findings as markdown, CSV and JSON text."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Check = Literal["on paper", "separable", "comparability", "literature", "our evidence"]
About = Literal["claim", "statement", "table", "group"]
Verdict = Literal[
    "supported",  # it holds, by this check
    "not supported",  # this check cannot tell it from no difference
    "contradicted",
    "not comparable",  # the numbers were obtained under unequal settings
    "no evidence",  # there is nothing to check it with
    "consistent",  # a number that raises no doubt
    "suspicious",  # a number that raises a doubt
    "comparable",
]
PLAIN = {"consistent", "comparable", "no evidence"}  # verdicts that markdown only counts
HEADINGS: dict[Check, str] = {
    "on paper": "Arithmetic and spreads, from the printed numbers alone",
    "separable": "Separable, given the printed spread and number of runs",
    "comparability": "Settings of the numbers that are compared",
    "literature": "Agreement of several papers on the same number",
    "our evidence": "Against our own records",
}
ESCAPES = str.maketrans({"|": "\\|", "\n": " "})  # what a cell of a markdown table cannot hold


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


def to_markdown(findings: Sequence[Finding], title: str = "Audit of published claims") -> str:
    """A report: counts of verdicts, every statement, then the doubtful findings check by check.

    The CSV and JSON forms hold every finding. The report only counts the findings with a `PLAIN`
    verdict that are not about a statement, so that the others can be read.
    """
    lines = [f"# {title}", "", *_counts(findings)]
    statements = [finding for finding in findings if finding.about == "statement"]
    if statements:
        lines += ["", "## Statements", ""]
        for subject in dict.fromkeys(finding.subject for finding in statements):
            lines += _statement_lines([f for f in statements if f.subject == subject])
    for check, heading in HEADINGS.items():
        checked = [f for f in findings if f.check == check and f.about != "statement"]
        doubtful = [f for f in checked if f.verdict not in PLAIN]
        if checked:
            lines += ["", f"## {heading}", ""]
            plain = Counter(f.verdict for f in checked if f.verdict in PLAIN)
            lines += [f"{n} {checked[0].about}s: {verdict}." for verdict, n in plain.items()]
        if doubtful:
            lines += ["", "| verdict | of | reason | records |", "|-|-|-|-|"]
            lines += [_row(f.verdict, f.subject, f.reason, " ".join(f.records)) for f in doubtful]
    return "\n".join(lines) + "\n"


def _counts(findings: Sequence[Finding]) -> list[str]:
    counted = Counter((f.check, f.about, f.verdict) for f in findings)
    order = list(HEADINGS)
    keys = sorted(counted, key=lambda key: (order.index(key[0]), key))
    lines = ["| check | about | verdict | findings |", "|-|-|-|-:|"]
    return lines + [_row(*key, str(counted[key])) for key in keys]


def _statement_lines(findings: Sequence[Finding]) -> list[str]:
    first = findings[0]
    text, where = first.numbers.get("said", ""), first.numbers.get("where_said", "")
    lines = [f"### {first.subject}", "", f"{text} ({where})", ""]
    lines += ["| check | verdict | reason | records |", "|-|-|-|-|"]
    lines += [_row(f.check, f.verdict, f.reason, " ".join(f.records)) for f in findings]
    return [*lines, ""]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.translate(ESCAPES) for cell in cells) + " |"
