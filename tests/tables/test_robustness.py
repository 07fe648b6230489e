"""Corrupted test images as a table: verdicts on planted scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.data.corruptions import CORRUPTIONS
from harness.tables import robustness
from harness.tables.robustness import CLEAN, Robustness


def planted(better_by, *, rival="hist", repeats=5) -> Robustness:
    """Warped and a rival; `better_by`: corruption -> by how much warped is better there."""
    rng = np.random.default_rng(0)
    noise = {loss: rng.normal(0, 0.002, (10, repeats)) for loss in ("warped", rival)}
    scores = {
        loss: {
            column: {
                r: 0.5 + (loss == "warped") * better_by.get(column, 0.05) + noise[loss][c, r]
                for r in range(repeats)
            }
            for c, column in enumerate((CLEAN, *CORRUPTIONS))
        }
        for loss in ("warped", rival)
    }
    return Robustness("made/glyphs", scores, [])


@pytest.mark.parametrize(
    ("better_by", "rival", "verdict"),
    [
        ({}, "hist", "agrees"),
        ({"cutout": -0.05, "jigsaw": -0.05}, "hist", "agrees"),  # as in the paper
        ({"cutout": -0.05}, "proxy_nca_pp", "disagrees"),
        ({"dropout": -0.05}, "hist", "disagrees"),
        ({"dropout": 0.0}, "hist", "undecided"),
        ({CLEAN: -0.3}, "hist", "agrees"),  # clean images are no corruption
    ],
)
def test_the_verdict_is_of_every_corruption_that_the_paper_names(better_by, rival, verdict):
    [statement] = robustness.statements(planted(better_by, rival=rival))
    assert statement.verdict == verdict


def test_one_repeat_decides_nothing_and_other_losses_are_not_compared():
    [statement] = robustness.statements(planted({}, repeats=1))
    assert statement.verdict == "undecided"
    assert "0 better, 0 worse, 7 not to be told apart" in statement.here
    assert robustness.statements(planted({}, rival="contrastive")) == []


def test_survivors_are_marked_and_in_no_comparison():
    made = replace(planted({}), failed={"warped": 2})
    assert robustness.statements(made) == []
    assert "(5 of 7)" in robustness.text(made, "Code: abc.")


def test_the_table_has_a_column_a_corruption_and_names_what_is_unlike():
    made = planted({})
    page = robustness.text(Robustness(made.address, made.scores, ["made/glyphs/x"]), "Code: abc.")
    head = [cell.strip() for cell in page.splitlines()[0].strip("|").split("|")]
    assert head == ["loss", "clean", *CORRUPTIONS]
    assert "over 5 repeats" in page
    assert "UNLIKE: the clean scores of made/glyphs/x are not exactly" in page
    assert page.endswith("Code: abc.\n")


@pytest.mark.parametrize("repeats", [3, 5])
def test_the_figure_has_every_loss_at_its_means_and_bars_only_over_enough_repeats(repeats):
    made = planted({}, repeats=repeats)
    [panel] = robustness.dots(made).axes
    assert [tick.get_text() for tick in panel.get_yticklabels()] == [CLEAN, *CORRUPTIONS]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["warped", "hist"]
    for drawn, by_column in zip(panel.containers, made.scores.values(), strict=True):
        points, _, bars = drawn.lines
        means = [100 * np.mean(list(scores.values())) for scores in by_column.values()]
        np.testing.assert_allclose(points.get_xdata().astype(float), means)
        assert bool(bars) == (repeats >= 5)
        if bars:
            widths = [np.ptp(segment[:, 0]) / 2 for segment in bars[0].get_segments()]
            values = [100 * np.array(list(scores.values())) for scores in by_column.values()]
            half = [stats.t.ppf(0.975, 4) * v.std(ddof=1) / np.sqrt(5) for v in values]
            np.testing.assert_allclose(widths, half)
