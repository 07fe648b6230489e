"""Reading records fast gives what reading them plainly gives."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import fast_read, records
from harness.schema import Record

# Texts and keys that look like the places where a line is cut.
SEAMS = ("curve", "epochs", "provenance", "format", '"curve": [', '], "epochs": ', ', "format": ')
TEXTS = st.text() | st.sampled_from(SEAMS)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(TEXTS, VALUES, max_size=4)

made_records = st.builds(
    Record,
    study=TEXTS,
    dataset=TEXTS,
    loss=TEXTS,
    stage=st.sampled_from(["search", "repeat", "ensemble", "complete"]),
    key=TEXTS,
    seed=st.integers(0, 2**31 - 1),
    params=FIELDS,
    trial=st.integers(0, 99),
    repeat=st.none() | st.integers(0, 9),
    fold=st.none() | st.integers(0, 3),
    scores=st.dictionaries(TEXTS, NUMBERS, max_size=4),
    curve=st.lists(FIELDS, max_size=3),
    epochs=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    failure=st.none() | TEXTS,
    seconds=st.floats(0, 1e6),
    provenance=FIELDS,
    search_repeat=st.integers(0, 2),
    by_class=st.none()
    | st.dictionaries(st.sampled_from(["map_at_r", "queries"]), st.lists(NUMBERS, max_size=3)),
)


def plainly(line: bytes, loads=json.loads) -> Record:
    """The record of a line, read as slowly and simply as can be."""
    fields = loads(line)
    fields["epochs"] = tuple(fields["epochs"])
    return Record(**fields)


@pytest.mark.slow
@given(record=made_records)
@settings(max_examples=300, deadline=None)
def test_a_record_read_fast_equals_the_record_read_plainly(record: Record) -> None:
    line = json.dumps(asdict(record)).encode()
    assert plainly(line) == record
    assert fast_read.record(line, curves=True) == plainly(line)
    assert fast_read.record(line, curves=False) == replace(plainly(line), curve=[])


SCORES = st.dictionaries(TEXTS.filter(lambda text: text != "queries"), st.floats(0, 1)).map(
    lambda scores: {"map_at_r": 0.5, **scores}
)


@given(record=st.builds(replace, made_records, scores=SCORES))
@settings(max_examples=50, deadline=None)
def test_a_line_as_it_is_appended_is_read_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    path = tmp_path_factory.getbasetemp() / "appended.jsonl"
    path.unlink(missing_ok=True)
    records.append(path, record)
    assert plainly(path.read_bytes()) == record
    assert records.read(path).records == (record,)
    assert records.read(path, curves=False).records == (replace(record, curve=[]),)
