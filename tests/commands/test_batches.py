"""What batches of trials cost a search: landscapes against scikit-learn, racing against a race."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from harness.commands.bench import batches
from harness.files import CHECKOUT
from harness.protocol import plan
from harness.protocol.search import Trial
from tests.made import SPACE, STUDY, call, done

CHECK = CHECKOUT / "results" / "reference" / "check"
SPACE_2 = {"x": FloatDistribution(-1, 3), "lr": FloatDistribution(1e-4, 1e-2, log=True)}


def trials_of(function, count=25, seed=0):
    rng = np.random.default_rng(seed)
    params = [
        {"x": float(rng.uniform(-1, 3)), "lr": float(10 ** rng.uniform(-4, -2))}
        for _ in range(count)
    ]
    return [Trial(values, function(values)) for values in params]


def hill(params):
    return 0.5 - 0.05 * (params["x"] - 1) ** 2 - 0.1 * (math.log10(params["lr"]) + 3) ** 2


def test_a_point_is_where_its_params_lie_on_the_scales_on_which_they_are_searched():
    space = SPACE_2 | {
        "bins": IntDistribution(1, 100, log=True),
        "kind": CategoricalDistribution(("a", "b", "c")),
    }
    point = batches.unit(space, {"x": 0.0, "lr": 1e-3, "bins": 10, "kind": "c"})
    assert point == pytest.approx([0.25, 0.5, 0.5, 1.0])


def test_the_mean_and_the_spread_of_landscapes_are_those_of_scikit_learns_process():
    behind = batches.posterior(SPACE_2, trials_of(hill, 20))
    kernel = ConstantKernel(behind.amplitude**2) * Matern(behind.length, nu=2.5)
    reference = GaussianProcessRegressor(kernel, alpha=behind.noise**2, optimizer=None)
    reference.fit(behind.points, behind.scores - behind.mean)
    asked = [trial.params for trial in trials_of(hill, 6, seed=1)]
    mean, spread = reference.predict(
        np.array([batches.unit(SPACE_2, params) for params in asked]), return_std=True
    )
    rng = np.random.default_rng(0)
    draws = np.array([[draw(params) for params in asked] for draw in map(behind.draw, [rng] * 400)])
    # four standard errors of a mean and of a standard deviation of 400 draws
    assert np.all(np.abs(draws.mean(0) - behind.mean - mean) < 4 * spread / 20)
    assert draws.std(0) == pytest.approx(spread, rel=4 / math.sqrt(2 * 400))


def test_a_search_chooses_by_noisy_scores_and_is_judged_by_the_landscape():
    study = replace(STUDY, trials=4, startup_trials=4)
    asked = []

    def landscape(params):
        asked.append(params["x"])
        return params["x"]

    silent = batches.chosen(study, SPACE, landscape, np.zeros(4), batch=2, seed=0)
    searched = asked[:4]
    assert silent == max(searched)
    favoured = int(np.argmin(searched))
    noise = np.where(np.arange(4) == favoured, 10.0, 0.0)
    assert batches.chosen(study, SPACE, landscape, noise, batch=2, seed=0) == min(searched)


@pytest.mark.parametrize("seed", range(3))
def test_replayed_on_recorded_folds_racing_leaves_out_what_a_race_leaves_out(seed):
    """All trials are drawn at random, so that a race and a plain search propose the same ones."""
    plain = replace(STUDY, trials=14, startup_trials=14, parallel_trials=1)

    def search(study):
        records = []
        while runs := plan.next_runs(study, f"made {seed}", "made", space=SPACE, records=records):
            if runs[0].stage != "search":
                return records
            records.append(plan.mark_raced_out(study, done(runs[0]), records))
        return records

    whole, raced = search(plain), search(replace(plain, race=True))
    assert 20 < len(raced) < len(whole) == 14 * STUDY.folds
    share, below = batches.raced(plain, whole)
    assert share == pytest.approx(1 - len(raced) / len(whole))
    assert below == 0  # here a trial that is ahead is ahead on every fold


def test_the_command_prints_what_batches_cost_and_who_has_too_few_trials(monkeypatch):
    monkeypatch.setattr(batches, "DRAWS", 2)
    monkeypatch.setattr(batches, "BATCHES", (10,))
    monkeypatch.setattr(batches, "LEAST", 20)
    monkeypatch.setattr(batches.reading, "read_records", without_all_but("triplet", "contrastive"))
    words = ("bench", "--batches", "--study", "check", "--results", CHECK)
    code, text, _ = call(*words)
    assert code == 0
    (row,) = [line for line in text.splitlines() if line.startswith("| triplet")]
    assert row.count("±") == 2
    assert "| 20 |" in row
    assert "Fewer than 20 recorded trials: contrastive." in text
    monkeypatch.setattr(batches, "LEAST", 21)
    code, text, error = call(*words)
    assert (code, text) == (2, "")
    assert "no loss has 21 finished trials with a score" in error.splitlines()[-1]


def without_all_but(whole, cut_short):
    """Of the recorded losses one, and the first five trials of another."""

    def read(where, _losses):
        read = real(where, (whole, cut_short))
        first = [r for r in read.by_loss[cut_short] if r.stage == "search" and r.trial < 5]
        return replace(read, by_loss={**read.by_loss, cut_short: first})

    real = batches.reading.read_records
    return read
