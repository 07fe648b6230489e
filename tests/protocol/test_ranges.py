"""What a study fixes or ranges of a loss, and follow-up values in both forms."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from harness.protocol import plan
from harness.protocol.search import (
    Trial,
    in_space,
    loss_params,
    propose,
    searched_params,
    space_of,
)
from harness.protocol.trials import uninformative
from harness.schema import LATER, Problem, Study
from tests.made import done

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-3, 1, log=True)}
STUDY = Study(name="made", trunk="convnet", weights="none")


def loss_file(name):
    return importlib.import_module(f"losses.{name}")


FIXING = replace(
    STUDY,
    trials=4,
    startup_trials=2,
    loss_params={
        "margin": {"sampling": "all"},
        "soft_triple": {"centers_per_class": 10, "tau": 0.4},
        "recall_at_k": {"k_vals": (1, 2, 4)},
    },
)


def runs_of_a_search(study, loss, space):
    """The runs of every trial of a search, each trial after the records of those before it."""
    runs, records = [], []
    while len(records) < study.trials * study.folds:
        batch = plan.next_runs(study, "made", loss, space=space, records=records)
        runs += batch
        records += [done(run) for run in batch]
    return runs


@pytest.mark.parametrize("loss", ["margin", "soft_triple", "recall_at_k"])
def test_what_a_study_fixes_is_not_searched_is_in_every_record_and_reaches_the_constructor(loss):
    module = loss_file(loss)
    space = space_of(FIXING, module, 1.0)
    fixed = FIXING.loss_params[loss]
    runs = runs_of_a_search(FIXING, loss, space)
    of_fixed = {f"followup_{name}" for name in fixed} | {f"followup_{name}_ratio" for name in fixed}
    assert not (set(fixed) | of_fixed) & set(space)
    for run in runs:
        assert set(searched_params(FIXING, loss, run.params)) == set(space)
        for phase in loss_params({}, run.params):
            for name, value in fixed.items():
                assert phase[name] == (list(value) if isinstance(value, tuple) else value)
            module.Loss(n_classes=5, dim=8, **phase)


def test_a_search_that_fixes_a_param_proposes_the_others_as_it_did_before():
    """Sampling was in no space, so that fixing it leaves every proposal as it was."""
    space = space_of(STUDY, loss_file("margin"), 1.0)
    free = replace(FIXING, loss_params={})
    pairs = zip(
        runs_of_a_search(free, "margin", space),
        runs_of_a_search(FIXING, "margin", space),
        strict=True,
    )
    for before, now in pairs:
        assert {**before.params, "sampling": "all"} == now.params
        assert before.seed == now.seed


@given(bounds=st.tuples(st.floats(0.02, 0.4), st.floats(0.5, 150.0)), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_ranges_of_a_study_replace_the_losss_on_its_scale_and_only_for_that_loss(bounds, seed):
    study = replace(STUDY, loss_ranges={"nt_xent": {"temperature": bounds}})
    space = space_of(study, loss_file("nt_xent"), 1.0)
    assert space["temperature"] == FloatDistribution(*bounds, log=True)
    other = loss_file("normalized_softmax")
    assert space_of(study, other, 1.0) == space_of(STUDY, other, 1.0)
    for params in propose(space, [], 3, startup=3, seed=seed):
        assert bounds[0] <= params["temperature"] <= bounds[1]


def test_a_range_of_a_followup_ratio_and_one_in_units_of_the_norm_are_set_too():
    ranges = {"warped": {"followup_alpha_ratio": (0.4, 0.9), "alpha": (10.0, 40.0)}}
    space = space_of(replace(STUDY, loss_ranges=ranges), loss_file("warped"), 32.0)
    assert space["followup_alpha_ratio"] == FloatDistribution(0.4, 0.9)
    assert space["alpha"] == FloatDistribution(5.0, 20.0)  # stated for norm 64, like the loss's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_params": {"margin": {"samplng": "all"}}}, "'samplng', which is no parameter of"),
        ({"loss_ranges": {"margin": {"sampling": (0, 1)}}}, "'sampling', which is no searched"),
        ({"loss_ranges": {"margin": {"beta": (1, 1)}}}, "low < high"),
        ({"loss_ranges": {"margin": {"beta": 1.0}}}, "low < high"),
        ({"loss_ranges": {"margin": {"beta": (0.0, float("inf"))}}}, "low < high"),
        ({"loss_params": {"margin": 3}}, "no mapping from parameters"),
        (
            {"loss_params": {"margin": {"beta": 1.0}}, "loss_ranges": {"margin": {"beta": (0, 1)}}},
            "leave it out of one",
        ),
    ],
)
def test_settings_that_are_not_of_the_loss_or_of_their_form_are_refused(changes, message):
    with pytest.raises(Problem, match=message) as refused:
        space_of(replace(STUDY, **changes), loss_file("margin"), 1.0)
    assert "\n" not in str(refused.value)
    assert "'made'" in str(refused.value)


@pytest.mark.parametrize(
    ("loss", "param", "bounds", "message"),
    [
        ("fast_ap", "num_bins", (2.5, 8), "in whole numbers"),
        ("histogram", "n_bins", (0, 8), "in whole numbers like IntDistribution.*log=True"),
        ("nt_xent", "temperature", (0.0, 1.0), "low above 0"),
        ("intra_batch", "heads", (1, 8), "among the choices"),
    ],
)
def test_a_range_that_the_scale_of_a_param_does_not_allow_is_refused(loss, param, bounds, message):
    with pytest.raises(Problem, match=message):
        space_of(replace(STUDY, loss_ranges={loss: {param: bounds}}), loss_file(loss), 1.0)


def test_a_range_of_whole_numbers_is_set_on_the_scale_of_its_param():
    ranges = {"histogram": {"n_bins": (2, 8)}, "fast_ap": {"num_bins": (3, 5)}}
    study = replace(STUDY, loss_ranges=ranges)
    assert space_of(study, loss_file("histogram"), 1.0)["n_bins"] == IntDistribution(2, 8, log=True)
    assert space_of(study, loss_file("fast_ap"), 1.0)["num_bins"] == IntDistribution(3, 5)


def test_older_studies_fixed_nothing_and_keep_their_digest():
    assert LATER["loss_params"] == LATER["loss_ranges"] == {}
    assert replace(STUDY, loss_params={}, loss_ranges={}).digest() == STUDY.digest()
    assert FIXING.digest() != replace(FIXING, loss_params={}).digest()
    ranged = replace(STUDY, loss_ranges={"margin": {"beta": (0.0, 1.0)}})
    assert ranged.digest() != STUDY.digest()


@given(normal=st.floats(0.02, 90), ratio=st.floats(0.1, 10))
def test_a_followup_value_of_older_records_is_absolute_and_is_understood_in_both_forms(
    normal, ratio
):
    relative = {"lr": 1e-4, "temperature": normal, "followup_temperature_ratio": ratio}
    absolute = {"lr": 1e-4, "temperature": normal, "followup_temperature": normal * ratio}
    assert loss_params({}, relative) == loss_params({}, absolute)
    spread = FloatDistribution(0.09, 11.0, log=True)
    fixed = {"lr": FloatDistribution(1e-5, 1e-3), "temperature": FloatDistribution(0.01, 100.0)}
    as_ratio = fixed | {"followup_temperature_ratio": spread}
    as_value = fixed | {"followup_temperature": FloatDistribution(1e-4, 1e4)}
    for space, other in ((as_ratio, absolute), (as_value, relative)):
        assert loss_params(space, other) == loss_params({}, other)
    assert in_space(as_ratio, absolute) == pytest.approx(relative)
    assert in_space(as_value, relative) == pytest.approx(absolute)
    assert in_space(as_ratio, relative) == relative


@pytest.mark.parametrize(
    "params",
    [
        {"x": 0.5},  # one is missing
        {"x": 0.5, "y": 2.0},  # out of its range
        {"x": 0.5, "y": None},
        {"x": float("nan"), "y": 0.1},
    ],
)
def test_trials_of_other_ranges_inform_no_proposal_and_are_named(params):
    inside = [Trial(values, values["x"]) for values in propose(SPACE, [], 6, startup=6, seed=1)]
    outside = Trial(params, 0.99)
    assert in_space(SPACE, params) is None
    proposals = propose(SPACE, inside, 2, startup=3, seed=5)
    assert propose(SPACE, [*inside[:2], outside, *inside[2:]], 2, startup=3, seed=5) == proposals
    study = replace(STUDY, trials=3, folds=2)
    runs = plan.next_runs(study, "made", "made", space=SPACE, records=[])
    records = [replace(done(run), params=params) for run in runs]
    assert uninformative(study, records, SPACE) == ["trial 0"]
    assert uninformative(study, [done(run) for run in runs], SPACE) == []
    assert uninformative(replace(study, trials=1), records, SPACE) == []  # that search is over
