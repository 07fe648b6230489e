"""Racing: which trials are out follows from records alone, and is said wherever they are shown."""

from __future__ import annotations

import importlib
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import files
from harness.commands import status
from harness.protocol import plan, race, search, trials
from harness.records import folder, records
from harness.schema import Problem, Record, Run
from harness.tables import table as tables
from harness.tables import table_text
from studies.fast import STUDY as FAST
from tests.made import MADE, SPACE, TINY, comparable, done, images, run
from tests.made import STUDY as PLAIN

# digests as they were before studies had the field
BEFORE = {"appendix_d": "c431c2d9d5d6", "mlrc": "f728fa6d9caf", "demo": "8c8512d2ac56"}
STUDY = replace(PLAIN, trials=14, parallel_trials=2, race=True)


def record_of(a_run: Run, noise: float, seed: int = 0) -> Record:
    """A record whose score is the run's x with noise of its own, less on later folds."""
    draw = random.Random(f"{a_run.key} {seed}").gauss(0, noise)
    score = float(a_run.params.get("x", 0.5)) - 0.05 * (a_run.fold or 0) + draw
    return done(
        a_run,
        provenance=MADE,
        scores=dict.fromkeys(("map_at_r", "r_precision", "precision_at_1"), score),
    )


def play(pick, noise=0.01, failing=lambda a_run: False, seed=0, study=STUDY) -> list[Record]:
    """The records of a whole study, each time of the run that `pick` takes."""
    told: list[Record] = []
    while runs := plan.next_runs(study, "made", "made", SPACE, told):
        chosen = pick(runs)
        record = record_of(chosen, noise, seed)
        if failing(chosen):
            record = replace(record, failure="Diverged: made up", scores={})
        told.append(plan.marked(study, record, told))
    return told


def out_by_numpy(told: list[Record]) -> dict[int, float]:
    """Trial -> estimate of those that are out, judged anew with arrays over the whole trials."""
    count = {r.trial: 0 for r in told if r.stage == "search"}
    scores = np.full((len(count), STUDY.folds), np.nan)
    for r in (r for r in told if r.stage == "search"):
        scores[r.trial, r.fold] = r.scores.get("map_at_r", np.nan)
        count[r.trial] += 1
    estimates = {}
    for trial in range(len(count)):
        earlier = scores[: trial // 2 * 2]
        whole = earlier[~np.isnan(earlier).any(1)]
        if trial < 5 or count[trial] == STUDY.folds or len(whole) < 2:
            continue
        best = whole[whole.mean(1).argmax()]
        apart = np.delete(whole, whole.mean(1).argmax(), axis=0) - best
        spread = np.sqrt(apart.var(axis=1, ddof=1).mean())
        m = count[trial]
        behind = (scores[trial, :m] - best[:m]).mean()
        assert behind + 2 * spread / np.sqrt(m) < 0
        for fewer in range(1, m):  # it was not to be stopped before
            earlier_behind = (scores[trial, :fewer] - best[:fewer]).mean()
            assert earlier_behind + 2 * spread / np.sqrt(fewer) >= 0
        estimates[trial] = best.mean() + behind
    return estimates


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.002, 0.05]))
def test_the_trials_that_are_out_and_their_estimates_are_those_of_arrays(seed, noise):
    told = play(lambda runs: runs[0], noise, seed=seed)
    trials = plan.trials_of(STUDY, told)
    found = {number: t.score for number, t in trials.items() if t.raced_out}
    assert found == pytest.approx(out_by_numpy(told))
    assert len(trials) == STUDY.trials


def test_a_race_saves_folds_and_the_first_trials_and_the_winner_have_all_of_theirs():
    told = play(lambda runs: runs[0])
    searched = [r for r in told if r.stage == "search"]
    progress = plan.progress(STUDY, "made", told)
    assert progress.finished
    assert progress.folds_saved == STUDY.trials * STUDY.folds - len(searched) > 10
    per_trial = [sum(r.trial == t for r in searched) for t in range(STUDY.trials)]
    assert per_trial[:5] == [4] * 5
    assert per_trial[progress.best_trial] == 4
    assert {r.trial for r in told if r.stage != "search"} == {progress.best_trial}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 3))
def test_neither_the_order_in_which_runs_end_nor_failures_change_what_is_raced(seed, failed):
    def failing(a_run):
        return a_run.stage == "search" and a_run.trial % 5 == failed and a_run.fold == failed % 2

    draw = random.Random(seed)
    one = {r.key: r for r in play(lambda runs: runs[0], failing=failing)}
    other = {r.key: r for r in play(draw.choice, failing=failing)}
    assert one == other


