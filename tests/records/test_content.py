"""A record's digest tells that its line was changed; scores that no run can have are refused."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import content, records
from harness.schema import Problem
from tests.made import STUDY, play

RECORDS = [
    replace(record, curve=[{"phase": "normal", "epoch": 1, "loss": 0.5, "map_at_r": 0.25}])
    for record in play(lambda runs: runs[0], STUDY)[:3]
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "made.jsonl"
    for record in RECORDS:
        records.append(path, record)
    return path


def test_the_digest_is_sha256_of_the_line_without_it(path):
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        digest = fields.pop("digest")
        text = json.dumps(fields).encode()
        assert digest == hashlib.sha256(text).hexdigest()[: content.DIGITS]


@pytest.mark.parametrize("curves", [True, False])
def test_what_is_appended_is_not_altered_even_if_another_program_lays_it_out(path, curves):
    assert records.read(path, curves=curves).altered == frozenset()
    other = [
        json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":"))
        for line in path.read_text().splitlines()
    ]
    path.write_text("".join(f"{line}\n" for line in other))
    assert records.read(path, curves=curves).altered == frozenset()


@pytest.mark.parametrize("curves", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 5),
        ("scores", {"map_at_r": 0.9}),
        ("params", {}),
        ("epochs", [9, 9]),
        ("curve", []),
        ("provenance", {"commit": "b"}),
        ("seconds", 0.5),
        ("digest", "0" * content.DIGITS),
    ],
)
def test_any_changed_field_is_altered(path, name, value, curves):
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), name: value})
    path.write_text("".join(f"{line}\n" for line in lines))
    assert records.read(path, curves=curves).altered == frozenset({1})


@pytest.mark.parametrize("curves", [True, False])
@pytest.mark.parametrize("tail", ['"scores": {"map_at_r": 0.9}', '"seed": 5'])
def test_a_field_said_again_behind_the_digest_is_altered(path, tail, curves):
    lines = path.read_text().splitlines()
    lines[1] = lines[1].removesuffix("}") + f", {tail}}}"
    path.write_text("".join(f"{line}\n" for line in lines))
    assert records.read(path, curves=curves).altered == frozenset({1})


def test_a_record_that_lost_its_digest_among_others_of_its_commit_is_altered(tmp_path):
    path = tmp_path / "made.jsonl"
    made = {"commit": "a" * 40, "dirty": False}
    for record in RECORDS:
        records.append(path, replace(record, provenance=made))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[1]["digest"]
    path.write_text("".join(f"{json.dumps(fields)}\n" for fields in lines))
    assert records.read(path).altered == frozenset({1})
    lines[1]["provenance"] = made | {"commit": "b" * 40}  # an older one, which wrote none
    path.write_text("".join(f"{json.dumps(fields)}\n" for fields in [lines[1]]))
    assert records.read(path).altered == frozenset()


@given(place=st.integers(0, 10**6), letter=st.sampled_from("0123456789"))
def test_any_changed_digit_is_altered_or_no_record(tmp_path_factory, place, letter):
    path = tmp_path_factory.mktemp("altered") / "made.jsonl"
    records.append(path, RECORDS[0])
    text = path.read_text()
    digits = [i for i, character in enumerate(text) if character.isdigit()]
    where = digits[place % len(digits)]
    path.write_text(text[:where] + letter + text[where + 1 :])
    try:
        altered = records.read(path).altered
    except Problem:
        return
    same_number = json.loads(path.read_text()) == json.loads(text)
    assert bool(altered) != same_number


def test_older_records_without_a_digest_are_read_and_not_altered(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    older = [{k: v for k, v in fields.items() if k != "digest"} for fields in lines]
    path.write_text("".join(f"{json.dumps(fields)}\n" for fields in older))
    contents = records.read(path)
    assert list(contents.records) == RECORDS
    assert [record.digest for record in contents.records] == [None] * 3
    assert contents.altered == frozenset()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"map_at_r": 1.0000001}, "its map_at_r is 1.0000001, which is not a share of 1"),
        ({"map_at_r": -0.1}, "its map_at_r is -0.1, which is not a share of 1"),
        ({"recall_at_4": 17}, "its recall_at_4 is 17, which is not a share of 1"),
        ({"map_at_r": True}, "its map_at_r is True, which is not a share of 1"),
        ({"map_at_r": "0.5"}, "its map_at_r is '0.5', which is not a share of 1"),
        ({"map_at_r": None}, "its map_at_r is None, which is not a share of 1"),
        ({"map_at_r": 0.5, "queries": -1}, "its queries is -1, which is not a count"),
        ({}, "it has neither a failure nor scores"),
    ],
)
def test_scores_that_no_run_can_have_are_refused_with_file_and_line(path, scores, message):
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "scores": scores})
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(Problem) as caught:
        records.read(path)
    assert f"{path}: line 2, {RECORDS[1].key}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "failure"),
    [({"map_at_r": 0}, None), ({"map_at_r": 1, "queries": 60_502.0}, None), ({}, "Diverged: x")],
)
def test_scores_that_a_run_can_have_are_read(tmp_path, scores, failure):
    path = tmp_path / "made.jsonl"
    records.append(path, replace(RECORDS[0], scores=scores, failure=failure))
    assert records.read(path).records[0].scores == scores


@pytest.mark.parametrize(
    ("diagnostics", "words"),
    [
        ({"nmi": 1.5}, "its nmi is 1.5, which is no finite number from 0 to 1"),
        ({"uniformity": 0.5}, "its uniformity is 0.5"),
        ({"spectral_decay": -0.1}, "its spectral_decay is -0.1"),
        ({"spectral_decay": True}, "its spectral_decay is True"),
        ({"nni": 0.5}, "its diagnostic nni is none of nmi"),
    ],
)
def test_diagnostics_that_no_run_can_have_are_refused(tmp_path, diagnostics, words):
    path = tmp_path / "made.jsonl"
    records.append(path, replace(RECORDS[0], diagnostics=diagnostics))
    with pytest.raises(Problem, match=f"line 1, .*{re.escape(words)}.*take the line out"):
        records.read(path)


def test_possible_diagnostics_come_back_and_stand_on_disk_only_where_there_are_some(tmp_path):
    path = tmp_path / "made.jsonl"
    described = replace(RECORDS[0], diagnostics={"nmi": 0.5, "uniformity": -8.0, "ami": -0.01})
    for record in (described, RECORDS[1]):
        records.append(path, record)
    assert records.read(path).records[0] == described
    assert ["diagnostics" in line for line in path.read_text().splitlines()] == [True, False]
