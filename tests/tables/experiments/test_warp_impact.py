"""The page of warp_impact on planted sweeps: the shapes of the paper, others, missing runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.schema import Record
from harness.tables.experiments import warp_impact
from harness.tables.experiments.warp_impact import page
from studies.warp_impact import STUDY, SWEEPS
from tests.tables.experiments.planted import complete

GLYPHS = replace(STUDY.for_dataset("glyphs"), repeats=4)
BEST = GLYPHS.variants["best"]["params"]
# R@1 in percent at a value of a parameter where the paper is right; 60 at the values of `best`
RIGHT: dict[str, Callable[[float], float]] = {
    "alpha": lambda alpha: float(np.interp(alpha, [0, 2.7, 10, 14, 24], [48, 60, 60, 59, 45])),
    "k1": lambda k1: 50.0 if k1 == 1 else 60.0,
    "k2": lambda k2: 50.0 if k2 == 1 else 60.0,
    "margin": lambda m: float(np.interp(m, [1, 2, 3, 3.9, 4.7, 5.5], [64, 76, 70, 60, 60, 60])),
}
FLAT = dict.fromkeys(RIGHT, lambda value: 60.0)


def records(world: dict[str, Callable[[float], float]], noise: float = 0.3):
    rng = np.random.default_rng(1)
    by_loss: dict[str, list[Record]] = {}
    for name, variant in GLYPHS.variants.items():
        param = next((p for p in SWEEPS if variant["params"][p] != BEST[p]), None)
        recall = 60.0 if param is None else world[param](variant["params"][param])
        values = (recall + rng.normal(0, noise, GLYPHS.repeats)) / 100
        by_loss[name] = complete(GLYPHS, name, [{"precision_at_1": v} for v in values])
    return by_loss


def verdicts(result) -> dict[str, str]:
    return {one["paper"]: one["verdict"] for one in result.data()["statements"]}


def test_a_sweep_holds_its_values_in_order_with_that_of_best_among_them():
    sweeps = page(GLYPHS, "made", records(RIGHT), ()).data()["sweeps"]
    values = {one["parameter"]: one["values"] for one in sweeps}
    assert values["alpha"] == sorted([*(16 * share for share in SWEEPS["alpha"]), BEST["alpha"]])
    assert values["k1"] == [1.0, 0.8, 0.67, 0.45, 0.2]
    assert values["k2"] == [1.0, 1.05, 1.3, 1.6, 2.0]
    assert values["margin"] == sorted([*SWEEPS["margin"], BEST["margin"]])


def test_where_the_paper_is_right_every_shape_agrees():
    result = page(GLYPHS, "made", records(RIGHT), ())
    assert set(verdicts(result).values()) == {"agrees"}, result.text("markdown")
    assert "Of 4 findings of the paper: 4 agree." in result.text("markdown")


def test_where_nothing_matters_no_shape_agrees():
    assert "agrees" not in verdicts(page(GLYPHS, "made", records(FLAT), ())).values()


def test_a_sweep_that_only_rises_does_not_have_the_papers_shape():
    rising = RIGHT | {"alpha": lambda alpha: 48 + alpha}
    found = verdicts(page(GLYPHS, "made", records(rising), ()))
    assert found[warp_impact.FINDINGS["alpha"][0]] == "disagrees"
    assert list(found.values()).count("agrees") == 3


@pytest.mark.parametrize("repeats", [1, 2])
def test_too_few_repeats_judge_nothing(repeats):
    few = {
        name: [record for record in of_loss if (record.repeat or 0) < repeats]
        for name, of_loss in records(RIGHT).items()
    }
    assert verdicts(page(GLYPHS, "made", few, ())) == {}


def test_the_figure_and_the_data_have_every_value_and_failed_runs_are_said(tmp_path):
    of_all = records(RIGHT)
    of_all["alpha_1_5"] = complete(GLYPHS, "alpha_1_5", [{}] * GLYPHS.repeats)
    result = page(GLYPHS, "made", of_all, ())
    result.draw(tmp_path / "sweeps.png")
    assert (tmp_path / "sweeps.png").stat().st_size > 5000
    [alpha] = [one for one in result.data()["sweeps"] if one["parameter"] == "alpha"]
    assert len(json.loads(json.dumps(alpha))["failed"][-1]) == GLYPHS.repeats
    assert "| alpha     | 24    | - (0 of 4)" in result.text("markdown")
