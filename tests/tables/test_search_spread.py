"""The table of a study whose search was repeated: the first search, then the spread over all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from harness.protocol import plan
from harness.schema import Record
from harness.tables import (
    metrics,
    order,
    order_text,
    pairs,
    pairs_text,
    search_order,
    table_text,
    uncertainty,
)
from harness.tables import table as tables
from harness.tables.table import Table
from tests.made import SPACE, STUDY, done

STUDY_OF_THREE = replace(STUDY, search_repeats=3)


def three_searches(loss: str, starts: Sequence[float], *, more: float = 0.0) -> list[Record]:
    """Three searches, finished; search s scores starts[s] + 0.01 r at repeat r, 1 has `more`."""
    records: list[Record] = []
    while runs := plan.next_runs(STUDY_OF_THREE, loss, "made", space=SPACE, records=records):
        record = done(runs[0])
        if record.repeat is not None:
            share = starts[record.search_repeat] + 0.01 * record.repeat
            share += more * (record.repeat == 1)
            record = replace(record, scores=dict.fromkeys(tables.METRICS, share))
        records.append(record)
    return records


@pytest.fixture(scope="module")
def played() -> list[Record]:
    return three_searches("made", (0.3, 0.4, 0.5))


@pytest.fixture(scope="module")
def of_three_losses() -> Table:
    """`far` is always ahead; `mid` and `under` change places in one of 9 pairs of searches."""
    starts = {"far": (0.8, 0.7, 0.9), "mid": (0.5, 0.3, 0.6), "under": (0.2, 0.35, 0.25)}
    records = {  # differences with a spread, so that there are tests
        loss: three_searches(loss, of_loss, more=0.001 * number)
        for number, (loss, of_loss) in enumerate(starts.items())
    }
    return tables.table(STUDY_OF_THREE, "made", records)


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


def test_the_order_between_searches_is_that_of_every_pair_of_them(of_three_losses):
    line = next(
        line
        for line in search_order.lines(of_three_losses)
        if (line.category, line.metric.name) == ("complete", "map_at_r")
    )
    assert [(pair.better, pair.worse, pair.changed, pair.compared) for pair in line.pairs] == [
        ("mid", "under", 1, 8),  # only 0.3 of mid lies below one of under: 0.35
        ("far", "mid", 0, 8),
        ("far", "under", 0, 8),
    ]
    assert [pair.told_apart for pair in line.pairs] == [True] * 3


def test_every_form_of_the_table_says_how_often_the_order_changes(of_three_losses):
    last = table_text.markdown(of_three_losses).split("\n\n| category")[1]
    row = next(line for line in last.splitlines() if "complete" in line and "MAP@R" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    means = [
        line.means
        for line in of_three_losses.search_spreads
        if (line.category, line.metric) == ("complete", "map_at_r")
    ]
    pooled = np.mean([np.var(of_loss, ddof=1) for of_loss in means])
    least = 100 * scipy.stats.t.ppf(0.975, 6) * np.sqrt(2 * pooled)
    assert cells[-6:-2] == ["3", "1", "3", "1"]
    assert cells[-2:] == [f"{least:.2f} (6)", "under before mid in 1 of 8"]
    assert "9 pairs of searches" in last
    assert table_text.latex(of_three_losses).count(r"\begin{table}") == 3
    data = json.loads(json.dumps(table_text.as_data(of_three_losses)))["order_over_searches"]
    assert {"better": "mid", "worse": "under", "changed": 1, "compared": 8}.items() <= data[
        0
    ].items()


def test_a_loss_of_which_a_repeat_failed_has_no_place_in_the_order_between_searches():
    records = {
        loss: three_searches(loss, (start, 0.4, 0.5))
        for loss, start in (("far", 0.3), ("mid", 0.31), ("under", 0.32))
    }
    broken = next(record for record in records["mid"] if record.stage == "complete")
    place = records["mid"].index(broken)
    records["mid"][place] = replace(broken, scores={}, curve=(), failure="it diverged")
    table = tables.table(STUDY_OF_THREE, "made", records)
    named = {
        line.category: {loss for pair in line.pairs for loss in (pair.better, pair.worse)}
        for line in search_order.lines(table)
    }
    assert named["complete"] == {"far", "under"}
    assert named["aggregate"] == {"far", "mid", "under"}


def test_what_is_told_apart_is_what_the_first_table_tells_apart():
    """Its tests are of all losses, also of those that some search has not whole."""
    starts = {"far": (0.55, 0.7, 0.9), "mid": (0.5, 0.3, 0.6)}
    records = {
        loss: three_searches(loss, of_loss, more=0.02 * number)
        for number, (loss, of_loss) in enumerate(starts.items())
    }
    alone = search_order.lines(tables.table(STUDY_OF_THREE, "made", records))[0].pairs[0]
    for number, loss in enumerate(("p", "q", "r", "s", "t")):
        of_loss = three_searches(loss, (0.52, 0.5, 0.5), more=0.01 * number)
        records[loss] = [r for r in of_loss if r.search_repeat != 1 or r.repeat != 0]
    table = tables.table(STUDY_OF_THREE, "made", records)
    (pair,) = search_order.lines(table)[0].pairs
    ranks = {row.loss: row.cells["complete", "map_at_r"].ranks for row in table.rows}
    assert {pair.better, pair.worse} == {"far", "mid"}
    assert alone.told_apart
    assert pair.told_apart == (ranks["far"][1] < ranks["mid"][0])
    assert not pair.told_apart


def test_two_losses_with_the_same_first_mean_have_no_order_that_could_change():
    starts = {"far": (0.5, 0.7, 0.9), "mid": (0.5, 0.3, 0.6)}
    records = {loss: three_searches(loss, of_loss) for loss, of_loss in starts.items()}
    assert not search_order.lines(tables.table(STUDY_OF_THREE, "made", records))


def test_a_search_without_final_runs_is_counted_in_the_spread_over_searches(played):
    without = [r for r in played if r.search_repeat != 1 or r.repeat is None]
    table = tables.table(STUDY_OF_THREE, "made", {"made": without})
    text = table_text.markdown(table).split("\n| loss")[1]
    row = next(line for line in text.splitlines() if "complete" in line and "MAP@R" in line)
    assert row.split("|")[8].strip() == "2 of 3"
    assert "the others failed or are not finished" in text
    assert table_text.as_data(table)["over_searches"][0]["searches_planned"] == 3


def test_one_loss_has_no_order_between_searches(played):
    table = tables.table(STUDY_OF_THREE, "made", {"made": played})
    assert not search_order.lines(table)
    assert "in another order" not in table_text.markdown(table)


def test_what_shows_the_first_search_alone_says_so():
    records = {loss: three_searches(loss, (start, 0.4, 0.5)) for loss, start in STARTS.items()}
    said = "of the first of 3 searches alone"
    compared = pairs.compare(
        STUDY_OF_THREE,
        "made",
        records,
        category="complete",
        metric="map_at_r",
        difference=0.01,
    )
    made = tables.table(STUDY_OF_THREE, "made", records)
    found = order.order(made, "complete", metrics.metric("map_at_r"), beside={})
    assert said in pairs_text.caption(compared)
    assert said in order_text.caption(found)
    assert said in uncertainty.caption([], STUDY_OF_THREE, "made")
    assert said not in pairs_text.caption(replace(compared, searches=1))
    assert said not in uncertainty.caption([], STUDY, "made")


STARTS = {"far": 0.3, "mid": 0.31, "under": 0.32}
