"""Files of statements: a faulty statement is told and left out."""

from __future__ import annotations

import json

import pytest

from harness.audit import statements
from harness.schema import Problem

GOOD = {"statement_id": "s", "paper": "p", "said": "x", "where_said": "y", "kind": "beats"}


def test_the_file_calls_a_statements_text_said(tmp_path):
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([GOOD]))
    (statement,) = statements.read(path).statements
    assert (statement.text, statement.where_said, statement.kind) == ("x", "y", "beats")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "wins"}, "kind = 'wins'; allowed: beats,"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"text": "x"}, "unknown field 'text'"),
        ({"said": ""}, "no said"),
        ({"a": {"metod": "x"}}, "unknown column 'metod'"),
        ({"a": "warped"}, "a = 'warped'; an object is needed"),
        ({"by": "6"}, "by = '6'; a whole number or a number is needed"),
        ({"k": 2.5, "kind": "beats_in"}, "k = 2.5; a whole number is needed"),
        ({"kind": "beats_in"}, "needs k"),
        ({"kind": "converges_faster", "factor": 0}, "factor = 0; a number above 0"),
        ({"pair_by": ["colour"]}, "pair_by: unknown column 'colour'"),
        ({"statement_id": "s"}, "another statement is called 's'"),
        ({"statement_id": "published"}, "another statement is called 'published'"),
    ],
)
def test_a_faulty_statement_is_told_and_left_out(tmp_path, change, message):
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([GOOD, GOOD | {"statement_id": "t"} | change, "no statement"]))
    result = statements.read(path, ["published"])
    assert [statement.statement_id for statement in result.statements] == ["s"]
    (place, reason), (last, _) = result.left_out
    assert (place, last) == ("statements.json, statement 2", "statements.json, statement 3")
    assert message in reason


def test_what_is_no_list_of_statements_is_refused(tmp_path):
    path = tmp_path / "statements.json"
    for text, message in {"[\n{,": "line 2: no valid JSON", "{}": "a list of statements"}.items():
        path.write_text(text)
        with pytest.raises(Problem, match=message):
            statements.read(path)
    with pytest.raises(Problem, match="no such file"):
        statements.read(tmp_path / "none.json")
