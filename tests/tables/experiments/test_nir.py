"""The page of nir on planted pairs: what NIR moves, how soon it converges, what is not judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.schema import Record
from harness.tables.experiments.nir import PREFIX, QUANTITIES, page
from studies.nir import STUDY
from tests.tables.experiments.planted import with_folds

GLYPHS = replace(STUDY.for_dataset("glyphs"), repeats=4)
PLAIN = {
    "precision_at_1": 0.60,
    "map_at_r": 0.20,
    "uniformity": -2.0,
    "spectral_decay": 0.50,
    "density_ratio": 0.40,
    "class_size_spread": 0.20,
}
BETTER = {
    "precision_at_1": 0.65,
    "map_at_r": 0.24,
    "uniformity": -2.4,
    "spectral_decay": 0.40,
    "density_ratio": 0.50,
    "class_size_spread": 0.30,
}


def records(with_nir: dict[str, float], epochs: tuple[float, float] = (6, 6), noise: float = 0.01):
    """Pairs whose curves reach the level after about `epochs` (without, with)."""
    rng = np.random.default_rng(2)
    by_loss: dict[str, list[Record]] = {}
    for loss in GLYPHS.losses:
        regularised = loss.startswith(PREFIX)
        values = [
            {
                name: v * (1 + noise * rng.normal())
                for name, v in (with_nir if regularised else PLAIN).items()
            }
            for _ in range(GLYPHS.repeats)
        ]
        of_scores = [{n: v[n] for n in ("precision_at_1", "map_at_r")} for v in values]
        others = [{n: x for n, x in v.items() if n not in of_scores[0]} for v in values]
        reached = epochs[regularised]
        curves = [
            [
                {"epoch": e, "precision_at_1": min(0.6, 0.6 * (e + rng.normal() / 10) / reached)}
                for e in range(1, 13)
            ]
            for _ in range(GLYPHS.repeats)
        ]
        by_loss[loss] = with_folds(GLYPHS, loss, of_scores, others, curves)
    return by_loss


def verdicts(result) -> list[str]:
    return [one["verdict"] for one in result.data()["statements"]]


def test_where_nir_does_all_that_the_paper_says_all_findings_agree():
    result = page(GLYPHS, "made", records(BETTER), ())
    assert verdicts(result) == ["agrees"] * (len(QUANTITIES) + 1), result.text("markdown")
    assert "proxy_nca +5." in result.text("markdown")


def test_where_nir_does_the_opposite_all_findings_disagree():
    worse = {name: 2 * PLAIN[name] - BETTER[name] for name in PLAIN}
    result = page(GLYPHS, "made", records(worse, epochs=(4, 10)), ())
    assert verdicts(result) == ["disagrees"] * (len(QUANTITIES) + 1)


def test_where_nir_does_nothing_it_is_as_fast_and_nothing_else_agrees():
    found = verdicts(page(GLYPHS, "made", records(PLAIN), ()))
    assert "agrees" not in found[:-1]
    assert found[-1] == "agrees"


def test_one_pair_that_is_missing_leaves_the_others_judged_and_none_judges_nothing():
    of_all = records(BETTER)
    two_pairs = {loss: of_loss for loss, of_loss in of_all.items() if "soft_triple" not in loss}
    assert verdicts(page(GLYPHS, "made", two_pairs, ())) == ["agrees"] * (len(QUANTITIES) + 1)
    assert verdicts(page(GLYPHS, "made", {"proxy_nca": of_all["proxy_nca"]}, ())) == []


@pytest.mark.parametrize("form", ["markdown", "latex", "csv"])
def test_every_form_has_every_loss_and_the_figure_is_drawn(tmp_path, form):
    result = page(GLYPHS, "made", records(BETTER), ())
    text = result.text(form).replace("\\_", "_")
    assert all(loss in text for loss in GLYPHS.losses)
    result.draw(tmp_path / "nir.png")
    assert (tmp_path / "nir.png").stat().st_size > 5000
