"""Racing: which trials are out follows from records alone, and every table says so."""

from __future__ import annotations

import importlib
import json
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import files
from harness.commands import status
from harness.protocol import plan, race, search
from harness.protocol.trials import fold_records, trials_of
from harness.records import folder
from harness.records.records import read
from harness.schema import LATER, Problem, Record, Run
from harness.tables import table as tables
from harness.tables import table_text
from studies.fast import STUDY as FAST
from tests.made import MADE, SPACE, TINY, comparable, done, images, run
from tests.made import STUDY as PLAIN

# Digests from before studies had the field `race`; mlrc's without what it changed since.
BEFORE = {"appendix_d": "c431c2d9d5d6", "mlrc": "4cd00e276af8"}
CHANGED_SINCE = {("mlrc", "glyphs")}
STUDY = replace(PLAIN, trials=14, parallel_trials=2, race=True)


def record_of(a_run: Run, noise: float, seed: int = 0) -> Record:
    """A record whose score is the run's x with noise; later folds score less."""
    draw = random.Random(f"{a_run.key} {seed}").gauss(0, noise)
    score = float(a_run.params.get("x", 0.5)) - 0.05 * (a_run.fold or 0) + draw
    return done(
        a_run,
        provenance=MADE,
        scores=dict.fromkeys(("map_at_r", "r_precision", "precision_at_1"), score),
    )


def play(pick, noise=0.01, failing=lambda a_run: False, seed=0, study=STUDY) -> list[Record]:
    """The records of a finished study; `pick` chooses each next run."""
    records: list[Record] = []
    while runs := plan.next_runs(study, "made", "made", space=SPACE, records=records):
        chosen = pick(runs)
        record = record_of(chosen, noise, seed)
        if failing(chosen):
            record = replace(record, failure="Diverged: made up", scores={})
        records.append(plan.mark_raced_out(study, record, records))
    return records


def raced_out_by_numpy(records: list[Record]) -> dict[int, float]:
    """Trial -> estimate of those that are out, from an array of all scores [trial, fold]."""
    searched = [record for record in records if record.stage == "search"]
    counts = Counter(record.trial for record in searched)
    scores = np.full((len(counts), STUDY.folds), np.nan)
    for record in searched:
        scores[record.trial, record.fold] = record.scores.get("map_at_r", np.nan)
    estimates = {}
    for trial in range(len(counts)):
        earlier = scores[: trial // 2 * 2]
        finished = earlier[~np.isnan(earlier).any(1)]
        if trial < 5 or counts[trial] == STUDY.folds or len(finished) < 2:
            continue
        incumbent = finished[finished.mean(1).argmax()]
        differences = np.delete(finished, finished.mean(1).argmax(), axis=0) - incumbent
        spread = np.sqrt(differences.var(axis=1, ddof=1).mean())
        n = counts[trial]
        behind = (scores[trial, :n] - incumbent[:n]).mean()
        assert behind + 2 * spread / np.sqrt(n) < 0
        for fewer in range(1, n):  # it was not out before its last fold
            behind_before = (scores[trial, :fewer] - incumbent[:fewer]).mean()
            assert behind_before + 2 * spread / np.sqrt(fewer) >= 0
        estimates[trial] = incumbent.mean() + behind
    return estimates


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.002, 0.05]))
def test_the_trials_that_are_out_and_their_estimates_are_those_of_arrays(seed, noise):
    records = play(lambda runs: runs[0], noise, seed=seed)
    trials = trials_of(STUDY, records)
    estimates = {number: trial.score for number, trial in trials.items() if trial.raced_out}
    assert estimates == pytest.approx(raced_out_by_numpy(records))
    assert len(trials) == STUDY.trials


def test_a_race_saves_folds_and_the_first_trials_and_the_winner_have_all_of_theirs():
    records = play(lambda runs: runs[0])
    searched = [r for r in records if r.stage == "search"]
    progress = plan.progress(STUDY, "made", records)
    assert progress.finished
    assert progress.folds_saved == STUDY.trials * STUDY.folds - len(searched) > 10
    per_trial = [sum(r.trial == t for r in searched) for t in range(STUDY.trials)]
    assert per_trial[:5] == [4] * 5
    assert per_trial[progress.best_trial] == 4
    assert {r.trial for r in records if r.stage != "search"} == {progress.best_trial}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 3))
def test_neither_the_order_in_which_runs_end_nor_failures_change_what_is_raced(seed, failed):
    def failing(a_run):
        return a_run.stage == "search" and a_run.trial % 5 == failed and a_run.fold == failed % 2

    draw = random.Random(seed)
    in_order = {r.key: r for r in play(lambda runs: runs[0], failing=failing)}
    shuffled = {r.key: r for r in play(draw.choice, failing=failing)}
    assert shuffled == in_order


def test_every_prefix_of_a_raced_study_plans_only_runs_that_it_then_has():
    records = play(random.Random(3).choice)
    keys = {r.key for r in records}
    for length in range(len(records)):
        runs = plan.next_runs(STUDY, "made", "made", space=SPACE, records=records[:length])
        assert runs
        assert {r.key for r in runs} <= keys


