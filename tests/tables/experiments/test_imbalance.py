"""The page of imbalance on planted runs: costs by third, and each expectation both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.schema import SEEN, Record
from harness.tables.experiments._sheet import complete_runs
from harness.tables.experiments.imbalance import BALANCED, PAIRS, PROXIES, costs, page
from studies.imbalance import LOSSES, STUDY
from tests.tables.experiments.planted import complete

GLYPHS = STUDY.for_dataset("glyphs")
EVEN = {"test": 0.30, "many": 0.50, "medium": 0.50, "few": 0.50}


def records(tail: dict[str, dict[str, float]], center: float = 0.28) -> dict[str, list[Record]]:
    """Runs of each loss on both sets; `tail` has what differs on the long tail, by loss."""
    rng = np.random.default_rng(3)
    by_loss: dict[str, list[Record]] = {}
    for loss in LOSSES:
        even = EVEN | ({"test": center} if loss == "center" else {})
        for name, values in ((loss, even | tail.get(loss, {})), (loss + BALANCED, even)):
            noisy = [
                {key: value + 0.001 * rng.normal() for key, value in values.items()}
                for _ in range(GLYPHS.repeats)
            ]
            made = complete(GLYPHS, name, [{"map_at_r": of["test"]} for of in noisy])
            thirds = ("many", "medium", "few")
            by_loss[name] = [
                replace(
                    record,
                    diagnostics={n: of[third] for n, third in zip(SEEN, thirds, strict=True)},
                )
                for record, of in zip(made, noisy, strict=True)
            ]
    return by_loss


BIASED = {"test": 0.25, "many": 0.55, "few": 0.30}
EVENLY_WORSE = {"test": 0.25, "many": 0.40, "medium": 0.40, "few": 0.40}


def verdicts(by_loss: dict[str, list[Record]]) -> list[str]:
    return [one["verdict"] for one in page(GLYPHS, "made", by_loss, []).data()["statements"]]


def test_a_bias_of_proxies_alone_agrees_with_all_that_the_review_expects():
    tail = dict.fromkeys(LOSSES, EVENLY_WORSE) | dict.fromkeys(PROXIES, BIASED)
    assert verdicts(records(tail)) == ["agrees"] * 4


def test_a_bias_of_pairs_as_well_is_not_one_of_proxies():
    tail = dict.fromkeys(LOSSES, BIASED) | dict.fromkeys(PAIRS, BIASED | {"few": 0.25})
    assert verdicts(records(tail))[:2] == ["agrees", "disagrees"]


def test_a_tail_that_helps_disagrees():
    helped = {"test": 0.35, "many": 0.45, "few": 0.55}
    tail = dict.fromkeys(LOSSES, helped)
    assert verdicts(records(tail, center=0.4)) == [
        "disagrees",
        "undecided",
        "disagrees",
        "disagrees",
    ]


def test_costs_are_balanced_minus_long_tail_paired_by_repeat():
    made = records({"triplet": {"few": 0.30}})
    runs = {name: complete_runs(GLYPHS, rows) for name, rows in made.items()}
    of_few = costs(runs)["triplet"]["few images"]
    assert sorted(of_few) == list(range(GLYPHS.repeats))
    assert np.mean(list(of_few.values())) == pytest.approx(0.20, abs=0.005)


def test_both_rows_of_a_loss_stand_together_and_the_figure_is_drawn(tmp_path):
    drawn = page(GLYPHS, "made", records({"triplet": {"few": 0.30}}), [])
    rows = [line.split("|")[1:3] for line in drawn.text("csv").splitlines() if "triplet" in line]
    text = drawn.text("markdown")
    lines = [line for line in text.splitlines() if line.startswith("| triplet")]
    assert [line.split("|")[2].strip() for line in lines] == ["long tail", "balanced"]
    assert len(rows) >= 2
    drawn.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_without_runs_on_both_sets_nothing_is_judged():
    made = {name: rows for name, rows in records({}).items() if not name.endswith(BALANCED)}
    assert page(GLYPHS, "made", made, []).data()["statements"] == []
