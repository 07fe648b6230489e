"""The forest of pairs: each named, few repeats as ticks, the many cut to those of the best."""

from __future__ import annotations

from dataclasses import replace

from harness.tables import pairs, pairs_figure
from tests.made import STUDY, scored


def comparison(*losses):
    by_loss = {
        loss: scored(loss, [0.1 * (n + 1) + 0.01 * r * (n + 1) for r in range(3)])
        for n, loss in enumerate(losses)
    }
    return pairs.compare(
        STUDY, "made", by_loss, category="complete", metric="map_at_r", difference=0.01
    )


def test_every_pair_is_a_line_with_each_of_its_few_differences_in_points():
    compared = comparison("low", "high")
    figure = pairs_figure.forest(compared)
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["high - low"]
    ticks = [line for line in panel.lines if line.get_marker() == "|"]
    assert [round(float(x), 6) for x in ticks[0].get_xdata()] == [10.0, 11.0, 12.0]
    assert panel.get_xlabel() == "difference in points of complete MAP@R"
    assert "each repeat (ticks)" in figure.get_suptitle()


def test_of_too_many_pairs_those_of_the_best_loss_are_drawn_and_the_title_says_so(monkeypatch):
    monkeypatch.setattr(pairs_figure, "MOST_PAIRS", 2)
    compared = comparison("a", "b", "c")
    assert len(compared.pairs) == 3
    assert {(pair.a, pair.b) for pair in pairs_figure.shown_pairs(compared)} == {
        ("c", "a"),
        ("c", "b"),
    }
    assert "2 of 3 pairs" in pairs_figure.forest(compared).get_suptitle()
    survivors = replace(compared, survivors={"a": (2, 1)})
    assert "some repeats failed (a)" in pairs_figure.forest(survivors).get_suptitle()
