"""What records of one row must share, and what they need not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from harness.protocol.likeness import differences, making, mixed
from tests.made import STUDY, play

BEFORE = {
    "commit": "a" * 40,
    "dirty": False,
    "loss_code": "abc",
    "study_code": "def",
    "device": "cpu: one processor",
    "threads": 1,
    "versions": {"python": "3.11.2", "torch": "2.14.1", "numpy": "2.3"},
    "weights": "none",
    "dataset": "f00d",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"loss_code": "bcd"}, ["code of the loss abc -> bcd"]),
        ({"threads": 2}, ["threads 1 -> 2"]),
        ({"dataset": "beef"}, ["dataset f00d -> beef"]),
        ({"weights": "imagenet"}, ["weights none -> imagenet"]),
        ({"versions": {**BEFORE["versions"], "torch": "2.15"}}, ["torch 2.14.1 -> 2.15"]),
        ({"device": "cuda: H100"}, ["device cpu -> cuda"]),
        ({"commit": "b" * 40}, []),
        ({"dirty": True, "content": "1"}, []),
        ({"study_code": "x"}, []),
        ({"device": "cpu: another processor"}, []),
        ({"versions": {**BEFORE["versions"], "python": "3.12.0"}}, []),
        ({"loss_code": None}, []),
        ({"versions": {}}, []),
    ],
)
def test_what_changes_numbers_must_be_equal_where_both_say_it(change, expected):
    assert differences(making(BEFORE), making({**BEFORE, **change})) == expected
    assert differences(making(BEFORE), making(BEFORE)) == []
    assert differences(making(BEFORE), making({})) == []


def test_threads_do_not_count_on_a_gpu():
    on_gpu = {**BEFORE, "device": "cuda: H100"}
    assert differences(making(on_gpu), making({**on_gpu, "threads": 8})) == []


def test_a_mixture_is_counted_by_value():
    records = [replace(record, provenance=BEFORE) for record in play(lambda runs: runs[0], STUDY)]
    assert mixed(records) == {}
    other = {**BEFORE, "threads": 4}
    records[3:8] = [replace(record, provenance=other) for record in records[3:8]]
    assert mixed(records) == {"threads": Counter({"1": len(records) - 5, "4": 5})}
    older = {name: BEFORE[name] for name in BEFORE if name != "loss_code"}
    assert mixed([replace(r, provenance=older) for r in records[:2]] + records[2:3]) == {}
