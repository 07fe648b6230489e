"""`import harness`: data frames that agree with what the commands print, and the same refusals."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from pyarrow import parquet

import harness
from harness.commands import per_run, reading
from harness.commands.python import studies
from harness.records import records
from harness.tables import record_rows, table_text
from studies import optimism
from tests import made
from tests.made import call
from tests.report import sheets

ROOT = Path(__file__).resolve().parents[2]
SCORES = ["map_at_r", "r_precision", "precision_at_1"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two finished losses on one dataset, with curves and scores by class."""
    results = tmp_path_factory.mktemp("python") / "results"
    sheets.write(results)
    return results


@pytest.fixture(scope="module")
def loaded(results):
    return harness.load(results)


def read(results: Path, loss: str = "warped"):
    return records.read(results / "tiny" / "made" / f"{loss}.jsonl").records


@pytest.mark.parametrize(
    ("program", "kept_out"),
    [
        ("import harness", {"torch", "numpy", "pandas", "matplotlib", "optuna"}),
        ("import harness; harness.load", {"torch", "pandas", "matplotlib", "rich"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(program, kept_out):
    words = [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"]
    out = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not kept_out & set(out.split())


def test_every_name_of_the_door_is_there_and_no_other():
    assert set(harness.__all__) <= set(dir(harness))
    assert all(getattr(harness, name) is not None for name in harness.__all__)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = harness.laod


def test_runs_hold_every_record_with_its_scores_and_params(results, loaded):
    runs = loaded.runs()
    assert list(runs.columns)[: len(record_rows.RUNS)] == list(record_rows.RUNS)
    assert runs["loss"].value_counts().to_dict() == {"warped": 38, "contrastive": 38}
    for record in read(results):
        (row,) = runs[(runs["loss"] == "warped") & (runs["key"] == record.key)].to_dict("records")
        assert [row[name] for name in SCORES] == [record.scores[name] for name in SCORES]
        assert (row["param_x"], row["seed"]) == (record.params["x"], record.seed)
        assert (row["epochs"], row["followup_epochs"]) == record.epochs
        for name in ("repeat", "fold"):
            value = getattr(record, name)
            assert pandas.isna(row[name]) if value is None else row[name] == value
    assert runs["fold"].dtype == "Int64"
    assert runs["failure"].isna().all()
    assert set(runs["commit"]) == {"a" * 10}


def test_a_failed_run_has_its_failure_and_no_scores(tmp_path):
    played = made.play(lambda runs: runs[0], failing=lambda run: run.key == "search-t1-f2")
    records_with_failure = [replace(record, provenance=made.MADE) for record in played]
    made.write_records(tmp_path, "made", {"warped": records_with_failure})
    loaded = harness.load(tmp_path)
    (row,) = loaded.runs().query("key == 'search-t1-f2'").to_dict("records")
    assert row["failure"] == "Diverged: made up"
    assert np.isnan(row["map_at_r"])
    trial = loaded.trials().set_index("trial").loc[1]
    assert (trial["folds"], trial["failed_folds"], bool(trial["best"])) == (4, 1, False)
    assert np.isnan(trial["map_at_r"])


def test_trials_hold_the_mean_over_folds_and_mark_the_one_behind_the_final_runs(results, loaded):
    trials = loaded.trials()
    assert list(trials.columns) == [*record_rows.TRIALS, "param_x"]
    of_loss = trials[trials["loss"] == "warped"]
    folds: dict[int, list[float]] = {}
    for record in read(results):
        if record.stage == "search":
            folds.setdefault(record.trial, []).append(record.scores["map_at_r"])
    assert of_loss["trial"].to_list() == sorted(folds)
    assert of_loss["map_at_r"].to_list() == pytest.approx(
        [np.mean(folds[number]) for number in sorted(folds)]
    )
    final = {record.trial for record in read(results) if record.repeat is not None}
    assert set(of_loss[of_loss["best"]]["trial"]) == final


def test_curves_are_long_and_scores_by_class_add_up_to_the_scores(results, loaded):
    curves = loaded.curves()
    of_run = curves[(curves["loss"] == "warped") & (curves["stage"] == "repeat")]
    assert of_run.groupby("key").size().unique().tolist() == [6]
    assert of_run["map_at_r"].head(6).to_list() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.1, 0.2])
    assert of_run["phase"].head(6).to_list() == ["normal"] * 4 + ["followup"] * 2
    assert set(curves["training_loss"]) == {1.0}
    assert curves["gradient_norm"].isna().all()
    by_class = loaded.scores_by_class()
    assert set(by_class["queries"]) == {2, 3, 5}
    weighted = by_class["map_at_r"] * by_class["queries"] / 10
    totals = weighted.groupby([by_class["loss"], by_class["key"]]).sum()
    runs = loaded.runs().set_index(["loss", "key"])["map_at_r"].reindex(totals.index)
    assert totals.to_list() == pytest.approx(runs.to_list())


@pytest.mark.parametrize("metrics", [None, ["recall_at_1", "map_at_r"]])
def test_the_table_is_that_of_the_command(results, loaded, metrics):
    words = ["--metrics", *metrics] if metrics else []
    out = call("table", "--results", results, "--format", "csv", *words)[1]
    printed = pandas.read_csv(io.StringIO(out), comment="#", keep_default_na=True)
    table = loaded.table(metrics)
    assert list(table.columns) == list(printed.columns) == list(table_text.HEAD)
    assert len(table) == len(printed) > 0
    for name in table_text.HEAD:
        ours, theirs = table[name], printed[name]
        if ours.dtype == "string":
            assert ours.fillna("").to_list() == theirs.fillna("").to_list(), name
        else:
            ours, theirs = (column.astype("Float64").astype(float) for column in (ours, theirs))
            assert ours.to_list() == pytest.approx(theirs.to_list(), abs=5e-7, nan_ok=True), name


def test_a_pool_without_final_runs_is_in_no_table_and_that_is_said(loaded):
    pool = reading.Records(study=optimism.STUDY, dataset="made", by_loss={}, notes=[])
    both = harness.Results({Path("optimism/made"): pool, **loaded.records})
    with pytest.warns(UserWarning, match="optimism/made has no final runs"):
        table = both.table()
    assert set(table["study"]) == {"tiny"}
    with pytest.raises(harness.Problem, match="has a pool of configurations and no final runs"):
        harness.Results({Path("optimism/made"): pool}).table()


def test_a_selection_of_losses_and_datasets_is_that_of_the_commands(results):
    loaded = harness.load(results, study="tiny", datasets="made", losses="warped")
    assert set(loaded.runs()["loss"]) == {"warped"}
    assert repr(loaded) == "<Results of tiny/made: 38 runs of warped>"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"study": "tny"}, "no study 'tny'; did you mean 'tiny'?"),
        ({"datasets": ["made", "mad"]}, "no dataset 'mad'; did you mean 'made'?"),
        ({"losses": "warpd"}, "no loss 'warpd'; did you mean 'warped'?"),
        ({"losses": []}, "a list of names is empty"),
    ],
)
def test_what_is_not_there_is_a_problem_of_one_line(results, selection, expected):
    with pytest.raises(harness.Problem, match=expected.replace("?", r"\?")) as caught:
        harness.load(results, **selection)
    assert "\n" not in str(caught.value)


