"""The page of function_ablation on planted runs: every verdict, failed runs, every form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.schema import Record
from harness.tables.experiments import function_ablation as page_of
from harness.tables.experiments.function_ablation import CONCAVE, CONVEX, INWARD, OUTWARD, page
from harness.tables.page import Page
from studies.function_ablation import STUDY
from tests.tables.experiments.planted import complete

GLYPHS = STUDY.for_dataset("glyphs")
# AvgDTP at the end and R@1 in percent of a world where the paper is right
RIGHT = {
    "identity": (12.0, 60.0),
    **dict.fromkeys(CONVEX, (20.0, 50.0)),
    **dict.fromkeys(CONCAVE, (6.0, 50.0)),
    **dict.fromkeys(OUTWARD, (80.0, 20.0)),
    **dict.fromkeys(INWARD, (3.0, 50.0)),
    "warp": (8.0, 64.0),
}


def records(world: dict[str, tuple[float, float]], noise: float = 0.5) -> dict[str, list[Record]]:
    """Runs that start at AvgDTP 12 and end, with noise, where the world says."""
    rng = np.random.default_rng(0)
    by_loss = {}
    for loss, (end, recall) in world.items():
        of_loss = []
        for repeat in range(GLYPHS.repeats):
            curve = [
                {"epoch": 3, "avg_dtp": 12.0},
                {"epoch": 12, "avg_dtp": end + rng.normal(0, noise)},
            ]
            scores = {"precision_at_1": (recall + rng.normal(0, noise)) / 100, "map_at_r": 0.2}
            of_loss.append(complete(GLYPHS, loss, [scores] * GLYPHS.repeats, curve)[repeat])
        by_loss[loss] = of_loss
    return by_loss


def verdicts(result: Page) -> list[str]:
    return [one["verdict"] for one in result.data()["statements"]]


def test_in_a_world_where_the_paper_is_right_all_findings_agree():
    result = page(GLYPHS, "made", records(RIGHT), ())
    assert verdicts(result) == ["agrees"] * 7
    text = result.text("markdown")
    assert "Of 7 findings of the paper: 7 agree." in text
    assert "| identity " in text
    assert "| 60." in text


def test_in_a_world_where_all_functions_are_alike_nothing_agrees():
    """Seven findings of noise: an interval may miss now and then, but no finding agrees."""
    result = page(GLYPHS, "made", records(dict.fromkeys(RIGHT, (12.0, 60.0))), ())
    assert "agrees" not in verdicts(result)


def test_in_a_world_that_is_the_other_way_round_every_finding_disagrees():
    ends = {"identity": (12.0, 60.0), "warp": (12.0, 55.0)}
    ends |= dict.fromkeys((*CONVEX, *OUTWARD), (6.0, 70.0))
    ends |= dict.fromkeys((*CONCAVE, *INWARD), (20.0, 70.0))
    assert verdicts(page(GLYPHS, "made", records(ends), ())) == ["disagrees"] * 7


def test_one_function_on_the_other_side_decides():
    result = page(GLYPHS, "made", records(RIGHT | {"square": (6.0, 50.0)}), ())
    assert verdicts(result)[0] == "disagrees"


def test_runs_that_fail_are_counted_and_are_the_flight_that_the_paper_saw():
    of_all = records(RIGHT)
    for name in OUTWARD:
        of_all[name] = complete(GLYPHS, name, [{}] * GLYPHS.repeats)
    result = page(GLYPHS, "made", of_all, ())
    statements = result.data()["statements"]
    flight = next(one for one in statements if "fly off" in one["paper"])
    assert flight["verdict"] == "agrees"
    assert "outward failed in all 5 repeats" in flight["here"]
    row = next(line for line in result.text("csv").splitlines() if line.startswith("outward,"))
    assert row.endswith(",5")


def test_findings_without_their_rows_are_not_judged():
    alone = {"identity": records(RIGHT)["identity"]}
    result = page(GLYPHS, "made", alone, ())
    assert verdicts(result) == []
    assert "none can be judged yet" in result.text("markdown")


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_figure_is_drawn_whole_and_the_data_is_json(tmp_path, ending):
    result = page(GLYPHS, "made", records(RIGHT), ())
    result.draw(tmp_path / f"dtp{ending}")
    assert (tmp_path / f"dtp{ending}").stat().st_size > 1000
    rows = json.loads(json.dumps(result.data()))["rows"]
    assert [row["function"] for row in rows] == list(GLYPHS.variants)
    assert r"\end{table}" in result.text("latex")


def test_every_name_that_the_page_judges_is_a_variant_of_the_study():
    names = {page_of.PLAIN, page_of.WARP, *CONVEX, *CONCAVE, *OUTWARD, *INWARD}
    assert names == set(STUDY.variants) == set(STUDY.losses)
