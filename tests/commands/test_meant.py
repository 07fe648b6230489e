"""A misspelt word anywhere on the command line: one line that asks what was meant."""

from __future__ import annotations

import json

import pytest

from harness.data import datasets, named_options
from harness.files import meant_path
from harness.records import folder
from harness.schema import Problem, Study
from tests.made import STUDY, call, scored, write_records


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["tabel"], "did you mean 'table'?"),
        (["table", "--datset", "glyphs"], "did you mean '--dataset'?"),
        (["table", "--format", "markdwon"], "did you mean 'markdown'?"),
        (["data", "lsit"], "did you mean 'list'?"),
        (["studies", "dmo"], "did you mean 'demo'?"),
    ],
)
def test_commands_options_and_choices(words, question):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert question in err
    assert "--help` says what there is" in err or "known: " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("fields", "question"),
    [
        ({"per_dataset": {"cub": {"trails": 3}}}, "did you mean 'trials'?"),
        (
            {"variants": {"cold": {"loss": "warped", "fields": {"loss_rl": 1.0}}}},
            "did you mean 'loss_lr'?",
        ),
        ({"diagnostics": ("uniformty",)}, "did you mean 'uniformity'?"),
    ],
)
def test_fields_of_a_study(fields, question):
    with pytest.raises(Problem) as caught:
        Study(name="mine", **fields)
    assert question.replace("?", "") in str(caught.value)


def test_a_path_without_its_prefix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    assert named_options.form_of_path("birds/") == "folder:birds/"
    assert named_options.form_of_path("birds") == "folder:birds"
    assert named_options.form_of_path("birds.csv") == "table:birds.csv"
    assert named_options.form_of_path("birds.npz") == "features:birds.npz"
    assert named_options.form_of_path("/") == "folder:/"
    assert named_options.form_of_path("cub") is None
    for words in (["study", "--dataset"], ["data", "verify"]):
        code, _, err = call(*words, "birds/")
        assert (code, "did you mean 'folder:birds/'?" in err) == (2, True)
    with pytest.raises(Problem, match="did you mean 'glyphs'"):
        datasets.known("glyphes")


def test_a_path_with_a_letter_wrong(tmp_path):
    (tmp_path / "birds").mkdir()
    assert meant_path(tmp_path / "brids") == f" did you mean {str(tmp_path / 'birds')!r}?"
    for path in (tmp_path / "birds", tmp_path / "z", tmp_path / "no" / "birds"):
        assert meant_path(path) == ""
    code, _, err = call("data", "verify", f"folder:{tmp_path / 'brids'}", "--data", tmp_path)
    assert (code, f"did you mean '{tmp_path}/birds'?" in err) == (2, True)
    code, _, err = call("status", "--results", tmp_path / "brids")
    assert (code, f"did you mean '{tmp_path}/birds'?" in err) == (2, True)


def test_records_of_a_folder_are_asked_for_by_its_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    results = tmp_path / "results"
    write_records(results, "made", {"a": scored("a", [0.5] * 3)})
    where = folder.folder_of(results, STUDY.name, "folder:birds")
    (results / STUDY.name / "made").rename(where)
    code, _, err = call("table", "--results", results, "--dataset", "birds")
    assert (code, "did you mean 'folder:birds'?" in err) == (2, True)
    assert call("table", "--results", results, "--dataset", "folder:birds")[0] == 0


def test_a_dataset_that_lies_there_in_part_is_listed_in_three_words(tmp_path):
    (tmp_path / "cub" / "left").mkdir(parents=True)
    out = call("data", "list", "--data", tmp_path)[1]
    (line,) = [line for line in out.splitlines() if line.startswith("cub: ")]
    assert line.endswith("; here: not whole (`data verify cub` says why)")
    rows = {row["name"]: row for row in json.loads(call("data", "list", "--json")[1])}
    assert rows["glyphs"]["here"] == "whole"