def test_a_folder_without_records_is_a_problem(tmp_path):
    with pytest.raises(harness.Problem, match="no records in"):
        harness.load(tmp_path / "none")


def test_records_that_are_not_the_study_s_are_left_out_and_a_warning_says_so(tmp_path):
    sheets.write(tmp_path)
    path = tmp_path / "tiny" / "made" / "warped.jsonl"
    lines = path.read_text().splitlines()
    fields = json.loads(lines[0])
    fields["seed"] += 1
    path.write_text("\n".join([json.dumps(fields), *lines[1:]]) + "\n")
    with pytest.warns(UserWarning, match=r"LEFT OUT of warped: 1 records") as caught:
        loaded = harness.load(tmp_path)
    assert caught[0].filename == __file__
    runs = loaded.runs()
    assert (runs["loss"] == "warped").sum() == 37
    assert not ((runs["loss"] == "warped") & (runs["key"] == fields["key"])).any()
    assert not loaded.curves().query("loss == 'warped'")["key"].eq(fields["key"]).any()
    assert any("LEFT OUT" in note for note in loaded.notes)


def test_frames_without_pandas_are_a_problem_that_says_what_to_install(loaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(harness.Problem, match="python -m pip install pandas"):
        loaded.runs()


def test_figures_show_every_loss(tmp_path):
    sheets.write(tmp_path, "made")
    sheets.write(tmp_path, "other")
    one = harness.load(tmp_path, datasets="made")
    labels = {text.get_text() for text in one.table_figure().axes[0].get_yticklabels()}
    assert labels == {"warped", "contrastive"}
    figure = one.score_figure("complete", "r_precision")
    assert figure.axes[0].get_xlabel() == "test RP, %"
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    curve = one.curve_figure("warped").axes[0]
    assert curve.get_title(loc="left") == "warped"
    assert curve.get_lines()[0].get_ydata() == pytest.approx([10, 20, 30, 40])
    both = harness.load(tmp_path)
    words = " ".join(text.get_text() for text in both.ranks_figure().axes[0].texts)
    assert "warped 1.00" in words
    assert "contrastive 2.00" in words
    with pytest.raises(harness.Problem, match="there are tiny/made, tiny/other; give study="):
        both.table_figure()
    with pytest.raises(harness.Problem, match="ranks need at least 2 datasets"):
        one.ranks_figure()
    with pytest.raises(harness.Problem, match="did you mean 'warped'"):
        one.curve_figure("warpde")
    with pytest.raises(harness.Problem, match="did you mean 'complete'"):
        one.score_figure("complet")


def test_per_run_prints_the_runs_as_csv_and_as_parquet(results, loaded, capfdbinary):
    runs = loaded.runs()
    code, out, err = call("table", "--per-run", "--format", "csv", "--results", results)
    assert (code, err) == (0, "")
    assert call("table", "--per-run", "--results", results)[1] == out
    printed = pandas.read_csv(io.StringIO(out))
    assert list(printed.columns) == list(runs.columns)
    for name in ("key", "seed", "map_at_r", "param_x"):
        assert printed[name].to_list() == runs[name].to_list()
    rows = record_rows.Rows(
        {"fold": "whole", "capped": "truth", "failure": "text"},
        {"fold": [0, None], "capped": [True, False], "failure": [None, "Diverged: x"]},
    )
    assert per_run.comma_separated(rows) == "fold,capped,failure\n0,1,\n,0,Diverged: x\n"
    words = [sys.executable, "-m", "harness", "table", "--per-run", "--format", "parquet"]
    words += ["--results", str(results)]
    content = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    stored = parquet.read_table(io.BytesIO(content)).to_pandas()
    assert list(stored.columns) == list(runs.columns)
    assert stored["map_at_r"].to_list() == runs["map_at_r"].to_list()
    assert stored["failure"].isna().all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--format", "parquet"], "--format parquet is of --per-run alone"),
        (["--per-run", "--format", "latex"], "--per-run --format latex: known: csv, parquet"),
        (["--per-run", "--json"], "leave --json out"),
        (["--per-run", "--metrics", "map_at_r", "--uncertainty"], "leave --metrics and --uncert"),
    ],
)
def test_options_of_table_that_do_not_go_together_end_in_one_line(results, words, expected):
    code, out, err = call("table", "--results", results, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_parquet_without_pyarrow_says_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, out, err = call("table", "--per-run", "--format", "parquet", "--results", results)
    assert (code, out) == (2, "")
    assert "python -m pip install pyarrow" in err


def test_columns_of_unlike_values_become_texts_and_params_stand_last():
    lines = [{"param_a": 1, "b": True}, {"param_a": [1, 2], "c": 2}, {"param_a": "x", "c": 0.5}]
    rows = record_rows.rows_of({}, lines)
    assert rows.kinds == {"b": "truth", "c": "number", "param_a": "text"}
    assert rows.values["param_a"] == ["1", "[1, 2]", "x"]
    assert rows.values["c"] == [None, 2, 0.5]


def embedded():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), 5)
    return rng.normal(size=(30, 4)) + 2 * rng.normal(size=(6, 4))[labels], labels


