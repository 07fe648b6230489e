"""The audit command on a file with every kind of fault, a bad row and a gap within the noise."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.audit import planted
from tests.made import call

FAULTY = planted.faults()
NOISE = {"spread": 0.6, "spread_kind": "std", "n_runs": 5}
SAYS = {
    "statement_id": "mine.better",
    "paper": "A Planted Paper",
    "said": "Ours beats the baseline",
    "where_said": "abstract",
    "kind": "beats",
    "a": {"method": "ours"},
    "b": {"method": "baseline"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The claims, the statements, an empty results folder and the number of rows."""
    where = tmp_path_factory.mktemp("planted")
    rows = planted.clean()
    for number, (_, faulty) in enumerate(FAULTY.values()):
        names = {f"loss_{letter}": f"loss_{letter}{number}" for letter in "xy"}
        for row in faulty:
            method = names.get(row["method"], row["method"])
            unique = {"claim_id": f"{row['claim_id']}.{number}", "method": method}
            rows.append(row | unique)
    for method, value in {"ours": 67.3, "baseline": 67.1}.items():
        rows.append(planted.row(method, method, "cub", "R@1", value, **NOISE))
    rows.append(planted.row("bad", "loss_z", "cub", "R@1", 720.0))
    claims = planted.write(where / "planted.csv", rows)
    statements = where / "said.json"
    statements.write_text(json.dumps([SAYS]))
    return claims, statements, where, len(rows)


def audit(files, *words):
    claims, statements, where, _ = files
    return call("audit", "--claims", claims, "--statements", statements, "--results", where, *words)


def test_the_bad_row_is_told_and_left_out_and_the_exit_code_says_so(files):
    code, out, errors = audit(files, "--format", "json")
    count = files[-1]
    findings = json.loads(out)
    assert code == 1
    (left_out,) = [finding for finding in findings if finding["verdict"] == "left out"]
    assert left_out["subject"] == f"planted.csv, line {count + 1}"
    assert "value = 720 is out of range for R@1: 0 to 100 (percent)" in left_out["reason"]
    assert "1 row was left out" in errors
    assert left_out["subject"] in errors
    on_paper = [f for f in findings if f["check"] == "on paper" and f["about"] == "claim"]
    assert len(on_paper) == count - 1
    assert {finding["paper"] for finding in on_paper} == {"A Planted Paper"}
    rows = list(csv.DictReader(io.StringIO(audit(files, "--format", "csv")[1])))
    assert [row["subject"] for row in rows] == [finding["subject"] for finding in findings]


def test_every_fault_is_found_with_all_of_them_in_one_file(files):
    findings = json.loads(audit(files, "--format", "json")[1])
    flagged = {
        (finding["subject"], fault)
        for finding in findings
        if finding["about"] == "claim"
        for fault in finding["numbers"].get("faults", ())
    }
    for number, (fault, rows) in enumerate(FAULTY.values()):
        ids = {row["claim_id"] for row in rows if row["claim_id"].startswith("x")}
        assert {(f"{claim_id}.{number}", fault) for claim_id in ids} <= flagged


def test_a_gap_below_the_noise_is_found_in_your_own_file(files):
    findings = json.loads(audit(files, "--format", "json")[1])
    verdicts = {f["check"]: f["verdict"] for f in findings if f["subject"] == "mine.better"}
    assert verdicts["on paper"] == "supported"
    assert verdicts["separable"] == "not supported"


def test_the_report_opens_with_what_is_wrong_and_ends_with_the_counts(files):
    text = audit(files)[1]
    opening, _, rest = text.partition("## Statements")
    assert "**1 row was left out**" in opening
    assert '"Ours beats the baseline" (abstract): beyond the printed noise' in opening
    assert "cub R@1: ours 67.3 ± 0.6 against baseline 67.1 ± 0.6 (+0.20" in opening
    assert "**contradicted**: loss_x" in opening
    assert "no evidence" not in opening
    assert rest.rindex("## Counts") > rest.rindex("suspicious | x")
    assert text.rstrip().splitlines()[-1].startswith("| our evidence | statement | no evidence")


def test_without_files_the_published_claims_are_audited_and_the_exit_code_is_0(files):
    code, out, errors = call("audit", "--results", files[2], "--format", "json")
    assert (code, errors) == (0, "")
    assert sum(finding["check"] == "other documents" for finding in json.loads(out)) == 1544
