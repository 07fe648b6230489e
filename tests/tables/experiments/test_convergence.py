"""The page of `convergence` on planted curves: steps, levels, verdicts, what is cut off."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.measure import convergence as measured
from harness.schema import Problem
from harness.tables.experiments import convergence
from harness.tables.page import page_of
from tests.made import MADE, STUDY, play

BATCHES = 10  # an epoch
PLANTED = replace(
    STUDY,
    name="convergence",
    stages=("search", "repeat"),
    curve=("precision_at_1",),
    iterations=BATCHES,
    folds=2,
    repeats=5,
)
BASELINES = {"triplet": 0.05, "npair": 0.05, "lifted_structure": 0.05}  # rates an epoch


def curve(rate: float, end: float, epochs: int = 200) -> list[dict[str, object]]:
    """R@1 that nears `end` at `rate` an epoch."""
    return [
        {"phase": "normal", "epoch": e, "precision_at_1": end * (1 - math.exp(-rate * e))}
        for e in range(1, epochs + 1)
    ]


def planted(loss: str, rate: float, end: float = 0.6, noise: float = 0.02, seed: int = 0):
    rng = np.random.default_rng([seed, len(loss)])
    records = []
    for record in play(lambda runs: runs[0], PLANTED, loss):
        if record.stage == "repeat":
            of_run = rate * math.exp(noise * rng.normal())
            ends = end + 0.1 * noise * rng.normal()
            record = replace(record, curve=curve(of_run, ends), seconds=400.0, provenance=MADE)
        records.append(record)
    return records


def page(by_loss):
    return page_of(PLANTED, "made", by_loss, [])


def statements(by_loss):
    return page(by_loss).data()["statements"]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(3.0, "agrees"), (6.0, "agrees"), (1.0, "disagrees"), (2.0, "disagrees")],
)
def test_the_claim_of_three_times_as_fast_is_judged_by_the_ratio_of_steps(factor, verdict):
    by_loss = {loss: planted(loss, rate) for loss, rate in BASELINES.items()}
    by_loss["proxy_nca"] = planted("proxy_nca", 0.05 * factor)
    speed, _ = statements(by_loss)
    assert speed["verdict"] == verdict
    assert "times as fast as triplet" in speed["here"]
    assert "95 %" in speed["rule"]


def test_one_baseline_that_is_as_fast_disagrees_whatever_the_others():
    by_loss = {loss: planted(loss, rate) for loss, rate in BASELINES.items()}
    by_loss |= {"proxy_nca": planted("proxy_nca", 0.15), "npair": planted("npair", 0.15)}
    assert statements(by_loss)[0]["verdict"] == "disagrees"


def test_noise_that_hides_the_factor_leaves_it_undecided():
    by_loss = {loss: planted(loss, rate, noise=2.0, seed=3) for loss, rate in BASELINES.items()}
    by_loss["proxy_nca"] = planted("proxy_nca", 0.1, noise=2.0, seed=4)
    assert statements(by_loss)[0]["verdict"] == "undecided"


@pytest.mark.parametrize(("end", "verdict"), [(0.7, "agrees"), (0.5, "disagrees")])
def test_higher_r_at_1_is_judged_by_the_best_of_the_curves(end, verdict):
    by_loss = {loss: planted(loss, rate) for loss, rate in BASELINES.items()}
    by_loss["proxy_nca"] = planted("proxy_nca", 0.15, end=end)
    assert statements(by_loss)[1]["verdict"] == verdict


def test_without_all_baselines_nothing_is_judged():
    by_loss = {"proxy_nca": planted("proxy_nca", 0.1), "triplet": planted("triplet", 0.05)}
    assert statements(by_loss) == []
    assert "none can be judged yet" in page(by_loss).text("markdown")


def test_steps_and_seconds_to_a_level_are_those_of_the_formula():
    by_loss = {"exact": planted("exact", 0.1, end=0.9, noise=0.0)}
    runs = convergence.runs_of(PLANTED, "exact", by_loss["exact"])
    epochs = math.ceil(-math.log(1 - 0.5 / 0.9) / 0.1)
    assert runs.steps_to(0.5) == dict.fromkeys(range(5), BATCHES * epochs)
    # 400 s for 200 epochs of 10 batches, in each fold
    assert runs.seconds_per_step == pytest.approx(dict.fromkeys(range(5), 0.2))
    row = page(by_loss).data()["rows"][0]
    assert row["best_precision_at_1"][0] == pytest.approx(0.9, abs=1e-6)


def test_levels_are_those_that_every_fold_of_every_loss_reaches():
    by_loss = {"low": planted("low", 0.1, end=0.35), "high": planted("high", 0.1, end=0.9)}
    runs = {loss: convergence.runs_of(PLANTED, loss, by_loss[loss]) for loss in by_loss}
    assert convergence.shown_levels(runs) == [0.1, 0.2, 0.3]
    assert convergence.shown_levels({"high": runs["high"]})[-1] == 0.8


def test_a_repeat_with_a_fold_that_never_gets_there_has_no_steps_and_is_counted():
    folds = [[(1, 0.2), (2, 0.6)], [(1, 0.2), (2, 0.4)]]
    assert measured.mean_steps(folds, 0.5) is None
    assert measured.mean_steps(folds, 0.4) == 2
    assert measured.mean_steps([[]], 0.4) is None
    by_loss = {"low": planted("low", 0.01, end=0.08), "high": planted("high", 0.1, end=0.9)}
    text = page(by_loss).text("markdown")
    (line,) = [line for line in text.splitlines() if line.startswith("| low")]
    assert "- (0 of 5)" in line


def test_a_failed_fold_leaves_its_repeat_out_and_is_counted():
    records = planted("made", 0.1)
    failed = [
        replace(r, failure="Diverged", curve=[], scores={}) if (r.repeat, r.fold) == (2, 1) else r
        for r in records
    ]
    runs = convergence.runs_of(PLANTED, "made", failed)
    assert (sorted(runs.curves), runs.failed) == ([0, 1, 3, 4], 1)
    assert "(4 of 5: " in page({"made": failed}).text("markdown")


def test_every_form_and_the_figure_are_there(tmp_path):
    by_loss = {loss: planted(loss, rate) for loss, rate in BASELINES.items()}
    by_loss["proxy_nca"] = planted("proxy_nca", 0.15)
    made = page(by_loss)
    assert "steps to 50 %" in made.text("markdown")
    assert r"\begin{tabular}" in made.text("latex")
    assert made.text("csv").startswith("# made, study convergence")
    made.draw(tmp_path / "curves.svg")
    assert "held-out R@1" in (tmp_path / "curves.svg").read_text()
    with pytest.raises(Problem, match="run the study to its end"):
        page({"proxy_nca": []}).draw(tmp_path / "none.svg")


def test_a_loss_without_a_complete_repeat_has_a_row_and_is_said_to_be_unfinished():
    begun = [r for r in planted("begun", 0.1) if r.stage == "search" or r.fold == 0]
    text = page({"begun": begun, "whole": planted("whole", 0.1)}).text("markdown")
    (line,) = [line for line in text.splitlines() if line.startswith("| begun")]
    assert line.split("|")[2].strip() == "-"
    assert "UNFINISHED: begun (repeat 5 of 10 runs)." in text


def test_runs_that_are_best_at_their_end_are_counted():
    rising = page({"made": planted("made", 0.01)}).text("markdown")
    assert "AT THE END, best R@1 at the last evaluation: made 10 of 10 runs." in rising
    peaks = [
        replace(r, curve=[*r.curve[:50], {**r.curve[50], "precision_at_1": 0.0}]) if r.curve else r
        for r in planted("made", 0.01)
    ]
    assert "AT THE END" not in page({"made": peaks}).text("markdown")
