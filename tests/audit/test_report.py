"""The markdown report: what is wrong first, then everything that is in doubt, then the counts."""

from __future__ import annotations

import dataclasses

from harness.audit.check_statements import on_paper
from harness.audit.findings import LeftOut, of_left_out, to_csv
from harness.audit.report import IDS, LINES, PLAIN, to_markdown
from harness.audit.statements import pairs
from tests.audit.builders import A_AGAINST_B, claim_of, statement_of


def test_the_report_holds_every_statement_and_doubt(findings):
    text = to_markdown(findings)
    for finding in findings:
        if finding.about == "statement" or finding.verdict not in PLAIN:
            assert finding.subject.replace("|", "\\|") in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == 5


def test_the_opening_is_one_screen_and_names_the_contradicted_first(findings):
    opening = to_markdown(findings).partition("## Statements")[0].splitlines()
    assert len(opening) < 45
    verdicts = [line.split("**")[1] for line in opening if line.startswith("- **")]
    statements = verdicts[: verdicts.index("suspicious")]
    contradicted = statements.count("contradicted")
    assert contradicted == 4
    assert statements[:contradicted] == ["contradicted"] * contradicted
    assert "cub R@4: warped 88.4 against contextual 88.5 (-0.10)" in "".join(opening)


def test_the_counts_come_last_and_no_evidence_at_their_end(findings):
    lines = to_markdown(findings).partition("## Counts")[2].strip().splitlines()[2:]
    verdicts = [line.split(" | ")[2] for line in lines]
    assert verdicts.index("no evidence") == len(verdicts) - verdicts.count("no evidence")
    assert sum(int(line.split(" | ")[3].rstrip("| ")) for line in lines) == len(findings)


def test_where_nothing_is_wrong_the_report_says_so():
    claims = [claim_of(method="a", value=56.0), claim_of(method="b", value=50.0)]
    statement = statement_of("beats", **A_AGAINST_B)
    text = to_markdown([on_paper(statement, pairs(statement, claims))])
    assert "Nothing, by these checks." in text


def test_many_rows_that_were_left_out_are_counted():
    rows = [LeftOut(f"mine.csv, line {i}", "value = 'x' is no number") for i in range(2, 32)]
    text = to_markdown(of_left_out(rows))
    assert "**30 rows were left out**" in text
    assert f"- and {30 - LINES} more" in text


def test_of_many_records_behind_a_verdict_the_report_names_a_few_and_csv_all():
    claims = [claim_of(method="a", value=56.0), claim_of(method="b", value=50.0)]
    finding = on_paper(statement := statement_of("beats", **A_AGAINST_B), pairs(statement, claims))
    ids = tuple(f"r{i}" for i in range(IDS + 30))
    finding = dataclasses.replace(finding, records=ids)
    text = to_markdown([finding])
    assert f" {ids[IDS - 1]} and 30 more (--format csv) |" in text
    assert ids[IDS] not in text
    assert all(name in to_csv([finding]) for name in ids)