def test_the_folds_of_a_trial_run_one_after_another():
    first = plan.next_runs(STUDY, "made", "made", space=SPACE, records=[])
    assert [(r.trial, r.fold) for r in first] == [(0, 0), (1, 0)]
    done_runs = [record_of(first[1], 0.0)]
    following = plan.next_runs(STUDY, "made", "made", space=SPACE, records=done_runs)
    assert [(r.trial, r.fold) for r in following] == [(0, 0), (1, 1)]


def test_the_record_that_puts_its_trial_out_is_marked_and_no_other():
    records = play(lambda runs: runs[0])
    trials = trials_of(STUDY, records)
    last = {r.trial: r.key for r in records if r.stage == "search"}
    expected = {last[number] for number, trial in trials.items() if trial.raced_out}
    assert {r.key for r in records if r.provenance.get("raced_out")} == expected
    assert expected


def test_a_trial_out_of_the_race_is_never_the_best_whatever_its_estimate():
    trials = {0: search.Trial({}, 0.1), 1: search.Trial({}, 0.9, raced_out=True)}
    assert search.best(trials) == 0


def test_without_race_no_trial_is_out_and_no_record_is_marked():
    plain = replace(STUDY, race=False)
    records = play(lambda runs: runs[0], study=plain)
    assert sum(r.stage == "search" for r in records) == 14 * 4
    assert not any(race.is_out(plain, fold_records(records[:n]), 13) for n in range(len(records)))
    assert not any("raced_out" in r.provenance for r in records)


def test_a_table_of_a_raced_study_says_so_with_the_folds_saved_in_every_form():
    records = play(lambda runs: runs[0])
    saved = plan.progress(STUDY, "made", records).folds_saved
    table = tables.table(STUDY, "made", {"made": records})
    expected = f"search runs saved: made {saved} of 56 ("
    for form in table_text.FORMATS.values():
        assert expected in form(table)
    assert expected in table_text.as_data(table)["caption"]
    plain = replace(STUDY, race=False)
    plain_records = play(lambda runs: runs[0], study=plain)
    assert "RACED" not in table_text.caption(tables.table(plain, "made", {"made": plain_records}))


@pytest.mark.slow
def test_a_raced_study_that_was_stopped_ends_with_the_records_of_one_that_was_not(tmp_path):
    study = replace(TINY, name="raced", race=True, trials=8, folds=3, repeats=2)
    dataset = images(tmp_path / "images" / "tiny")
    n_records = 0

    class Stop(BaseException):
        pass

    def stop_after_28_records(event, *_):
        nonlocal n_records
        n_records += event == "record"
        if n_records == 28:  # the untrained trunk's 10 runs, and 18 of a search of at most 24
            raise Stop

    def all_records(jobs):
        return comparable([r for job in jobs for r in read(job.path).records])

    uninterrupted = run(study, dataset, tmp_path / "one", losses=("contrastive",))
    with pytest.raises(Stop):
        run(
            study,
            dataset,
            tmp_path / "two",
            losses=("contrastive",),
            notify=stop_after_28_records,
        )
    jobs = run(study, dataset, tmp_path / "two", losses=("contrastive",))
    assert all_records(jobs) == all_records(uninterrupted)
    row = next(r for r in status.rows_of(jobs[0].path.parent, None) if r["loss"] == "contrastive")
    assert row["finished"]


def test_only_fast_races_and_without_later_fields_digests_are_as_before_there_were_races():
    for name, digest in BEFORE.items():
        study = importlib.import_module(f"studies.{name}").STUDY
        assert not study.race
        per_dataset = {
            dataset: older
            for dataset, changes in study.per_dataset.items()
            if (name, dataset) not in CHANGED_SINCE
            if (older := {field: changes[field] for field in changes if field not in LATER})
        }
        assert replace(study, per_dataset=per_dataset, **LATER).digest() == digest
    assert FAST.race
    assert FAST.digest() != replace(FAST, race=False).digest()


def test_records_from_before_there_were_races_are_admitted_and_a_change_of_race_is_not(tmp_path):
    description = folder.describe(PLAIN, "made", "made", "f")
    older = json.loads(json.dumps(description))
    older["study"].pop("race")
    files.write_text(tmp_path / "study.json", json.dumps(older))
    folder.admit(tmp_path, description)
    with pytest.raises(Problem, match="race False -> True"):
        folder.admit(tmp_path, folder.describe(replace(PLAIN, race=True), "made", "made", "f"))


def test_a_fold_whose_record_was_taken_out_of_a_trial_that_is_out_is_run_again():
    records = play(lambda runs: runs[0])
    out = next(r.trial for r in records if r.provenance.get("raced_out"))
    key = f"search-t{out}-f0"
    searched = [record for record in records if record.stage == "search"]
    left = [record for record in searched if record.key != key]
    assert out not in trials_of(STUDY, left)
    again = plan.next_runs(STUDY, "made", "made", space=SPACE, records=left)
    assert key in {run.key for run in again}
