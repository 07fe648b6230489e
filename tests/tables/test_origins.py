"""Every kind of table says where its records come from, and warns where that changes numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.schema import Record
from harness.tables import optimism, optimism_text, table_text
from harness.tables import table as tables
from harness.tables.experiments import _sheet
from tests.made import MADE, STUDY, scored
from tests.tables.test_optimism import POOL_STUDY, scored_pool


def of_table(records: list[Record]) -> str:
    return table_text.caption(tables.table(STUDY, "made", {"made": records}))


def of_experiment(records: list[Record]) -> str:
    return "\n".join(_sheet.caption(STUDY, "made", {"made": records}, []))


def of_optimism(records: list[Record]) -> str:
    return optimism_text.caption(optimism.table(POOL_STUDY, "made", {"made": records}))


SCORED = scored("made", [0.1, 0.2, 0.3])
CAPTIONS = {of_table: SCORED, of_experiment: SCORED, of_optimism: scored_pool()}


def mixed(records: list[Record], **others: object) -> list[Record]:
    """The records, the last of them with another origin."""
    of_one = MADE | {"threads": 1}
    made = [replace(record, provenance=of_one) for record in records]
    return [*made[:-1], replace(made[-1], provenance=of_one | others)]


@pytest.mark.parametrize("caption", CAPTIONS)
@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"commit": "b" * 40}, "2 commits: aaaaaaaaaa | bbbbbbbbbb."),
        ({"versions": {"torch": "3"}}, "2 package versions: torch 2 | torch 3."),
        ({"device": "cuda: y"}, "2 kinds of device, as far as they tell"),
        ({"threads": 2}, "2 numbers of threads, with which runs round otherwise: 1 | 2."),
    ],
)
def test_a_caption_warns_of_each_kind_of_origin_of_which_there_are_several(caption, others, words):
    records = CAPTIONS[caption]
    assert "MIXED" not in caption(mixed(records))
    (line,) = (x for x in caption(mixed(records, **others)).splitlines() if x.startswith("MIXED"))
    assert line.startswith(f"MIXED: these records come from {words}")


@pytest.mark.parametrize("caption", CAPTIONS)
def test_a_caption_without_a_record_says_so_in_place_of_the_commit(caption):
    assert "Code: no records." in caption([]).splitlines()
