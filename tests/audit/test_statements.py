"""Files of statements are read whole or refused."""

from __future__ import annotations

import json

import pytest

from harness.audit import statements
from harness.schema import Problem

GOOD = {"statement_id": "s", "paper": "p", "said": "x", "where_said": "y", "kind": "beats"}


def test_the_file_calls_a_statements_text_said(tmp_path):
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([GOOD]))
    (statement,) = statements.read(path)
    assert (statement.text, statement.where_said, statement.kind) == ("x", "y", "beats")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "wins"}, "kind = 'wins'; allowed: beats,"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"text": "x"}, "unknown field 'text'"),
        ({"said": ""}, "no said"),
        ({"a": {"metod": "x"}}, "unknown column 'metod'"),
        ({"kind": "beats_in"}, "needs k"),
    ],
)
def test_a_faulty_statement_is_named(tmp_path, change, message):
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([GOOD | change]))
    with pytest.raises(Problem, match=r"statements.json, statement 1") as problem:
        statements.read(path)
    assert message in str(problem.value)


def test_two_statements_of_one_name_and_invalid_json_are_refused(tmp_path):
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([GOOD, GOOD]))
    with pytest.raises(Problem, match="two statements are called 's'"):
        statements.read(path)
    path.write_text("[\n{,")
    with pytest.raises(Problem, match="line 2: no valid JSON"):
        statements.read(path)
