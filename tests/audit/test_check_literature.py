"""Agreement of several papers on the same number."""

from __future__ import annotations

from harness.audit import check_literature
from tests.audit.builders import claim_of

SETTINGS = {"trunk": "resnet50", "dim": 512}
BY_AUTHORS = claim_of(**SETTINGS, paper="one", value=70.04)
QUOTE = claim_of(**SETTINGS, paper="two", value=70.0, reported_by="quoted")


def test_a_quote_is_no_second_measurement():
    (finding,) = check_literature.agreement([BY_AUTHORS, QUOTE])
    assert "1 of them distinct" in finding.reason
    assert "re-run by nobody" in finding.reason


def test_an_outlier_is_doubted_and_not_the_reports_that_agree():
    values = {"three": 70.1, "four": 69.9, "five": 75.0}
    re_runs = [
        claim_of(**SETTINGS, paper=p, value=v, reported_by="re-run") for p, v in values.items()
    ]
    group, outlier = check_literature.agreement([BY_AUTHORS, QUOTE, *re_runs])
    assert group.verdict == "consistent"
    assert group.numbers["outliers"] == [re_runs[2].claim_id] == [outlier.subject]
    assert "four 1 (69.9)" in group.reason
    assert outlier.verdict == "suspicious"
    assert "+4.96 points from" in outlier.reason


def test_one_re_run_does_not_make_the_authors_number_doubtful():
    claims = [
        claim_of(**SETTINGS, paper="one", value=69.9),
        claim_of(**SETTINGS, paper="two", value=69.7, reported_by="quoted"),
        claim_of(**SETTINGS, paper="three", value=64.3, reported_by="re-run"),
    ]
    _, outlier = check_literature.agreement(claims)
    assert outlier.subject == claims[2].claim_id


def test_two_reports_that_disagree_are_disputed_and_neither_is_doubted():
    re_run = claim_of(**SETTINGS, paper="two", value=64.3, reported_by="re-run")
    (group,) = check_literature.agreement([BY_AUTHORS, re_run])
    assert group.verdict == "disputed"
    pairs = [70.0, 70.2, 64.0, 64.2]
    re_runs = [claim_of(**SETTINGS, paper=str(v), value=v, reported_by="re-run") for v in pairs]
    (group,) = check_literature.agreement(re_runs)
    assert group.verdict == "disputed"


def test_a_quote_that_differs_from_its_source_is_doubted_with_its_changed_digits():
    wrong = claim_of(**SETTINGS, paper="two", value=40.07, reported_by="quoted")
    _, outlier = check_literature.agreement([claim_of(**SETTINGS, paper="one", value=47.0), wrong])
    assert outlier.subject == wrong.claim_id
    assert "changed over" not in outlier.reason
    swapped = claim_of(**SETTINGS, paper="two", value=74.2, reported_by="quoted")
    _, outlier = check_literature.agreement(
        [claim_of(**SETTINGS, paper="one", value=47.2), swapped]
    )
    assert "two of them changed over" in outlier.reason


def test_numbers_of_unstated_trunks_need_not_agree():
    values = (30.0, 31.0, 55.0)
    claims = [claim_of(paper=str(value), value=value) for value in values]
    (group,) = check_literature.agreement(claims)
    assert group.verdict == "not comparable"


def test_a_quote_of_a_round_number_is_compared_to_one_decimal():
    by_authors = claim_of(**SETTINGS, paper="one", value=79.6)
    quote = claim_of(**SETTINGS, paper="two", value=80.0, reported_by="quoted")
    (group,) = check_literature.agreement([by_authors, quote])
    assert "2 of them distinct: 79.6 to 80" in group.reason