def test_embeddings_are_scored_as_the_command_scores_their_file(tmp_path):
    embeddings, labels = embedded()
    is_query, groups = np.arange(30) % 2 == 0, np.where(np.arange(30) < 15, np.arange(30) % 3, -1)
    np.save(tmp_path / "x.npy", embeddings)
    rows = zip(labels, is_query, groups, strict=True)
    text = "\n".join(["label,is_query,group", *(f"{a},{b},{c}" for a, b, c in rows)])
    (tmp_path / "y.csv").write_text(text)
    out = call("score", tmp_path / "x.npy", tmp_path / "y.csv", "--format", "json")[1]
    expected = {row["metric"]: row for row in json.loads(out)["scores"]}
    for given in (embeddings, torch.from_numpy(embeddings), embeddings.tolist()):
        scores = harness.score(given, labels, is_query=is_query, groups=groups.tolist())
        assert scores.keys() == expected.keys()
        for metric, row in scores.items():
            assert row == {name: expected[metric][name] for name in row}
    floats = np.where(groups < 0, np.nan, groups)  # as pandas holds whole numbers with gaps
    again = harness.score(embeddings, labels, is_query=is_query.astype(float), groups=floats)
    assert again == scores
    names = pandas.Series([f"class {label}" for label in labels])
    assert harness.score(embeddings, names, is_query=is_query, groups=groups) == scores


