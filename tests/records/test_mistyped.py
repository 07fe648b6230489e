"""Fields of wrong types in records and study.json: one line with the file and the line's number."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.protocol import plan
from harness.records import content, folder, records
from harness.records.mistyped import mistyped, of_description
from harness.schema import Problem
from tests.made import SPACE, STUDY, done, play

RECORD = asdict(done(plan.next_runs(STUDY, "made", "made", space=SPACE, records=[])[0]))
OTHERS = [None, True, -1, 10**15, 1.5, "x", "", [], [1], {}, {"a": 1}, [[]], ["x", "y"]]
# What a field may also hold than what it held: a record with it is another one, and no wrong one.
ALLOWED = {
    "repeat": [None, 10**15],
    "fold": [None, 10**15],
    "failure": [None, "x", ""],
    "by_class": [None, {}],
    "epochs_run": [None],
    "capped": [None, True],
    "test_queries": [None, [], [1]],
    "diagnostics": [None, {}],
    "digest": [None, "x", ""],
    "params": [{}, {"a": 1}],
    "provenance": [{}, {"a": 1}],
    "curve": [[]],
    "seconds": [10**15, 1.5],
    **{name: ["x", ""] for name in ("study", "dataset", "loss", "key")},
    **{name: [10**15] for name in ("seed", "trial", "search_repeat")},
}


def problem_of(read):
    """What a reader gives, or None, and the text of its Problem, or nothing."""
    try:
        return read(), ""
    except Problem as problem:
        return None, str(problem)


def line_of(fields) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_a_study_json_without_a_field_is_named_by_it_and_may_lack_the_title():
    """Those of older versions have no title."""
    described = folder.describe(STUDY, "made", "made", "x")
    assert of_description(described) is None
    for name in ("format", "study", "dataset", "title", "fingerprint"):
        without = {key: value for key, value in described.items() if key != name}
        expected = None if name == "title" else f"its {name} is 'None'"
        assert of_description(without) == expected
        assert of_description(described | {name: [1]}) == f"its {name} is '[1]'"


@pytest.mark.parametrize("name", RECORD)
def test_a_field_of_another_type_is_named_with_the_file_and_the_line(tmp_path, name):
    path = tmp_path / "made.jsonl"
    good = content.sealed_line(RECORD)
    for other in OTHERS:
        fields = {key: value for key, value in RECORD.items() if key != "digest"} | {name: other}
        path.write_bytes(good + line_of(fields))
        for curves in (True, False):
            if any(other == a and type(other) is type(a) for a in ALLOWED.get(name, [])):
                assert len(records.read(path, curves=curves).records) == 2
                continue
            if name == "curve" and not curves and isinstance(other, list):
                continue  # it is left out, and not looked at
            with pytest.raises(Problem, match=re.escape(f"{path}: line 2")):
                records.read(path, curves=curves)


def test_records_of_a_study_are_of_the_right_types():
    assert {mistyped(record) for record in play(lambda runs: runs[0])} == {None}


@pytest.mark.slow
@given(
    place=st.integers(0, 4000),
    bits=st.binary(max_size=6),
    removed=st.integers(0, 40),
)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_change_of_a_file_gives_records_or_one_problem(tmp_path_factory, place, bits, removed):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    lines = content.sealed_line(RECORD) * 2
    at = place % len(lines)
    path.write_bytes(lines[:at] + bits + lines[at + removed :])
    read, problem = problem_of(lambda: records.read(path))
    if read is None:
        assert re.search(r"line \d", problem)
    else:
        assert all(mistyped(record) is None for record in read.records)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
DESCRIPTION = folder.describe(STUDY, "made", "made", "f00d")


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_study_json_gives_a_study_or_one_problem(tmp_path_factory, data):
    where = tmp_path_factory.getbasetemp()
    description = json.loads(json.dumps(DESCRIPTION))
    target = data.draw(st.sampled_from([description, description["study"]]))
    target[data.draw(st.sampled_from([*target, "unknown"]))] = data.draw(VALUES)
    (where / "study.json").write_text(json.dumps(description))
    digest, problem = problem_of(
        lambda: folder.study_of(folder.read_description(where) or {}).for_dataset("made").digest()
    )
    assert (digest is None) != (problem == "")
    assert "\n" not in problem


def test_a_field_whose_name_has_a_line_break_is_named_in_one_line(tmp_path):
    description = json.loads(json.dumps(DESCRIPTION))
    description["study"]["odd\nname"] = None
    (tmp_path / "study.json").write_text(json.dumps(description))
    _, problem = problem_of(lambda: folder.study_of(folder.read_description(tmp_path) or {}))
    assert r"no study has the fields 'odd\nname'" in problem


def test_a_problem_is_one_line_whatever_is_named_in_it():
    assert (
        str(Problem("no such file: a\nb\u2028c; look again")) == "no such file: a b c; look again"
    )


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "1", '{"study": 1}', '{"format": 1}', "{}"])
def test_a_study_json_that_is_none_is_one_problem_that_names_it(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(Problem, match=re.escape(str(tmp_path / "study.json"))):
        folder.read_description(tmp_path)
