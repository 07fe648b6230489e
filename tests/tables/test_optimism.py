"""The study `standard`: same trials, two choices; what is tuned on test stays where it belongs."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from harness import files
from harness.audit import evidence
from harness.commands import export, verify
from harness.engines import execute
from harness.engines.execute import Places
from harness.protocol import plan, splits
from harness.records import folder, records
from harness.schema import TEST_TUNED, Problem, Record, Run
from harness.tables import optimism, optimism_text, table, table_text
from harness.training import train, tuned_on_test
from tests.made import SPACE, STUDY, TINY, done, images, play, run

ROOT = Path(__file__).resolve().parents[2]
SMALL = replace(
    TINY, name="standard", protocol="standard", folds=2, dim=16, complete_dim=16, repeats=3,
    complete_epochs_multiple=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The study, really run: its jobs, its places, and what every training was handed."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny")
    results = tmp_path_factory.mktemp("run") / "results"
    handed: list[tuple[str, str]] = []
    real_fit, real_tuned, real_test = train.fit, tuned_on_test.fit, splits.test_part
    with pytest.MonkeyPatch.context() as patch:

        def fit(a_run, *rest):
            handed.append(("fit", a_run.stage))
            trained = real_fit(a_run, *rest)
            handed.append(("fitted", a_run.stage))
            return trained

        def tuned(a_run, *rest):
            handed.append(("tuned", a_run.stage))
            return real_tuned(a_run, *rest)

        def test_part(*told):
            handed.append(("test", ""))
            return real_test(*told)

        patch.setattr(execute.train, "fit", fit)
        patch.setattr(execute.test_tuned, "fit", tuned)
        patch.setattr(execute.splits, "test_part", test_part)
        jobs = {job.loss: job for job in run(SMALL, folder, results, losses=("warped",))}
    return jobs, Places(results, results.parent / "data"), handed


def test_both_searches_train_the_same_trials_and_every_run_is_there_once(made):
    told = made[0]["warped"].records
    counts = {stage: sum(r.stage == stage for r in told) for stage in {r.stage for r in told}}
    assert counts == {
        "search": 3, "test_tuned_search": 3, "complete": 3, "test_tuned_complete": 3,
    }  # fmt: skip
    params = {
        stage: {r.trial: r.params for r in told if r.stage == stage}
        for stage in ("search", "test_tuned_search")
    }
    assert params["search"] == params["test_tuned_search"]
    assert len({json.dumps(p, sort_keys=True) for p in params["search"].values()}) == 3


def test_the_honest_branch_never_meets_test_classes_before_its_model_is_kept(made):
    handed = made[2]
    steps = [step for step in handed if step != ("test", "")]
    assert {stage for what, stage in steps if what == "fit"} == {"search", "complete"}
    assert {stage for what, stage in steps if what == "tuned"} == set(TEST_TUNED)
    for i, (what, stage) in enumerate(handed):
        if what == "fit":
            assert handed[i + 1] == ("fitted", stage)  # no test part in between
        if what == "test":
            before = next((step for step in reversed(handed[:i]) if step in steps), None)
            after = next((step for step in handed[i:] if step in steps), ("end", ""))
            final = before in (("fitted", "complete"), ("tuned", "test_tuned_complete"))
            assert final or after[0] == "tuned"


def test_the_honest_search_holds_out_the_second_half_of_the_trainval_classes():
    labels = np.repeat(np.arange(100), 2)
    split = splits.fold(labels, SMALL.fold_layout, SMALL.folds, SMALL.search_folds[0])
    assert SMALL.search_folds == (1,)
    assert set(labels[split.train]) == set(range(50))
    assert set(labels[split.held_out]) == set(range(50, 100))


def test_the_winner_of_each_branch_and_the_honest_epochs_follow_from_its_own_scores(made):
    told = made[0]["warped"].records
    for searching, final in (("search", "complete"), TEST_TUNED):
        trials = {r.trial: r.scores["map_at_r"] for r in told if r.stage == searching}
        winner = max(trials, key=lambda t: (trials[t], -t))
        assert {r.trial for r in told if r.stage == final} == {winner}
    honest = next(r for r in told if r.stage == "complete")
    chosen = next(r for r in told if r.stage == "search" and r.trial == honest.trial)
    assert honest.epochs == chosen.epochs


def test_a_test_tuned_record_says_so_in_stage_key_and_curve_and_its_epoch_is_the_best_on_test(made):
    for record in made[0]["warped"].records:
        told = [entry for entry in record.curve if "test_map_at_r" in entry]
        if record.stage not in TEST_TUNED:
            assert not told
            assert "test" not in record.key
            continue
        assert record.key.startswith(record.stage)
        assert not any("map_at_r" in entry for entry in record.curve)
        best = max(told, key=lambda entry: entry["test_map_at_r"])
        assert record.scores["map_at_r"] == pytest.approx(best["test_map_at_r"], abs=1e-12)


def test_the_repeats_of_both_branches_share_their_seeds_and_nothing_else_does(made):
    told = made[0]["warped"].records
    seeds = {
        stage: {r.repeat: r.seed for r in told if r.stage == stage}
        for stage in ("complete", "test_tuned_complete")
    }
    assert seeds["complete"] == seeds["test_tuned_complete"]
    searched = [r.seed for r in told if r.stage in ("search", "test_tuned_search")]
    assert len(set(searched)) == 6
    assert not set(searched) & set(seeds["complete"].values())


def test_every_kind_of_record_of_the_study_verifies(made):
    jobs, places, _ = made
    told = jobs["warped"].records
    for stage in ("search", "complete", *TEST_TUNED):
        record = next(r for r in told if r.stage == stage)
        found = verify.verify(jobs["warped"].study, record, told, places)
        assert (found.verdict, found.differences) == ("identical", {})
    where = jobs["warped"].path.parent
    row = verify.chosen(places.results, f"standard/{where.name}/warped")
    assert {record.stage for _, record, _ in row} == {"complete", "test_tuned_complete"}


def test_only_standard_may_be_of_the_protocol_that_tunes_on_test():
    with pytest.raises(Problem, match="is for the study 'standard' alone"):
        replace(SMALL, name="mine")
    with pytest.raises(Problem, match="only the study 'standard' may"):
        Run(TINY, "made", "warped", "test_tuned_complete", 1, {}, 0)


def test_training_refuses_test_classes_for_any_other_run():
    a_run = Run(SMALL, "made", "warped", "complete", 1, {}, 0)
    nothing = splits.Part(np.zeros((0, 1, 1, 3), np.uint8), np.arange(0), np.arange(0))
    with pytest.raises(ValueError, match="may not see test classes in training"):
        tuned_on_test.fit(a_run, nothing, nothing, torch.device("cpu"), lambda entry: None)


def test_one_place_hands_the_test_part_to_a_training():
    called: dict[str, list[str]] = {"test_tuned.fit": [], "train_on": [], "splits.test_part": []}
    # harness/bench holds a study as others write it, which no run of a study goes through.
    for path in sorted({*(ROOT / "harness").rglob("*.py")} - {*(ROOT / "harness/bench").iterdir()}):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func)
                    for known in called:
                        if name == known or name.endswith(f".{known}"):
                            called[known].append(f"{path.stem}.{function.name}")
    assert called["test_tuned.fit"] == ["execute._fit_on_test"]
    assert called["train_on"] == ["test_tuned.fit", "train.fit"]
    assert set(called["splits.test_part"]) == {
        "execute._fit_on_test", "execute._test_embeddings", "execute._test_scores",
    }  # fmt: skip
    assert "test" not in train.fit.__annotations__


def perfect(record: Record, stage: str) -> Record:
    """A record as if it came from the test-tuned branch, with full marks."""
    key = record.key.replace(record.stage, stage, 1)
    return replace(record, stage=stage, key=key, scores=dict.fromkeys(record.scores, 1.0))


def test_test_tuned_records_feed_no_other_table_search_or_export():
    told = play(lambda runs: runs[0])
    planted = [*told]
    for record in told:
        planted += [perfect(record, stage) for stage in TEST_TUNED]
    assert plan.trials_of(STUDY, planted) == plan.trials_of(STUDY, told)
    assert plan.next_runs(STUDY, "made", "made", SPACE, planted) == []
    for form in table_text.FORMATS.values():
        assert form(table.table(STUDY, "made", {"made": planted})) == form(
            table.table(STUDY, "made", {"made": told})
        )


def test_test_tuned_records_are_no_evidence_and_no_optuna_trials(made, tmp_path):
    job = made[0]["warped"]
    where = tmp_path / "standard" / "cub"
    where.mkdir(parents=True)
    study = replace(SMALL, per_dataset={})
    description = folder.describe(study, "cub", "cub", "x")
    files.write_text(where / "study.json", json.dumps(description))
    for record in job.records:
        records.append(where / "warped.jsonl", record)
    found = evidence.read(tmp_path, "standard")
    ids = [name for told in found.values() for name in told.records]
    assert ids
    assert not any("test_tuned" in name for name in ids)
    honest = optimism.values_of(study, "warped", job.records, "complete", "map_at_r")
    told = found["warped", "cub", "complete", "map_at_r"].values
    assert told == [100 * honest[repeat] for repeat in sorted(honest)]
    frozen = export.frozen_trials(study, "warped", job.records)
    searched = {r.trial: r.scores["map_at_r"] for r in job.records if r.stage == "search"}
    assert [trial.value for trial in frozen] == [searched[t] for t in sorted(searched)]


def made_up(loss: str, honest: list[float], tuned: list[float]) -> list[Record]:
    """A finished standard study whose final scores are given."""
    study = replace(STUDY, name="standard", protocol="standard", dim=16, folds=2)
    told = []
    for record in play(lambda runs: runs[0], study, loss):
        if record.repeat is not None:
            share = (tuned if record.stage in TEST_TUNED else honest)[record.repeat]
            record = replace(record, scores=dict.fromkeys(table.METRICS, share))
        told.append(record)
    return told


def test_the_inflation_is_the_paired_difference_as_scipy_has_it_with_holm_over_losses():
    study = replace(STUDY, name="standard", protocol="standard", dim=16, folds=2)
    scores = {
        "one": ([0.10, 0.12, 0.11], [0.15, 0.16, 0.165]),
        "two": ([0.20, 0.22, 0.25], [0.21, 0.25, 0.24]),
    }
    told = {loss: made_up(loss, *pair) for loss, pair in scores.items()}
    table = optimism.table(study, "made", told)
    p_values = {}
    for row in table.rows:
        honest, tuned = scores[row.loss]
        found = row.cells["map_at_r"].inflation
        expected = scipy_stats.ttest_rel(tuned, honest)
        interval = expected.confidence_interval(0.95)
        assert found.mean == pytest.approx(np.mean(tuned) - np.mean(honest))
        assert found.mean - found.half_width == pytest.approx(interval.low)
        assert found.p_value == pytest.approx(expected.pvalue)
        p_values[row.loss] = expected.pvalue
    low, high = sorted(p_values.values())
    adjusted = sorted(row.cells["map_at_r"].p_holm for row in table.rows)
    assert adjusted == pytest.approx([2 * low, max(2 * low, high)])
    text = optimism_text.markdown(table)
    assert [row.loss for row in table.rows] == ["two", "one"]
    for words in ("held-out classes", "Test-tuned numbers are no results", "over n = 3 repeats",
                  "it does not hold the noise of the search", "Order by mean MAP@R"):  # fmt: skip
        assert words in text
    assert optimism_text.comma_separated(table).count("\n") >= 7
    assert r"\end{table}" in optimism_text.latex(table)


def test_a_branch_whose_trials_all_fail_ends_and_the_other_goes_on():
    study = replace(STUDY, name="standard", protocol="standard", dim=16, folds=2)
    told: list[Record] = []
    while runs := plan.next_runs(study, "made", "made", SPACE, told):
        failed = runs[0].stage == "test_tuned_search"
        changes = {"failure": "Diverged: x", "scores": {}} if failed else {}
        told.append(done(runs[0], **changes))
    assert {r.stage for r in told} == {"search", "complete", "test_tuned_search"}
    assert plan.progress(study, "made", told).finished


def test_when_both_branches_choose_the_same_the_table_says_so_and_claims_no_interval():
    study = replace(STUDY, name="standard", protocol="standard", dim=16, folds=2)
    same = [0.10, 0.12, 0.11]
    told = {"one": made_up("one", same, same), "two": made_up("two", same, [0.2, 0.2, 0.3])}
    table = optimism.table(study, "made", told)
    lines = optimism_text.markdown(table).splitlines()
    assert next(line for line in lines if line.startswith("| one")).count("0 (same runs)") == 3
    assert "same runs" not in next(line for line in lines if line.startswith("| two"))
    assert "AT THE LIMIT" not in optimism_text.caption(table)
    most = study.max_epochs + study.followup_max_epochs
    ends = [replace(r, epochs=(study.max_epochs, most - study.max_epochs)) for r in told["one"]]
    assert (
        f"AT THE LIMIT of {most} epochs in every test-tuned repeat: one"
        in optimism_text.caption(optimism.table(study, "made", {"one": ends}))
    )
    rows = optimism_text.as_data(table)["rows"]
    assert {cell["same_runs"] for row in rows for cell in row["cells"]} == {True, False}
