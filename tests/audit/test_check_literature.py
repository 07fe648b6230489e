"""Agreement of several papers on the same number."""

from __future__ import annotations

from harness.audit import check_literature
from tests.audit.builders import claim_of

BY_AUTHORS = claim_of(paper="one", value=70.04)
QUOTE = claim_of(paper="two", value=70.0, reported_by="quoted")


def test_a_quote_is_no_second_measurement():
    (finding,) = check_literature.agreement([BY_AUTHORS, QUOTE])
    assert "1 of them distinct" in finding.reason
    assert "re-run by nobody" in finding.reason


def test_re_runs_and_outliers_are_named():
    values = {"three": 70.1, "four": 69.9, "five": 75.0}
    re_runs = [claim_of(paper=p, value=v, reported_by="re-run") for p, v in values.items()]
    (finding,) = check_literature.agreement([BY_AUTHORS, QUOTE, *re_runs])
    assert finding.verdict == "suspicious"
    assert finding.numbers["outliers"] == [re_runs[2].claim_id]
    assert "four 1 (69.9)" in finding.reason