def test_diagnostics_have_a_value_alone_and_queries_without_a_positive_are_a_warning():
    embeddings, labels = embedded()
    with pytest.warns(UserWarning, match="1 queries have no other image") as caught:
        scores = harness.score(
            embeddings[:-4], labels[:-4], recall_at=[1], diagnostics=["uniformity"]
        )
    assert caught[0].filename == __file__
    assert list(scores) == [*SCORES, "recall_at_1", "uniformity"]
    assert scores["uniformity"]["mean"] < 0
    assert scores["uniformity"]["low"] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": [0, 1]}, "embeddings holds 30 rows and labels 2 labels"),
        ({"labels": [0.5] * 30}, "labels holds labels of the type float64"),
        ({"labels": ["a"] * 29 + [None]}, "row 29 .* no label"),
        ({"embeddings": [[1.0], [1.0, 2.0]]}, "rows of equal length"),
        ({"embeddings": [1.0] * 30}, r"\[images, dimensions\] is needed"),
        ({"embeddings": np.full((30, 2), np.nan)}, "30 of 30 rows hold NaN"),
        ({"is_query": [True] * 3}, "is_query has 3 values and labels 30"),
        ({"is_query": [2] * 30}, "is_query = '2'; true or false is needed"),
        ({"distance": "cosin"}, "did you mean 'cosine'"),
        ({"recall_at": [0]}, r"recall_at = \[0\]"),
        ({"diagnostics": ["uniformty"]}, "did you mean 'uniformity'"),
        ({"device": "qpu"}, "no device 'qpu'"),
    ],
)
def test_what_cannot_be_scored_is_a_problem_of_one_line(change, expected):
    embeddings, labels = embedded()
    with pytest.raises(harness.Problem, match=expected) as caught:
        harness.score(**({"embeddings": embeddings, "labels": labels} | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"study": "smok"}, "did you mean 'smoke'"),
        ({"study": 3}, "study is a int; give the name of a file in studies/, or a harness.Study"),
        ({"study": "smoke", "losses": "warpd"}, "did you mean 'warped'"),
        ({"study": "smoke", "datasets": "glyhps"}, "did you mean 'glyphs'"),
        ({"study": "smoke", "workers": 0}, "workers = 0; a whole number of 1 or more"),
        ({"study": "landscapes"}, "compares no losses and keeps no records"),
        (
            {"study": replace(made.TINY, loss_params={"warped": {"alpah": 1}}), "losses": "warped"},
            "alpah",
        ),
    ],
)
def test_a_study_that_cannot_start_is_a_problem_and_leaves_no_folder(tmp_path, words, expected):
    with pytest.raises(harness.Problem, match=expected):
        harness.run_study(results=tmp_path / "results", data=tmp_path / "data", **words)
    assert not (tmp_path / "results").exists()