def test_every_prefix_of_a_raced_study_plans_only_runs_that_it_then_has():
    told = play(random.Random(3).choice)
    keys = {r.key for r in told}
    for length in range(len(told)):
        runs = plan.next_runs(STUDY, "made", "made", SPACE, told[:length])
        assert runs
        assert {r.key for r in runs} <= keys


def test_the_folds_of_a_trial_run_one_after_another():
    told: list[Record] = []
    first = plan.next_runs(STUDY, "made", "made", SPACE, told)
    assert [(r.trial, r.fold) for r in first] == [(0, 0), (1, 0)]
    told.append(record_of(first[1], 0.0))
    assert [(r.trial, r.fold) for r in plan.next_runs(STUDY, "made", "made", SPACE, told)] == [
        (0, 0), (1, 1),
    ]  # fmt: skip


def test_the_record_that_puts_its_trial_out_is_marked_and_no_other():
    told = play(lambda runs: runs[0])
    trials = plan.trials_of(STUDY, told)
    last = {r.trial: r.key for r in told if r.stage == "search"}
    expected = {last[number] for number, trial in trials.items() if trial.raced_out}
    assert {r.key for r in told if r.provenance.get("raced_out")} == expected
    assert expected


def test_a_trial_out_of_the_race_is_never_the_best_whatever_its_estimate():
    trials = {0: search.Trial({}, 0.1), 1: search.Trial({}, 0.9, raced_out=True)}
    assert search.best(trials) == 0


def test_without_race_no_trial_is_out_and_no_record_is_marked():
    plain = replace(STUDY, race=False)
    told = play(lambda runs: runs[0], study=plain)
    assert sum(r.stage == "search" for r in told) == 14 * 4
    assert not any(race.is_out(plain, trials.folds_of(told[:n]), 13) for n in range(len(told)))
    assert not any("raced_out" in r.provenance for r in told)


def test_a_table_of_a_raced_study_says_so_with_the_folds_saved_in_every_form():
    told = play(lambda runs: runs[0])
    saved = plan.progress(STUDY, "made", told).folds_saved
    table = tables.table(STUDY, "made", {"made": told})
    expected = f"search runs saved: made {saved} of 56 ("
    for form in table_text.FORMATS.values():
        assert expected in form(table)
    assert expected in table_text.as_data(table)["caption"]
    plain = replace(STUDY, race=False)
    whole = play(lambda runs: runs[0], study=plain)
    assert "RACED" not in table_text.caption(tables.table(plain, "made", {"made": whole}))


@pytest.mark.slow
def test_a_raced_study_that_was_stopped_ends_with_the_records_of_one_that_was_not(tmp_path):
    study = replace(TINY, name="raced", race=True, trials=8, folds=3, repeats=2)
    folder = images(tmp_path / "images" / "tiny")

    seen: list[str] = []

    class Stop(BaseException):
        pass

    def stopping(event, *_told):
        seen.extend(["record"] * (event == "record"))
        if len(seen) == 28:  # the untrained trunk's 10 runs, and 18 of a search of at most 24
            raise Stop

    def everything(jobs):
        return comparable([r for job in jobs for r in records.read(job.path).records])

    whole = everything(run(study, folder, tmp_path / "one", losses=("contrastive",)))
    with pytest.raises(Stop):
        run(study, folder, tmp_path / "two", losses=("contrastive",), tell=stopping)
    jobs = run(study, folder, tmp_path / "two", losses=("contrastive",))
    assert everything(jobs) == whole
    row = next(r for r in status.told(jobs[0].path.parent, None) if r["loss"] == "contrastive")
    assert row["finished"]


def test_only_fast_races_and_digests_of_studies_that_do_not_are_as_before_there_were_races():
    for name, digest in BEFORE.items():
        study = importlib.import_module(f"studies.{name}").STUDY
        assert (study.race, study.digest()) == (False, digest)
    assert FAST.race
    assert FAST.digest() != replace(FAST, race=False).digest()


def test_records_from_before_there_were_races_are_admitted_and_a_change_of_race_is_not(tmp_path):
    told = folder.describe(PLAIN, "made", "made", "f")
    older = json.loads(json.dumps(told))
    older["study"].pop("race")
    files.write_text(tmp_path / "study.json", json.dumps(older))
    folder.admit(tmp_path, told)
    with pytest.raises(Problem, match="race False -> True"):
        folder.admit(tmp_path, folder.describe(replace(PLAIN, race=True), "made", "made", "f"))
