"""Files of claims are read whole or refused by line."""

from __future__ import annotations

import pytest

from harness.audit import claims
from harness.schema import Problem

HEADER = "paper,method,dataset,metric,value,spread,spread_kind,n_runs\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper,metod,dataset,metric,value\n", "line 1: unknown column 'metod'; did you mean 'met"),
        ("paper,method,dataset,metric\n", "line 1: no column value"),
        (HEADER + "p,a,cub,R@1,50,,,\np,b,cub,R@1,150,,,\n", "line 3: value = 150 is out of range"),
        (HEADER + "p,a,cub,R@1,-1,,,\n", "line 2: value = -1 is out of range"),
        (HEADER + "p,a,cub,R@1,0.72,,,\n", "line 2: value = 0.72 looks like a share of 1"),
        (HEADER + "p,a,cub,R@1,lots,,,\n", "line 2: value = 'lots' is no number"),
        (HEADER + "p,a,cub,nan@R,5,,,\n", "line 2: unknown metric 'nan@R'"),
        (
            HEADER + "p,a,cub,R@1,50,,,\n\np,a,cub,R@1,51,,,\n",
            "line 4: the claim (a cub R@1) is on",
        ),
        (HEADER + "p,a,cub,R@1,50,0.2,,\n", "line 2: spread and spread_kind"),
        (HEADER + "p,a,cub,R@1,50,0.2,sem,5\n", "line 2: spread_kind = 'sem'; allowed"),
        (HEADER + "p,a,cub,R@1,50,0.2,std,0\n", "line 2: n_runs = '0'; a whole number"),
        (HEADER + "p,,cub,R@1,50,,,\n", "line 2: no method"),
        (HEADER + "p,a,cub,R@1,50,,,,7\n", "line 2: more fields than the header"),
    ],
)
def test_a_faulty_file_of_claims_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        claims.read(path)
    assert str(problem.value).startswith("mine.csv, ")
    assert message in str(problem.value)


def test_every_faulty_line_is_named_at_once(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "p,a,cub,R@1,500,,,\np,b,cub,R@0,50,,,\n")
    with pytest.raises(Problem, match=r"line 2: .*; line 3: unknown metric"):
        claims.read(path)


def test_a_claim_that_is_known_already_is_a_repetition(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "p,a,cub,R@1,50,,,\n")
    known = claims.read(path)
    with pytest.raises(Problem, match=r"line 2: the claim is p?.*already"):
        claims.read(path, known)
