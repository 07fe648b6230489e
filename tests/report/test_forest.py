"""The figures of every repeat: where the search was repeated they show what each search gave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report import forest
from harness.report.sources import Source
from harness.tables import metrics
from tests.made import STUDY, play


@pytest.mark.parametrize("searches", [1, 3])
def test_a_tick_stands_at_the_mean_after_each_search_within_the_axis(searches):
    study = replace(STUDY, search_repeats=searches)
    records = list(play(lambda runs: runs[0], study))
    source = Source("tiny/made", "results", study, "made", {"a": records}, [])
    figure = forest.of_category(source, metrics.metric("map_at_r"), "ensemble")
    (panel,) = figure.axes
    ticks = [
        value
        for line in panel.lines
        if line.get_marker() == "|" and line.get_color() == forest.ORANGE
        for value in line.get_xdata()
    ]
    by_search = [
        [r.scores["map_at_r"] for r in records if r.stage == "ensemble" and r.search_repeat == n]
        for n in range(searches)
    ]
    means = [100 * sum(values) / len(values) for values in by_search]
    assert ticks == pytest.approx(means if searches > 1 else [])
    low, high = panel.get_xlim()
    assert all(low <= tick <= high for tick in ticks)
