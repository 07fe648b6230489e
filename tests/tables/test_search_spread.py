"""The spread over searches beside that over repeats, against the analysis of variance."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.protocol import plan
from harness.tables import search_spread, table_text
from harness.tables import table as tables
from tests.made import SPACE, STUDY, done


def test_the_spreads_are_those_of_a_one_way_analysis_of_variance():
    rng = np.random.default_rng(3)
    values = (rng.normal(0, 2, (5, 1)) + rng.normal(0, 1, (5, 4))).tolist()
    found = search_spread.spread(values)
    assert found is not None
    ratio = 4 * found.sd_searches**2 / found.sd_repeats**2
    assert ratio == pytest.approx(scipy_stats.f_oneway(*values).statistic)
    means = [np.mean(told) for told in values]
    assert found.interval.mean == pytest.approx(np.mean(means))
    low, high = scipy_stats.t.interval(0.95, 4, np.mean(means), scipy_stats.sem(means))
    assert found.interval.half_width == pytest.approx((high - low) / 2)
    alone = np.var(means, ddof=1) - np.mean([np.var(told, ddof=1) for told in values]) / 4
    assert found.sd_search_alone == pytest.approx(np.sqrt(alone))


def test_equal_searches_have_no_spread_of_their_own_and_one_search_tells_none():
    assert search_spread.spread([[1.0, 3.0], [3.0, 1.0]]).sd_search_alone == 0
    assert search_spread.spread([[1.0, 3.0]]) is None
    assert search_spread.spread([[1.0, 3.0], [2.0]]) is None


def test_the_table_shows_the_first_search_and_the_spread_over_all_says_of_what():
    study = replace(STUDY, search_repeats=3)
    told = []
    while runs := plan.next_runs(study, "made", "made", SPACE, told):
        record = done(runs[0])
        if record.repeat is not None:
            share = 0.3 + 0.1 * record.search_repeat + 0.01 * record.repeat
            record = replace(record, scores=dict.fromkeys(tables.METRICS, share))
        told.append(record)
    assert plan.progress(study, "made", told).finished
    assert plan.progress(study, "made", told).planned["search"] == 3 * 5 * 4
    table = tables.table(study, "made", {"made": told})
    cell = table.rows[0].cells["complete", "map_at_r"]
    assert cell.values == pytest.approx({0: 0.30, 1: 0.31, 2: 0.32})
    line = next(x for x in table.searches if (x.category, x.metric) == ("complete", "map_at_r"))
    assert line.spread.interval.mean == pytest.approx(0.41)
    assert line.spread.sd_searches == pytest.approx(0.1)
    assert line.spread.sd_repeats == pytest.approx(0.01)
    text = table_text.markdown(table)
    assert "the whole search done 3 times with other seeds" in text
    below = text.split("\n| loss")[1]
    assert (
        next(row for row in below.splitlines() if "complete" in row and "MAP@R" in row)
        .split("|")[4]
        .strip()
        == "41.00 ± 24.84"
    )
    assert table_text.latex(table).count(r"\begin{table}") == 2
    assert "searches_ci95" in table_text.comma_separated(table)
    data = json.loads(json.dumps(table_text.as_data(table)))
    assert data["over_searches"][0]["ci95_over_searches"] == pytest.approx(0.248, abs=1e-3)
    once = tables.table(STUDY, "made", {"made": [r for r in told if not r.search_repeat]})
    assert "over_searches" not in table_text.as_data(once)
    assert table_text.markdown(once) == text.split("\n\n| loss")[0] + "\n"
