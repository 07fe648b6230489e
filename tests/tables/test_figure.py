"""Figures as SVG: they name every loss, mark what is best, and bar what is not told apart."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from harness.measure.ranks import average_ranks
from harness.tables import figure
from harness.tables import table as tables
from tests.made import STUDY, play, scored


@pytest.fixture(autouse=True)
def _text_stays_text():
    """SVG with text as text; matplotlib draws letters as curves otherwise."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        yield


def texts_in(path: Path) -> list[str]:
    return [
        (element.text or "").strip()
        for element in ET.parse(path).iter()
        if element.tag.endswith("}text")
    ]


def styles_in(path: Path) -> list[str]:
    return [element.get("style", "") for element in ET.parse(path).iter()]


def test_the_diagram_is_well_formed_names_every_loss_and_bars_every_group_of_two_or_more(tmp_path):
    source = np.random.default_rng(4)
    scores = {f"l{i}<&": list(source.normal(i, 1.5, 9)) for i in range(5)}
    ranks = average_ranks(scores)
    path = tmp_path / "ranks.svg"
    figure.draw_ranks(ranks, path, "a title")
    texts = texts_in(path)
    for name, rank in ranks.ranks.items():
        assert f"{name} {rank:.2f}" in texts
    assert "a title" in texts
    assert f"critical difference {ranks.critical_difference:.2f} (9 datasets)" in texts
    bars = [style for style in styles_in(path) if "stroke-width: 4" in style]
    assert len(bars) == sum(len(group) > 1 for group in ranks.groups) > 1


def test_the_tables_figure_has_a_line_per_loss_and_a_panel_per_category(tmp_path):
    by_loss = {
        "best": scored("best", [0.300, 0.301, 0.302]),
        "far": scored("far", [0.100, 0.101, 0.102]),
    }
    path = tmp_path / "table.svg"
    figure.draw_table(tables.table(STUDY, "made", by_loss), path)
    texts = texts_in(path)
    assert texts.count("best") == texts.count("far") == 1  # the panels share their axis
    assert {"Complete (16-d)", "Ensemble (32-d)", "Aggregate (8-d)"} <= set(texts)
    assert texts.count("test MAP@R, %") == 3
    assert any("mean and each repeat (ticks) over 3 repeats" in text for text in texts)


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_ending_of_the_name_is_the_format(tmp_path, ending, start):
    path = tmp_path / f"ranks.{ending}"
    figure.draw_ranks(average_ranks({"a": [1, 2], "b": [2, 3]}), path, "a title")
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_search_was_repeated_each_searchs_mean_is_in_the_tables_figure(tmp_path):
    study = replace(STUDY, search_repeats=2)
    records = list(play(lambda runs: runs[0], study))
    made = tables.table(study, "made", {"a": records})
    drawn = figure.table_figure(made)
    means = {
        line.category: [100 * mean for mean in line.means]
        for line in made.search_spreads
        if line.metric == "map_at_r"
    }
    for category, panel in zip(made.categories, drawn.axes, strict=True):
        diamonds = [line for line in panel.lines if line.get_marker() == "d"]
        assert [list(line.get_xdata()) for line in diamonds] == [means[category]]
        assert len(means[category]) == 2
    assert "diamonds: the mean after each" in drawn.get_suptitle()
