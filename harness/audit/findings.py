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
    "supported",  # holds, by this check
    "not supported",  # this check cannot tell it from no difference
    "contradicted",
    "not comparable",  # the numbers were obtained under unequal settings
    "no evidence",  # nothing to check it with
    "consistent",  # a number that raises no doubt
    "suspicious",  # a number that does
    "comparable",
]
PLAIN = {"consistent", "comparable", "no evidence"}  # verdicts that markdown only counts
CHECKS: dict[Check, str] = {
    "on paper": "Arithmetic and spreads, from the printed numbers alone",
    "separable": "Separable, given the printed spread and number of runs",
    "comparability": "Settings of the numbers that are compared",
    "literature": "Agreement of several papers on the same number",
    "our evidence": "Against our own records",
}
MARKS = str.maketrans({"|": "\\|", "\n": " "})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check says of one claim, statement, table or group of claims, and why.

    `numbers` is the finding as data (JSON values); `records` are the ids of our records behind it.
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
    """A report: the statements first, then what each check found; plain findings are counted.

    Every finding stands in the CSV and JSON forms; here those that raise no doubt or have nothing
    to go by are counted per check, so that the others can be read.
    """
    lines = [f"# {title}", "", *_counts(findings)]
    statements = [finding for finding in findings if finding.about == "statement"]
    if statements:
        lines += ["", "## Statements", ""]
        for subject in dict.fromkeys(finding.subject for finding in statements):
            lines += _statement([f for f in statements if f.subject == subject])
    for check, words in CHECKS.items():
        told = [f for f in findings if f.check == check and f.about != "statement"]
        doubtful = [f for f in told if f.verdict not in PLAIN]
        if told:
            lines += ["", f"## {words}", ""]
            counted = Counter(f.verdict for f in told if f.verdict in PLAIN)
            lines += [f"{n} {told[0].about}s: {v}." for v, n in counted.items()]
        if doubtful:
            lines += ["", "| verdict | of | reason | records |", "|-|-|-|-|"]
            lines += [_row(f.verdict, f.subject, f.reason, " ".join(f.records)) for f in doubtful]
    return "\n".join(lines) + "\n"


def _counts(findings: Sequence[Finding]) -> list[str]:
    counted = Counter((f.check, f.about, f.verdict) for f in findings)
    lines = ["| check | about | verdict | findings |", "|-|-|-|-:|"]
    order = list(CHECKS)
    for (check, about, verdict), n in sorted(
        counted.items(), key=lambda item: (order.index(item[0][0]), item[0])
    ):
        lines.append(_row(check, about, verdict, str(n)))
    return lines


def _statement(found: Sequence[Finding]) -> list[str]:
    said = str(found[0].numbers.get("said", ""))
    lines = [
        f"### {found[0].subject}",
        "",
        f"{said} ({found[0].numbers.get('where_said', '')})",
        "",
    ]
    lines += ["| check | verdict | reason | records |", "|-|-|-|-|"]
    lines += [_row(f.check, f.verdict, f.reason, " ".join(f.records)) for f in found]
    return [*lines, ""]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.translate(MARKS) for cell in cells) + " |"
