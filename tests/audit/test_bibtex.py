"""Claims in BibTeX files are the claims of the same CSV file, or are refused by line."""

from __future__ import annotations

import dataclasses

import pytest

from harness.audit import claims_file
from harness.schema import Problem


def test_bibtex_and_csv_give_the_same_claims(tmp_path):
    bib, table = tmp_path / "mine.bib", tmp_path / "mine.csv"
    bib.write_text(
        "@comment{x, claims = {no}}\n@article{doe2026, title = {A {Loss}}, year = 2026,\n"
        '  eprint = "2601.00001", claims = {\n'
        "    warped cub map_at_r 26.5 spread=0.2 spread_kind=ci95 n_runs=10 dim=512\n"
        "    warped cars R@1 91.2\n  }}\n@misc{other, title={Nothing}}\n"
    )
    table.write_text(
        "claim_id,paper,paper_year,arxiv,method,dataset,metric,value,spread,spread_kind,n_runs,dim\n"
        "doe2026.line4,A Loss,2026,2601.00001,warped,cub,MAP@R,26.5,0.2,ci95,10,512\n"
        "doe2026.line5,A Loss,2026,2601.00001,warped,cars,R@1,91.2,,,,\n"
    )
    from_bib = [dataclasses.replace(claim, line=0) for claim in claims_file.read(bib).claims]
    assert from_bib == [
        dataclasses.replace(claim, line=0) for claim in claims_file.read(table).claims
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@article{k, title = {T}}", "no entry has a field `claims`"),
        ("@article{k,\n claims = {warped cub R@1 50", "line 2: a value that never ends"),
        ("@article{k,\n title {T}}", "line 1: cannot read the BibTeX entry"),
    ],
)
def test_a_faulty_bibtex_file_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "mine.bib"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        claims_file.read(path)
    assert message in str(problem.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("warped cub R@1", "'warped cub R@1'; a claim is"),
        ("warped cub R@1 5 dims=5", "unknown column 'dims'"),
        ("warped cub R@1 500", "value = 500 is out of range"),
    ],
)
def test_a_faulty_line_is_told_and_left_out(tmp_path, line, message):
    path = tmp_path / "mine.bib"
    path.write_text(f"@article{{k, claims = {{\nwarped cub R@1 50\n{line}\nwarped cub R@2 60}}}}")
    result = claims_file.read(path)
    assert [claim.value for claim in result.claims] == [50, 60]
    ((place, reason),) = result.left_out
    assert place == "mine.bib, line 3"
    assert message in reason