def test_in_a_worker_process_no_study_starts(monkeypatch):
    monkeypatch.setattr(studies.multiprocessing, "parent_process", lambda: object())
    with pytest.raises(harness.Problem, match="if __name__ == '__main__'"):
        harness.run_study("smoke")


def test_a_study_runs_in_a_thread_carries_on_and_says_what_keeps_it_from_being_whole(
    tmp_path, monkeypatch
):
    """A thread receives no signals, as where a program runs a study beside its own work."""
    monkeypatch.setattr(
        studies.engine_options, "open_engine", lambda options, places: made.Inline(places)
    )
    study = replace(made.TINY, trials=1, folds=2, stages=("search", "repeat"))
    values = {
        "losses": "contrastive",
        "datasets": f"folder:{made.images(tmp_path / 'photos')}",
        "results": tmp_path / "results",
        "data": tmp_path / "data",
        "device": "cpu",
        "quiet": True,
    }
    ended: list[harness.Results] = []
    thread = threading.Thread(target=lambda: ended.append(harness.run_study(study, **values)))
    thread.start()
    thread.join()
    runs = ended[0].runs()
    assert set(runs["loss"]) == {"contrastive", "untrained"}
    assert runs[runs["loss"] == "contrastive"]["stage"].to_list() == ["search"] * 2 + ["repeat"] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = harness.run_study(study, **values).runs()
    pandas.testing.assert_frame_equal(again, runs)
    grown = replace(study, trials=2)
    monkeypatch.setattr(studies.shortfalls, "check", shortfall)
    with pytest.raises(harness.Problem, match="not whole"):
        harness.run_study(grown, **values)
    assert len(harness.load(tmp_path / "results", losses="contrastive").trials()) == 2


def shortfall(_jobs: object) -> None:
    raise harness.Problem("not whole")


def test_a_stopped_study_ends_in_keyboard_interrupt_and_the_same_call_carries_on(
    tmp_path, monkeypatch
):
    class Interrupted(made.Inline):
        submitted = 0

        def submit(self, run):
            self.submitted += 1
            if self.submitted == 3:
                signal.raise_signal(signal.SIGINT)
            return super().submit(run)

    study = replace(made.TINY, trials=2, folds=2, stages=("search", "repeat"))
    values = {
        "losses": "contrastive",
        "datasets": f"folder:{made.images(tmp_path / 'photos')}",
        "results": tmp_path / "results",
        "data": tmp_path / "data",
        "device": "cpu",
        "quiet": True,
    }
    engines = iter((Interrupted, made.Inline))
    monkeypatch.setattr(
        studies.engine_options, "open_engine", lambda options, places: next(engines)(places)
    )
    with pytest.raises(KeyboardInterrupt, match="the same call carries on"):
        harness.run_study(study, **values)
    before = len(harness.load(tmp_path / "results").runs())
    after = len(harness.run_study(study, **values).runs())
    assert before < after


@pytest.mark.parametrize("names", [[5], ["warped", None], (1.5,)])
def test_a_name_that_is_no_text_is_a_problem(names):
    with pytest.raises(harness.Problem, match="and no name; give texts"):
        harness.load(losses=names, datasets=names)
