"""The table of the study `standard`: what it says, and that no other table reads its records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.protocol import plan, trials
from harness.schema import TEST_TUNED, Record
from harness.tables import optimism, optimism_text, table_text
from harness.tables import table as tables
from tests.made import SPACE, STUDY, play

PLAYED = replace(STUDY, name="standard", protocol="standard", dim=16, folds=2)


def perfect(record: Record, stage: str) -> Record:
    """A record as if it came from the test-tuned branch, with full marks."""
    key = record.key.replace(record.stage, stage, 1)
    return replace(record, stage=stage, key=key, scores=dict.fromkeys(record.scores, 1.0))


def test_test_tuned_records_feed_no_other_table_search_or_export():
    honest = play(lambda runs: runs[0])
    planted = [*honest]
    for record in honest:
        planted += [perfect(record, stage) for stage in TEST_TUNED]
    assert trials.trials_of(STUDY, planted) == trials.trials_of(STUDY, honest)
    assert plan.next_runs(STUDY, "made", "made", space=SPACE, records=planted) == []
    with_planted = tables.table(STUDY, "made", {"made": planted})
    without = tables.table(STUDY, "made", {"made": honest})
    for form in table_text.FORMATS.values():
        assert form(with_planted) == form(without)


def made_up(loss: str, honest: list[float], tuned: list[float]) -> list[Record]:
    """The records of a finished study PLAYED whose scores at repeat r are honest[r], tuned[r]."""
    finished = []
    for record in play(lambda runs: runs[0], PLAYED, loss):
        if record.repeat is not None:
            share = (tuned if record.stage in TEST_TUNED else honest)[record.repeat]
            record = replace(record, scores=dict.fromkeys(tables.METRICS, share))
        finished.append(record)
    return finished


def test_the_optimism_is_the_paired_difference_as_scipy_has_it_with_holm_over_losses():
    scores = {
        "one": ([0.10, 0.12, 0.11], [0.15, 0.16, 0.165]),
        "two": ([0.20, 0.22, 0.25], [0.21, 0.25, 0.24]),
    }
    by_loss = {loss: made_up(loss, *pair) for loss, pair in scores.items()}
    table = optimism.table(PLAYED, "made", by_loss)
    p_values = {}
    for row in table.rows:
        honest, tuned = scores[row.loss]
        difference = row.cells["map_at_r"].optimism
        expected = scipy_stats.ttest_rel(tuned, honest)
        interval = expected.confidence_interval(0.95)
        assert difference.mean == pytest.approx(np.mean(tuned) - np.mean(honest))
        assert difference.mean - difference.half_width == pytest.approx(interval.low)
        assert difference.p_value == pytest.approx(expected.pvalue)
        p_values[row.loss] = expected.pvalue
    low, high = sorted(p_values.values())
    adjusted = sorted(row.cells["map_at_r"].p_holm for row in table.rows)
    assert adjusted == pytest.approx([2 * low, max(2 * low, high)])
    text = optimism_text.markdown(table)
    assert [row.loss for row in table.rows] == ["two", "one"]
    for words in (
        "held-out classes",
        "Test-tuned numbers are no results",
        "over n = 3 repeats",
        "it does not hold the noise of the search",
        "Order by mean MAP@R",
    ):
        assert words in text
    assert optimism_text.comma_separated(table).count("\n") >= 7
    assert r"\end{table}" in optimism_text.latex(table)


def test_a_branch_whose_trials_all_fail_ends_and_the_other_goes_on():
    played = play(
        lambda runs: runs[0], PLAYED, failing=lambda run: run.stage == "test_tuned_search"
    )
    assert {r.stage for r in played} == {"search", "complete", "test_tuned_search"}
    assert plan.progress(PLAYED, "made", played).finished


def test_when_both_branches_choose_the_same_the_table_says_so_and_claims_no_interval():
    same = [0.10, 0.12, 0.11]
    by_loss = {"one": made_up("one", same, same), "two": made_up("two", same, [0.2, 0.2, 0.3])}
    table = optimism.table(PLAYED, "made", by_loss)
    lines = optimism_text.markdown(table).splitlines()
    assert next(line for line in lines if line.startswith("| one")).count("0 (same runs)") == 3
    assert "same runs" not in next(line for line in lines if line.startswith("| two"))
    rows = optimism_text.as_data(table)["rows"]
    assert {cell["same_runs"] for row in rows for cell in row["cells"]} == {True, False}


def test_the_caption_names_the_losses_whose_best_epoch_was_the_last_one_in_every_repeat():
    scores = [0.10, 0.12, 0.11]
    early = made_up("one", scores, scores)
    limits = (PLAYED.max_epochs, PLAYED.followup_max_epochs)
    late = [replace(record, epochs=limits) for record in early]
    expected = f"AT THE LIMIT of {sum(limits)} epochs in every test-tuned repeat: one"
    caption = optimism_text.caption(optimism.table(PLAYED, "made", {"one": late}))
    assert expected in caption
    caption = optimism_text.caption(optimism.table(PLAYED, "made", {"one": early}))
    assert "AT THE LIMIT" not in caption
