"""Proposals are a pure function of earlier trials and a seed; failures push the search away."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from harness.protocol.search import Trial, best, loss_params, propose, space_of
from harness.schema import Problem, Study

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-3, 1, log=True)}
STUDY = Study(name="made", trunk="convnet", weights="none")


def test_the_same_trials_and_seed_give_the_same_proposals_and_another_seed_gives_others():
    earlier = [Trial(params, 0.5) for params in propose(SPACE, [], 12, startup=12, seed=1)]
    proposals = propose(SPACE, earlier, 3, startup=4, seed=5)
    assert proposals == propose(SPACE, earlier, 3, startup=4, seed=5)
    assert proposals != propose(SPACE, earlier, 3, startup=4, seed=6)


def test_a_search_rebuilt_from_records_proposes_what_a_live_optuna_study_does():
    params = propose(SPACE, [], 30, startup=30, seed=1)
    earlier = [Trial(p, None if i % 7 == 3 else p["x"] - p["y"]) for i, p in enumerate(params)]
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=4, n_ei_candidates=24, seed=5, multivariate=True, constant_liar=True
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    states = optuna.trial.TrialState
    for trial in earlier:
        state = states.PRUNED if trial.score is None else states.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=trial.score, params=dict(trial.params), distributions=SPACE
            )
        )
    expected = [study.ask(SPACE).params for _ in range(3)]
    assert propose(SPACE, earlier, 3, startup=4, seed=5) == expected


def test_a_batch_begins_with_what_a_smaller_batch_would_propose():
    earlier = [Trial(params, 0.1) for params in propose(SPACE, [], 5, startup=5, seed=1)]
    assert propose(SPACE, earlier, 4, startup=2, seed=3)[:2] == propose(
        SPACE, earlier, 2, startup=2, seed=3
    )


def test_the_search_finds_the_better_half_of_a_plain_slope():
    trials: list[Trial] = []
    for number in range(40):
        params = propose(SPACE, trials, 1, startup=8, seed=number)[0]
        trials.append(Trial(params, params["x"]))
    late = [trial.params["x"] for trial in trials[20:]]
    # Random draws would average 0.5 with a standard error of 0.065.
    assert sum(late) / len(late) > 0.7


def test_the_search_leaves_a_region_that_diverges():
    trials: list[Trial] = []
    for number in range(40):
        params = propose(SPACE, trials, 1, startup=8, seed=number)[0]
        # The score rises towards the edge of the region that diverges.
        trials.append(Trial(params, params["x"] if params["x"] < 0.7 else None))
    assert sum(trial.score is None for trial in trials[20:]) < 10


def test_the_best_trial_is_the_highest_and_the_earlier_of_equals():
    trials = {0: Trial({}, 0.2), 1: Trial({}, None), 2: Trial({}, 0.5), 3: Trial({}, 0.5)}
    assert best(trials) == 2
    assert best({0: Trial({}, None)}) is None


def test_a_ratio_multiplies_the_normal_value_and_a_value_replaces_it():
    warped = importlib.import_module("losses.warped")
    space = space_of(STUDY, warped, 16.0)
    params = propose(space, [], 1, startup=1, seed=0)[0]
    normal, followup = loss_params(space, params)
    assert set(normal) == set(warped.SPACE)
    assert followup["alpha"] == normal["alpha"] * params["followup_alpha_ratio"]
    assert followup["alpha"] <= normal["alpha"]
    assert followup["k1"] == params["followup_k1"]
    assert followup["margin"] == normal["margin"]


def test_ranges_in_units_of_the_embedding_norm_follow_the_network():
    warped = importlib.import_module("losses.warped")
    small = space_of(STUDY, warped, 16.0)["alpha"]
    assert isinstance(small, FloatDistribution)
    assert small.high == pytest.approx(95 * 16 / 64)
    assert small.low == pytest.approx(1 * 16 / 64)


def test_learning_rates_are_searched_alike_and_a_loss_without_parameters_has_none():
    contrastive = importlib.import_module("losses.contrastive")
    warped = importlib.import_module("losses.warped")
    without, with_parameters = (space_of(STUDY, loss, 16.0) for loss in (contrastive, warped))
    assert "loss_lr" not in without
    assert "loss_lr" in with_parameters
    assert with_parameters["lr"] == without["lr"] == FloatDistribution(1e-6, 1e-3, log=True)
    assert "lr" not in space_of(replace(STUDY, lr=1e-4), warped, 16.0)


def test_a_study_without_followup_searches_no_followup_params():
    warped = importlib.import_module("losses.warped")
    space = space_of(replace(STUDY, followup=False), warped, 16.0)
    assert not [name for name in space if name.startswith("followup")]


def test_params_of_no_search_space_are_refused_by_name():
    with pytest.raises(Problem, match="gama"):
        loss_params(SPACE, {"x": 0.1, "gama": 2.0})


def test_a_range_that_cannot_be_scaled_is_refused():
    loss = SimpleNamespace(
        __name__="losses.made",
        FIXED={},
        OWN_PARAMETERS=False,
        SPACE={"k": IntDistribution(1, 5)},
        REFERENCE_NORM={"k": 64},
        FOLLOWUP={},
    )
    with pytest.raises(Problem, match="cannot be scaled"):
        space_of(STUDY, loss, 16.0)
