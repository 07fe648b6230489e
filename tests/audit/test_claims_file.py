"""Files of claims: a wrong header is refused, a bad row is told and left out."""

from __future__ import annotations

import csv
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import claims_file
from harness.schema import Problem

HEADER = "paper,method,dataset,metric,value,spread,spread_kind,n_runs,runs\n"
GOOD = "p,good,cub,R@1,50,,,,\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper,metod,dataset,metric,value\n", "line 1: unknown column 'metod'; did you mean 'met"),
        ("paper,method,dataset,metric\n", "line 1: no column value"),
        ("paper,paper,method,dataset,metric,value\n", "line 1: a column stands twice"),
        ("", "line 1: no column paper, method, dataset, metric, value"),
    ],
)
def test_a_faulty_header_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        claims_file.read(path)
    assert str(problem.value).startswith("mine.csv, ")
    assert message in str(problem.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(Problem, match="no such file"):
        claims_file.read(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Problem, match=r"image\.csv: not UTF-8 text"):
        claims_file.read(tmp_path / "image.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p,a,cub,R@1,150,,,,", "value = 150 is out of range"),
        ("p,a,cub,R@1,-1,,,,", "value = -1 is out of range"),
        ("p,a,cub,R@1,0.72,,,,", "value = 0.72 looks like a share of 1; write percent (72)"),
        ("p,a,cub,R@1,lots,,,,", "value = 'lots' is no number"),
        ("p,a,cub,R@1,69.7%,,,,", "value = '69.7%' is no number; write digits with a point"),
        ("p,a,cub,R@1,nan,,,,", "value = 'nan' is no number"),
        ("p,a,cub,nan@R,5,,,,", "unknown metric 'nan@R'"),
        ("p,good,cub,R@1,51,,,,", "the claim (good cub R@1) is on line 2 already; keep one"),
        ("p,a,cub,R@1,50,0.2,,,", "spread and spread_kind"),
        ("p,a,cub,R@1,50,0.2,sem,5,", "spread_kind = 'sem'; allowed: none, ci95, std, other"),
        ("p,a,cub,R@1,50,-0.2,std,5,", "spread = -0.2 is out of range"),
        ("p,a,cub,R@1,50,0.2,std,0,", "n_runs = '0'; a whole number"),
        ("p,a,cub,R@1,50,,,,49|0.51", "runs = 0.51 looks like a share of 1"),
        ("p,a,cub,R@1,50,,,,49|151", "runs = 151 is out of range"),
        ("p,,cub,R@1,50,,,,", "no method"),
        ("p,a,cub,R@1,50,,,,,7", "10 fields, but 9 columns; quote a field with a comma"),
        ('p,"a"b,cub,R@1,50,,,,', "no valid CSV"),
        ('p,"a\nb",cub,R@1,50,,,,', "a field has a line break: it reaches to line 5"),
    ],
)
def test_a_bad_row_is_told_by_line_and_left_out_and_the_others_are_read(tmp_path, row, message):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + GOOD + "\n" + row + "\n" + "p,last,cub,R@1,60,,,,\n")
    result = claims_file.read(path)
    assert [claim.method for claim in result.claims] == ["good", "last"]
    ((place, reason),) = result.left_out
    assert place == "mine.csv, line 4"
    assert message in reason


def test_a_quote_that_nobody_closes_does_not_swallow_rows_in_silence(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + GOOD + 'p,"a,cub,R@1,50,,,,\n' + "p,last,cub,R@1,60,,,,\n")
    result = claims_file.read(path)
    assert [claim.method for claim in result.claims] == ["good"]
    ((place, reason),) = result.left_out
    assert place == "mine.csv, line 3"
    assert "up to line 4" in reason


@settings(deadline=None)
@given(st.lists(st.sampled_from(["good", "range", "metric", "fields"]), max_size=8))
def test_every_row_is_a_claim_or_is_told(tmp_path_factory, kinds):
    path = tmp_path_factory.mktemp("rows") / "mine.csv"
    texts = {"good": "50", "range": "500", "metric": "5", "fields": "5"}
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["paper", "method", "dataset", "metric", "value"])
        for i, kind in enumerate(kinds):
            metric = "R@0" if kind == "metric" else "R@1"
            extra = ["x"] if kind == "fields" else []
            writer.writerow(["p", f"m{i}", "cub", metric, texts[kind], *extra])
    result = claims_file.read(path)
    assert [claim.line for claim in result.claims] == [
        i + 2 for i, kind in enumerate(kinds) if kind == "good"
    ]
    assert [place for place, _ in result.left_out] == [
        f"mine.csv, line {i + 2}" for i, kind in enumerate(kinds) if kind != "good"
    ]


def test_a_claim_of_yours_replaces_the_published_one_that_it_repeats(published):
    (known,) = [claim for claim in published if claim.claim_id == published[7].claim_id]
    yours = dataclasses.replace(known, claim_id="mine", value=known.value + 1)
    merged, replaced = claims_file.merged(published, [yours])
    assert replaced == {"mine": known}
    assert len(merged) == len(published)
    assert known not in merged
    same_id = dataclasses.replace(known, method="another")
    merged, replaced = claims_file.merged(published, [same_id])
    assert replaced == {known.claim_id: known}
    assert known not in merged


@pytest.mark.parametrize(
    ("printed", "ours"),
    [("CUB-200-2011", "cub"), ("CARS196", "cars"), ("In-Shop", "inshop"), ("glyphs2", "glyphs2")],
)
def test_datasets_are_known_by_their_printed_names(tmp_path, printed, ours):
    path = tmp_path / "mine.csv"
    path.write_text(f"paper,method,dataset,metric,value\np,a,{printed},R@1,50\n")
    assert [claim.dataset for claim in claims_file.read(path).claims] == [ours]
