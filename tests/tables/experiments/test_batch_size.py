"""The page of batch_size on planted runs: gains with the batch, logarithm, seconds, failures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.protocol import plan
from harness.schema import Record
from harness.tables.experiments.batch_size import form_and_batch, page
from studies.batch_size import BATCHES, FORMS, STUDY
from tests.tables.experiments.planted import record

GLYPHS = replace(STUDY.for_dataset("glyphs"), repeats=4)
World = Callable[[str, int], float]


def right(form: str, size: int) -> float:
    """R@1 in percent where the paper is right: D-Loss alone depends on the batch."""
    if form == "d_loss":
        return 30 + 4 * math.log2(size / 32)
    return 45.0 if form == "pd_loss" else 40.0


def opposite(form: str, size: int) -> float:
    return {"d_loss": 45.0, "pd_loss": 30.0}.get(form, 40.0) + (
        2 * math.log2(size / 32) * (2 if form == "pd_loss" else -1 if form == "d_loss" else 2)
    )


def records(recall: World, seconds: World, noise: float = 0.2) -> dict[str, list[Record]]:
    rng = np.random.default_rng(4)
    by_loss: dict[str, list[Record]] = {}
    for name in GLYPHS.variants:
        form, size = form_and_batch(GLYPHS, name)
        runs = plan.next_runs(GLYPHS.for_loss(name), "made", name, space={}, records=[])
        by_loss[name] = [
            replace(
                record(
                    run,
                    {"precision_at_1": (recall(form, size) + rng.normal(0, noise)) / 100},
                    [{"epoch": e, "precision_at_1": 0.1 * e} for e in (2, 4)],
                ),
                epochs_run=(8, 0),
                seconds=8 * seconds(form, size) * (1 + 0.01 * rng.normal()),
                diagnostics={"verification_accuracy": 0.8},
            )
            for run in runs
        ]
    return by_loss


def slow_d_loss(form: str, size: int) -> float:
    return 2.0 if form == "d_loss" else 1.0


def verdicts(result) -> list[str]:
    return [one["verdict"] for one in result.data()["statements"]]


def test_variants_are_every_form_with_every_batch_at_the_same_images_an_epoch():
    found = {form_and_batch(GLYPHS, name) for name in GLYPHS.variants}
    assert found == {(form, size) for form in FORMS for size in BATCHES}
    images = [math.prod(variant["fields"].values()) for variant in GLYPHS.variants.values()]
    assert max(images) <= 1.05 * min(images)


def test_where_the_paper_is_right_all_findings_agree():
    result = page(GLYPHS, "made", records(right, slow_d_loss), ())
    assert verdicts(result) == ["agrees"] * 4, result.text("markdown")
    assert "| d_loss               | 32 " in result.text("markdown")


def test_where_it_is_the_other_way_round_all_disagree():
    result = page(GLYPHS, "made", records(opposite, lambda f, s: 3 - slow_d_loss(f, s)), ())
    assert verdicts(result) == ["disagrees"] * 4, result.text("markdown")


def test_a_loss_that_falls_more_with_the_batch_does_not_depend_less_on_it():
    def falling(form: str, size: int) -> float:
        return 60 - {"d_loss": 2.0, "pd_loss": 5.0}.get(form, 1.0) * math.log2(size / 32)

    assert verdicts(page(GLYPHS, "made", records(falling, slow_d_loss), ()))[1] == "disagrees"


def test_where_nothing_matters_nothing_agrees():
    result = page(GLYPHS, "made", records(lambda f, s: 40.0, lambda f, s: 1.0), ())
    assert "agrees" not in verdicts(result)


def test_a_repeat_with_a_failed_fold_is_out_and_is_counted(tmp_path):
    of_all = records(right, slow_d_loss)
    first = of_all["d_loss_32"][0]
    of_all["d_loss_32"][0] = replace(first, failure="Diverged: made up", scores={}, curve=[])
    result = page(GLYPHS, "made", of_all, ())
    rows = {(row["loss"], row["batch"]): row for row in result.data()["rows"]}
    assert sorted(rows["d_loss", 32]["precision_at_1"]) == [1, 2, 3]
    assert "(1 runs failed)" in result.text("markdown")
    result.draw(tmp_path / "batches.png")
    assert (tmp_path / "batches.png").stat().st_size > 5000
