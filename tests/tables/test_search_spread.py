"""The table of a study whose search was repeated: the first search, then the spread over all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.protocol import plan
from harness.schema import Record
from harness.tables import table as tables
from harness.tables import table_text
from tests.made import SPACE, STUDY, done

STUDY_OF_THREE = replace(STUDY, search_repeats=3)


@pytest.fixture(scope="module")
def played() -> list[Record]:
    """Three searches, finished; search s scores 0.3 + 0.1 s + 0.01 r at repeat r."""
    records: list[Record] = []
    while runs := plan.next_runs(STUDY_OF_THREE, "made", "made", space=SPACE, records=records):
        record = done(runs[0])
        if record.repeat is not None:
            share = 0.3 + 0.1 * record.search_repeat + 0.01 * record.repeat
            record = replace(record, scores=dict.fromkeys(tables.METRICS, share))
        records.append(record)
    return records


def test_a_repeated_search_plans_and_finishes_every_search(played):
    progress = plan.progress(STUDY_OF_THREE, "made", played)
    assert progress.finished
    assert progress.planned["search"] == 3 * 5 * 4


def test_the_table_shows_the_first_search_and_the_spread_over_all(played):
    table = tables.table(STUDY_OF_THREE, "made", {"made": played})
    cell = table.rows[0].cells["complete", "map_at_r"]
    assert cell.scores == pytest.approx({0: 0.30, 1: 0.31, 2: 0.32})
    lines = {(line.category, line.metric): line for line in table.search_spreads}
    spread = lines["complete", "map_at_r"].spread
    assert spread.interval.mean == pytest.approx(0.41)
    assert spread.sd_searches == pytest.approx(0.1)
    assert spread.sd_repeats == pytest.approx(0.01)


def test_every_form_of_the_table_has_the_spread_and_says_of_what_it_is(played):
    table = tables.table(STUDY_OF_THREE, "made", {"made": played})
    text = table_text.markdown(table)
    assert "the whole search done 3 times with other seeds" in text
    below = text.split("\n| loss")[1].splitlines()
    row = next(line for line in below if "complete" in line and "MAP@R" in line)
    assert row.split("|")[4].strip() == "41.00 (31.00; 41.00; 51.00)"
    assert table_text.latex(table).count(r"\begin{table}") == 2
    assert "searches_ci95" in table_text.comma_separated(table)
    data = json.loads(json.dumps(table_text.as_data(table)))
    assert data["over_searches"][0]["ci95_over_searches"] == pytest.approx(0.248, abs=1e-3)


def test_a_study_of_one_search_has_the_same_table_without_a_spread(played):
    first = [record for record in played if not record.search_repeat]
    once = tables.table(STUDY, "made", {"made": first})
    assert "over_searches" not in table_text.as_data(once)
    thrice = tables.table(STUDY_OF_THREE, "made", {"made": played})
    above = table_text.markdown(thrice).split("\n\n| loss")[0]
    assert table_text.markdown(once) == above + "\n"
