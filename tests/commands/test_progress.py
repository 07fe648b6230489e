"""The time that is left follows from what the same loss's runs took, or others that train."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.commands.progress import RunSeconds
from tests.commands.test_watch import FIRST_RUN
from tests.made import done

PLANNED = {"search": 4, "repeat": 2, "ensemble": 1, "complete": 1}
NONE_DONE = dict.fromkeys(PLANNED, 0)


def ended(*runs: tuple[str, str, float], dataset: str = "glyphs", failure: str | None = None):
    """Runs that ended: loss, stage and seconds of each."""
    record = done(FIRST_RUN)
    seconds = RunSeconds()
    for loss, stage, took in runs:
        changes = {"loss": loss, "stage": stage, "seconds": took}
        seconds.add(replace(record, dataset=dataset, failure=failure, **changes))
    return seconds


UNTRAINED = (("untrained", "repeat", 1.0), ("untrained", "complete", 1.0))


def test_an_untrained_network_says_nothing_of_how_long_a_loss_takes():
    assert ended(*UNTRAINED).left("glyphs", "slow", PLANNED, NONE_DONE) is None
    searched = ended(*UNTRAINED, ("slow", "search", 50.0))
    left = searched.left("glyphs", "slow", PLANNED, NONE_DONE | {"search": 1})
    assert left == pytest.approx((3 + 2 + 1) * 50)  # an ensemble trains nothing


def test_a_loss_goes_by_its_own_runs_before_another_ones():
    runs = ended(
        *(("quick", stage, 2.0) for stage in PLANNED),
        ("slow", "search", 50.0),
        ("slow", "complete", 90.0),
    )
    left = runs.left(
        "glyphs", "slow", PLANNED, {"search": 4, "repeat": 1, "ensemble": 0} | {"complete": 0}
    )
    assert left == pytest.approx((50 + 90) / 2 + 2 + 90)
    # one that has not begun goes by the others, stage by stage
    left = runs.left("glyphs", "new", PLANNED, NONE_DONE)
    assert left == pytest.approx(4 * 26 + 2 * 2 + 2 + 46)
    assert runs.left("other", "quick", {"search": 1}, {"search": 0}) == 26


def test_what_is_done_is_not_to_do_and_a_run_that_failed_tells_nothing():
    assert ended().left("glyphs", "slow", PLANNED, PLANNED) == 0
    failed = ended(("slow", "search", 0.1), failure="Diverged: the loss became nan")
    assert failed.left("glyphs", "slow", PLANNED, NONE_DONE | {"search": 1}) is None
