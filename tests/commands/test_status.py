"""How far a study is, from its first second: every loss, what runs, what comes next."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.commands import page_server, status, status_text, study_files, terminal
from harness.records import folder
from harness.schema.fields import FEATURES
from tests.made import STUDY, call, scored, write_records


@pytest.fixture
def where(tmp_path):
    """The results folder of a study that has begun: one loss has some records."""
    begun = [replace(record, seconds=60.0) for record in scored("begun", [0.5] * 3)[:5]]
    write_records(tmp_path / "results", "made", {"begun": begun})
    return tmp_path / "results" / STUDY.name / "made"


def states(where):
    return {row["loss"]: status_text._state(row) for row in status.rows_of(where, None)}


def test_before_the_first_record_each_loss_of_the_study_has_a_row(tmp_path):
    where = tmp_path / "results" / "tiny" / "made"
    study = replace(STUDY, losses=("warped", "contrastive"))
    folder.create(where)
    folder.admit(where, folder.describe(study, "made", "made", "x"))
    assert states(where) == {"contrastive": "not started", "warped": "not started"}
    out = call("status", "--results", tmp_path / "results")[1]
    assert "tiny made warped: not started; search 0/20, " in out


def test_a_loss_that_is_being_computed_has_a_row_before_its_first_record(where):
    assert states(where) == {"begun": "stopped"}
    with folder.hold(where / "begun.jsonl"), folder.hold(where / "other.jsonl"):
        assert states(where) == {"begun": "running", "other": "waiting"}


def test_what_runs_says_held_out_with_the_time_left_and_the_next_command(where):
    work = where / "work" / "begun"
    work.mkdir(parents=True)
    for fold, scores in enumerate(({}, {"map_at_r": 0.25})):
        progress = {"phase": "normal", "epoch": 2, "of": 9, **scores}
        (work / f"search-t1-f{fold}.progress.json").write_text(json.dumps(progress))
    results = where.parents[1]
    with folder.hold(where / "begun.jsonl"):
        lines = call("status", "--results", results)[1].splitlines()
    assert lines[2] == "  search-t1-f0: normal epoch 2/9"
    assert lines[3] == "  search-t1-f1: normal epoch 2/9, held-out MAP@R 25.00 %"
    # 15 trainings of the search, 12 + 3 final ones, a minute each, two at a time
    assert lines[4] == "about 15:00 left, with 2 runs side by side as now"
    assert lines[5].startswith(
        f"next: python -m harness report tiny/made --watch --results {results}"
    )
    assert all("held-out" in line for line in lines if "MAP@R" in line)


def test_a_stopped_study_says_how_it_carries_on_and_a_finished_one_where_its_table_is(tmp_path):
    finished = {"done": scored("done", [0.5] * 3)}
    write_records(tmp_path / "results", "made", finished)
    write_records(tmp_path / "results", "a b", {"begun": scored("begun", [0.5] * 3)[:5]})
    out = call("status", "--results", tmp_path / "results")[1]
    assert "next: python -m harness study --study tiny --dataset 'a b' --loss begun " in out
    assert "next: python -m harness table --study tiny --dataset made " in out
    code, out, _ = call("status", "--results", tmp_path / "results", "--dataset", "made", "a b")
    assert (code, out.count("next: ")) == (0, 2)


def test_a_terminal_of_80_columns_cuts_no_name_and_names_the_scores_held_out(where, monkeypatch):
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    out = call("status", "--results", where.parents[1])[1]
    table, _, after = out.partition("next: ")
    assert max(map(len, table.splitlines())) <= 80
    assert "held-out" in table
    assert "begun" in table
    assert "\n" not in after.strip()  # a command can be copied whole


def test_the_page_of_watch_shows_the_rows_refreshes_itself_and_runs_nothing(where):
    rows = status.rows_of(where, None)
    rows[0] |= {"loss": "<script>alert(1)</script>", "torn": "line 3 <b>torn</b>"}
    page = status_text.page(rows, where.parents[1])
    assert 'http-equiv="refresh" content="5"' in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "study tiny on made" in page
    assert "next: python -m harness study" in page.replace("\n", " ")


def test_watch_serves_that_page_and_makes_it_again_when_a_run_goes_on(where, monkeypatch):
    served = {}

    def serve(make, version, *, port, say):
        served.update(page=make(), version=version(), port=port)
        work = where / "work" / "begun"
        work.mkdir(parents=True)
        (work / "search-t1-f0.progress.json").write_text('{"phase": "normal", "epoch": 2, "of": 9}')
        served["later"] = version()

    monkeypatch.setattr(page_server, "serve", serve)
    assert call("status", "--watch", "--port", 0, "--results", where.parents[1])[0] == 0
    assert "begun" in served["page"]
    assert served["port"] == 0
    assert served["version"] != served["later"]


def begun_as(tmp_path, study, dataset="glyphs"):
    """What `status` says of a study of studies/ that was begun so, and has no records yet."""
    where = tmp_path / "results" / study.name / dataset
    folder.create(where)
    folder.admit(where, folder.describe(study.for_dataset(dataset), dataset, dataset, "x"))
    out = call("status", "--results", tmp_path / "results")[1]
    return out.partition("next: ")[2]


def test_the_next_command_gives_the_options_by_which_the_study_was_begun(tmp_path):
    smoke = study_files.load_study("smoke")
    begun = replace(smoke, trials=smoke.trials + 1, search_repeats=2, diagnostics=("nmi", "ami"))
    command = begun_as(tmp_path, begun)
    given = f"--trials {smoke.trials + 1} --search-repeats 2 --diagnostics nmi ami"
    assert f" --dataset glyphs --loss {smoke.losses[0]} " in command
    assert f" {given} --results {tmp_path / 'results'}  (it carries on)" in command


def test_the_next_command_of_a_study_as_its_file_has_it_gives_no_options(tmp_path):
    command = begun_as(tmp_path, study_files.load_study("smoke"))
    assert "--trials" not in command
    assert command.strip().endswith("(it carries on)")


def test_the_next_command_gives_no_trunk_where_the_features_have_theirs(tmp_path):
    study = replace(study_files.load_study("features"), trunk=f"{FEATURES}1280", weights="theirs")
    command = begun_as(tmp_path, study)
    assert "--trunk" not in command
    assert "--weights" not in command


def test_the_next_command_says_so_where_the_study_has_no_file_to_compare_with(where):
    out = call("status", "--results", where.parents[1])[1]
    assert "studies/tiny.py cannot be read: give the options that you gave before" in out


def test_the_next_command_names_a_baseline_where_nothing_else_is_unfinished(tmp_path):
    write_records(tmp_path / "results", "made", {"done": scored("done", [0.5] * 3)})
    (tmp_path / "results" / "tiny" / "made" / "untrained.jsonl").touch()
    out = call("status", "--results", tmp_path / "results")[1]
    assert "next: python -m harness study --study tiny --dataset made --loss untrained " in out


def test_the_next_command_never_has_an_option_without_a_value(tmp_path, monkeypatch):
    smoke = study_files.load_study("smoke")
    declared = replace(smoke, diagnostics=("nmi",))
    monkeypatch.setattr(study_files, "declared", lambda _: declared)
    command = begun_as(tmp_path, replace(smoke, trials=9))
    assert "--trials 9 --results" in command
    assert "--diagnostics" not in command


def test_the_next_command_reads_the_dataset_as_the_study_did(tmp_path):
    """What per_dataset says of glyphs holds for every spelling of it."""
    smoke = study_files.load_study("smoke").for_dataset("glyphs")
    where = tmp_path / "results" / "smoke" / "glyphs+skip_bad"
    folder.create(where)
    folder.admit(where, folder.describe(smoke, "glyphs+skip_bad", "glyphs", "x"))
    command = call("status", "--results", tmp_path / "results")[1].partition("next: ")[2]
    assert "--trunk" not in command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--loss", "nobodys"), "nobodys"),
        (("--watch", "--port", "99999"), "99999 is no port; 0 to 65535 are"),
        (("--watch", "--port", "-1"), "-1 is no port; 0 to 65535 are"),
    ],
)
def test_a_loss_or_a_port_that_there_is_not_is_refused_in_one_line(where, words, said):
    code, out, err = call("status", "--results", where.parents[1], *words)
    assert (code, out) == (2, "")
    assert said in err


def test_before_the_first_record_of_a_loss_it_is_the_one_that_was_begun(tmp_path):
    """The untrained trunk comes first; the study's file has other losses."""
    where = tmp_path / "results" / "tiny" / "made"
    study = replace(STUDY, losses=("warped",))
    folder.create(where)
    folder.admit(where, folder.describe(study, "made", "made", "x"))
    with folder.hold(where / "untrained.jsonl"), folder.hold(where / "contrastive.jsonl"):
        pass
    (where / "untrained.jsonl").touch()
    assert set(states(where)) == {"contrastive", "untrained"}
