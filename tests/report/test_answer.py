"""The answer in sentences: it claims what the tests tell apart, of losses that have no failures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.commands import terminal_page
from harness.commands.reading import Records
from harness.measure.power import repeats_needed
from harness.schema import Record
from harness.tables import metrics, table, table_text
from tests.made import STUDY, play

OF_SIX = replace(STUDY, repeats=6)
CLOSE = [0.500, 0.501, 0.499, 0.500, 0.502, 0.498]


@functools.cache
def played() -> tuple[Record, ...]:
    return tuple(play(lambda runs: runs[0], OF_SIX))


def records_with(loss: str, values: Sequence[float | None], **others: float) -> list[Record]:
    """Six repeats of a loss with these scores; None stands for a repeat that failed."""
    made = []
    for record in played():
        if record.repeat is not None:
            value = values[record.repeat]
            if value is None:
                record = replace(record, scores={}, curve=(), failure="Diverged: made up")
            else:
                scores = dict.fromkeys(table.METRICS, value) | others
                record = replace(record, scores=scores)
        made.append(replace(record, loss=loss))
    return made


def without(records: list[Record], repeats: set[int]) -> list[Record]:
    """The records of a loss whose repeats of these numbers are still to be run."""
    return [record for record in records if record.repeat not in repeats]


def sentences_of(by_loss, metric="map_at_r", categories=("complete",)) -> list[str]:
    records = Records(study=OF_SIX, dataset="made", by_loss=by_loss, notes=[])
    return terminal_page.sentences(records, metrics.metric(metric), categories)


def test_a_loss_is_said_to_beat_each_other_one_only_where_each_is_told_apart():
    by_loss = {
        "arcface": records_with("arcface", CLOSE),
        "cosface": records_with("cosface", [value - 0.1 for value in CLOSE[::-1]]),
        "warped": records_with("warped", [0.1, 0.6, 0.2, 0.55, 0.05, 0.58]),
    }
    text = " ".join(sentences_of(by_loss))
    assert (
        "arcface has the best mean and beats 1 of 2 others; not separable from it: warped" in text
    )
    by_loss["warped"] = records_with("warped", [value - 0.3 for value in CLOSE[::-1]])
    text = " ".join(sentences_of(by_loss))
    assert "arcface beats each of 2 other losses, the next of them, cosface, on Complete" in text


def test_what_more_repeats_would_settle_is_a_pair_that_is_not_told_apart():
    by_loss = {
        "arcface": records_with("arcface", CLOSE),
        "cosface": records_with("cosface", [value - 0.1 for value in CLOSE[::-1]]),
        "warped": records_with("warped", [0.1, 0.6, 0.2, 0.55, 0.05, 0.58]),
    }
    text = " ".join(sentences_of(by_loss))
    assert "more repeats of arcface and warped would tell them apart" in text


@pytest.mark.parametrize(("losses", "tied"), [("ab", 1), ("abc", 3)])
def test_the_repeats_that_would_tell_a_pair_apart_are_those_of_its_test_among_all_pairs(
    losses, tied
):
    values = {
        "a": [0.52, 0.49, 0.53, 0.50, 0.54, 0.50],
        "b": [0.50, 0.50, 0.51, 0.51, 0.52, 0.49],
        "c": [0.49, 0.51, 0.52, 0.50, 0.50, 0.50],
    }
    text = " ".join(sentences_of({loss: records_with(loss, values[loss]) for loss in losses}))
    differences = np.subtract(values["a"], values["b"])
    n = repeats_needed(differences.mean(), differences.std(ddof=1), alpha=0.05 / tied)
    assert f"; {n - 6} more repeats of a and b would tell them apart with a chance of 80 %" in text


def test_survivors_are_neither_beaten_nor_not_separable_and_are_said_to_be_in_no_comparison():
    by_loss = {
        "arcface": records_with("arcface", CLOSE),
        "cosface": records_with("cosface", [value - 0.1 for value in CLOSE[::-1]]),
        "warped": records_with("warped", [0.7, None, 0.71, None, None, 0.72]),
    }
    answer, given, survivors, *_ = sentences_of(by_loss)
    assert "one search of each loss" in given
    assert "arcface beats cosface on Complete" in answer
    assert survivors == (
        "In no comparison, because their other repeats failed: warped (3 of 6 on Complete)."
    )


def test_a_test_of_the_shared_repeats_never_speaks_for_the_opposite_order_of_the_means():
    """cosface is behind by its mean and ahead in every repeat that it shares."""
    by_loss = {
        "arcface": records_with("arcface", [0.400, 0.411, 0.402, 0.60, 0.60, 0.60]),
        "cosface": without(records_with("cosface", [0.450, 0.460, 0.453, 0, 0, 0]), {3, 4, 5}),
    }
    made = table.table(OF_SIX, "made", by_loss, metrics=["map_at_r"])
    cells = {row.loss: row.cells["complete", "map_at_r"] for row in made.rows}
    assert {cell.ranks for cell in cells.values()} == {(1, 2)}
    assert ("arcface", "cosface") in made.untested
    assert "those that they share put them the other way round" in table_text.markdown(made)
    text = " ".join(sentences_of(by_loss))
    assert "beats" not in text
    assert "undecided between arcface and cosface" in text


def test_losses_with_no_two_repeats_in_common_are_undecided_and_break_nothing():
    by_loss = {
        "arcface": without(records_with("arcface", CLOSE), {2, 3, 4, 5}),
        "cosface": without(records_with("cosface", [v - 0.1 for v in CLOSE]), {0, 1, 4, 5}),
    }
    assert "No comparison yet" in sentences_of(by_loss)[0]
    by_loss["warped"] = records_with("warped", [value - 0.3 for value in CLOSE])
    text = " ".join(sentences_of(by_loss))
    assert "On Complete arcface has the best mean" in text
    assert "cosface" in text


def test_by_a_metric_without_a_better_end_no_loss_beats_another():
    by_loss = {
        loss: records_with(loss, [value - less for value in CLOSE])
        for loss, less in (("arcface", 0.0), ("cosface", 0.1))
    }
    for of_loss in by_loss.values():
        of_loss[:] = [
            replace(r, diagnostics={"spectral_decay": r.scores.get("map_at_r", 0.1)})
            for r in of_loss
        ]
    text = " ".join(sentences_of(by_loss, "spectral_decay"))
    assert "beats" not in text
    assert "Neither a higher nor a lower spectral decay is better" in text


def test_where_all_runs_failed_it_is_said_so_and_how_to_run_them_again():
    by_loss = {"arcface": records_with("arcface", [None] * 6)}
    made = table.table(OF_SIX, "made", by_loss)
    line = terminal_page.without_scores(made)
    assert "no test scores, and " in line
    assert "failed" in line
    assert "--retry-failed" in line
    assert "no final run of a loss has ended" not in line


def of_three_searches(loss: str, means: Sequence[float]) -> list[Record]:
    """Six repeats after each of three searches, near these means."""
    study = replace(OF_SIX, search_repeats=3)
    made = []
    for record in play(lambda runs: runs[0], study):
        if record.repeat is not None:
            noise = (CLOSE[::-1] if loss == "b" else CLOSE)[record.repeat] - 0.5
            value = means[record.search_repeat] + (2 * noise if loss == "c" else noise)
            record = replace(record, scores=dict.fromkeys(table.METRICS, value))
        made.append(replace(record, loss=loss))
    return made


def test_whoever_beats_another_does_so_given_one_search_and_that_is_said():
    by_loss = {
        "arcface": records_with("arcface", CLOSE),
        "cosface": records_with("cosface", [value - 0.1 for value in CLOSE[::-1]]),
    }
    text = " ".join(sentences_of(by_loss))
    assert "All of it is given one search of each loss: another search may find other" in text
    by_loss["cosface"] = records_with("cosface", CLOSE[::-1])
    assert "given one search" not in " ".join(sentences_of(by_loss))  # nothing beats anything


def test_where_the_search_was_repeated_the_answer_counts_the_orders_that_change():
    study = replace(OF_SIX, search_repeats=3)
    by_loss = {
        "a": of_three_searches("a", [0.5, 0.5, 0.5]),
        "b": of_three_searches("b", [0.4, 0.6, 0.4]),
        "c": of_three_searches("c", [0.1, 0.1, 0.1]),
    }
    records = Records(study=study, dataset="made", by_loss=by_loss, notes=[])
    metric = metrics.metric("map_at_r")
    text = " ".join(terminal_page.sentences(records, metric, ("complete", "ensemble")))
    assert (
        "All of it is given the first search of each loss: the others put 1 of 3 pairs of losses "
        "on Complete and 1 of 3 pairs of losses on Ensemble in another order." in text
    )
