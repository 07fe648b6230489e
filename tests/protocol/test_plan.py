"""The plan: which runs can start, from records alone."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocol import plan
from harness.protocol.final import complete_epochs
from harness.protocol.trials import trials_of
from harness.schema import UNTRAINED
from tests.made import SPACE, STUDY, done, play


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_the_order_in_which_runs_end_changes_no_record(seed):
    in_order = {record.key: record for record in play(lambda runs: runs[0])}
    shuffled = {record.key: record for record in play(random.Random(seed).choice)}
    assert shuffled == in_order


def test_a_finished_study_has_every_run_once():
    keys = [record.key for record in play(lambda runs: runs[0])]
    assert len(keys) == len(set(keys))
    stages = [key.split("-")[0] for key in keys]
    assert {stage: stages.count(stage) for stage in stages} == {
        "search": 5 * 4,
        "repeat": 3 * 4,
        "ensemble": 3,
        "complete": 3,
    }


def test_the_trials_of_a_search_are_of_no_other_of_its_repeats():
    one, three = (
        play(lambda runs: runs[0], study=replace(STUDY, search_repeats=repeats))
        for repeats in (1, 3)
    )
    first = trials_of(STUDY, one)
    assert trials_of(STUDY, three) == first
    for repeat in (1, 2):
        of_repeat = trials_of(STUDY, three, search_repeat=repeat)
        assert len(of_repeat) == STUDY.trials
        assert of_repeat != first


def test_trials_of_a_batch_start_together_and_the_next_batch_waits_for_them():
    first = plan.next_runs(STUDY, "made", "made", space=SPACE, records=[])
    assert {run.trial for run in first} == {0, 1}
    assert len(first) == 8
    all_but_one = [done(run) for run in first[:-1]]
    assert plan.next_runs(STUDY, "made", "made", space=SPACE, records=all_but_one) == first[-1:]
    following = plan.next_runs(
        STUDY, "made", "made", space=SPACE, records=[*all_but_one, done(first[-1])]
    )
    assert {run.trial for run in following} == {2, 3}


def test_the_repeats_use_the_params_of_the_best_trial_and_new_seeds():
    records = play(lambda runs: runs[0])
    trials = trials_of(STUDY, records)
    best = max(trials, key=lambda number: trials[number].score or 0.0)
    repeats = [record for record in records if record.stage == "repeat"]
    assert {record.trial for record in repeats} == {best}
    assert all(record.params == trials[best].params for record in repeats)
    searched = {record.seed for record in records if record.stage == "search"}
    assert not searched & {record.seed for record in repeats}


def test_seeds_are_the_same_for_every_loss_and_different_for_every_training():
    seeds, seeds_of_two = (
        {record.key: record.seed for record in play(lambda runs: runs[0], loss=loss)}
        for loss in ("one", "two")
    )
    assert seeds == seeds_of_two
    trainings = [seed for key, seed in seeds.items() if not key.startswith("ensemble")]
    assert len(set(trainings)) == len(trainings)


def test_complete_trains_the_average_epochs_each_rounded_up_to_the_multiple():
    study = replace(STUDY, complete_epochs_multiple=5)
    records = play(lambda runs: runs[0], study)
    complete = [record for record in records if record.stage == "complete"]
    # total 9, 10, 11, 12 over the folds: mean 10.5 -> 15; follow-up 2 -> 5
    assert {record.key.rsplit("-", 1)[1] for record in complete} == {"e10+5"}


def test_epochs_that_fall_on_a_multiple_are_not_rounded_further():
    runs = plan.next_runs(STUDY, "made", "made", space=SPACE, records=[])[:4]
    records = [done(run, epochs=(5, 5)) for run in runs]
    assert complete_epochs(replace(STUDY, complete_epochs_multiple=5), records) == (5, 5)


def test_a_failed_fold_leaves_its_trial_without_a_score_and_the_study_goes_on():
    records = play(lambda runs: runs[0], failing=lambda run: run.key == "search-t1-f2")
    trials = trials_of(STUDY, records)
    assert trials[1].score is None
    assert sum(trial.score is not None for trial in trials.values()) == 4
    assert plan.progress(STUDY, "made", records).finished


def test_when_every_trial_fails_nothing_more_is_planned():
    records = play(lambda runs: runs[0], failing=lambda run: run.stage == "search")
    assert {record.stage for record in records} == {"search"}
    progress = plan.progress(STUDY, "made", records)
    assert progress.finished
    assert progress.best_trial is None


def test_when_every_repeat_fails_no_complete_run_is_planned():
    records = play(lambda runs: runs[0], failing=lambda run: run.stage == "repeat")
    assert not [record for record in records if record.stage == "complete"]
    assert plan.progress(STUDY, "made", records).finished


def test_more_trials_later_keep_the_earlier_ones_and_search_on():
    short = replace(STUDY, trials=2)
    records = play(lambda runs: runs[0], short)
    more = plan.next_runs(STUDY, "made", "made", space=SPACE, records=records)
    assert {run.stage for run in more} == {"search"}
    assert {run.trial for run in more} == {2, 3}


def test_the_untrained_trunk_is_scored_in_every_category_without_search_or_epochs():
    records = play(lambda runs: runs[0], loss=UNTRAINED)
    assert {record.stage for record in records} == {"repeat", "ensemble", "complete"}
    assert {record.epochs for record in records} == {(0, 0)}


def test_every_prefix_of_a_finished_study_plans_only_runs_that_it_then_has():
    records = play(lambda runs: runs[0])
    keys = {record.key for record in records}
    for length in itertools.chain(range(0, len(records), 5), [len(records) - 1]):
        runs = plan.next_runs(STUDY, "made", "made", space=SPACE, records=records[:length])
        assert runs
        assert {run.key for run in runs} <= keys
