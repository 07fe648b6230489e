"""Every kind of fault, planted in a claims file of its own, is faults; a clean file raises none."""

from __future__ import annotations

import pytest

from harness.audit import audit, claims_file
from harness.audit.doubts import FAULTS
from tests.audit import planted
from tests.audit.builders import PUBLISHED

FAULTY = planted.faults()
PLAIN = ("consistent", "comparable", "no evidence", "not comparable", "disputed")


def faults_of(published, path):
    """Claim id -> the faults that the audit finds in a file's claims."""
    yours = claims_file.read(path)
    assert yours.left_out == []
    claims, replaced = claims_file.merged(published, yours.claims)
    ids = {claim.claim_id for claim in yours.claims}
    findings = audit.findings(claims, [], {}, subjects=ids, published=published, replaced=replaced)
    faults = {claim_id: set() for claim_id in ids}
    for finding in findings:
        if finding.about == "claim" and finding.check != "comparability":
            named = finding.numbers["faults"]
            assert (finding.verdict in PLAIN) == (not named)
            faults[finding.subject] |= set(named)
    return faults


def test_a_file_without_faults_raises_no_doubt(published, tmp_path):
    faults = faults_of(published, planted.write(tmp_path / "clean.csv", planted.clean()))
    assert {claim_id: names for claim_id, names in faults.items() if names} == {}


@pytest.mark.parametrize("name", FAULTY)
def test_a_planted_fault_is_named_where_it_stands_and_nowhere_else(published, tmp_path, name):
    fault, rows = FAULTY[name]
    path = planted.write(tmp_path / "planted.csv", planted.clean() + rows)
    faults = faults_of(published, path)
    flagged = {claim_id for claim_id, names in faults.items() if fault in names}
    assert flagged == {row["claim_id"] for row in rows if row["claim_id"].startswith("x")}
    others = {claim_id for claim_id, names in faults.items() if names} - flagged
    assert {claim_id for claim_id in others if claim_id.startswith("clean")} == set()


def test_every_kind_of_fault_has_a_planted_example():
    elsewhere = {"differs_from_published"}  # tested below
    assert {fault for fault, _ in FAULTY.values()} | elsewhere == set(FAULTS)


def test_a_published_claim_with_another_number_is_told(published, tmp_path):
    lines = (PUBLISHED / "claims.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    index = next(i for i, line in enumerate(lines) if ",proxy_anchor,cub,R@1,69.9," in line)
    path = tmp_path / "changed.csv"
    changed = lines[index].replace(",69.9,", ",96.9,", 1)
    path.write_text("".join([lines[0], lines[index + 1], changed]), encoding="utf-8")
    faults = faults_of(published, path)
    assert [names for names in faults.values() if names] != []
    assert sorted("differs_from_published" in names for names in faults.values()) == [False, True]
