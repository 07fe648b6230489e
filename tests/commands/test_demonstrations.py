"""`study` with studies that leave no records: their page, their options, their mistakes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import studies.landscapes
import studies.toy_embedding
from harness.commands import demonstrations
from harness.schema import Demonstration, Problem
from harness.tables.demonstrations import landscapes, landscapes_figure
from tests.made import call, images

LANDSCAPES, TOY = studies.landscapes.STUDY, studies.toy_embedding.STUDY


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Both studies at sizes of seconds."""
    monkeypatch.setattr(landscapes_figure, "GRID", 21)
    values = {**LANDSCAPES.values, "starts": 2, "functions": 3, "pairs": 5}
    monkeypatch.setattr(studies.landscapes, "STUDY", replace(LANDSCAPES, values=values))
    values = {**TOY.values, "classes": 3, "epochs": 2, "repeats": 2}
    training = replace(TOY.training, classes_per_batch=3, images_per_class=2)
    small_toy = replace(TOY, values=values, training=training)
    monkeypatch.setattr(studies.toy_embedding, "STUDY", small_toy)


def test_landscapes_prints_its_page_and_draws_its_figure_and_leaves_no_records(tmp_path):
    figure, results = tmp_path / "x.svg", tmp_path / "results"
    code, out, err = call(
        "study", "--study", "landscapes", "--figure", figure, "--results", results
    )
    assert (code, err) == (0, "")
    assert "| warp (Fig. 3d)" in out
    assert "Of 4 findings of the paper: 4 agree." in out
    assert "\nSeed 0. Code: " in out
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_landscapes_is_one_json_object(tmp_path):
    _, out, _ = call("study", "--study", "landscapes", "--json")
    data = json.loads(out)
    assert (data["event"], data["study"], len(data["rows"])) == ("table", "landscapes", 8)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--dataset", "glyphs"], "has no use for --dataset: leave it out"),
        (["--loss", "warped", "--trials", 3], "has no use for --loss, --trials: leave them out"),
        (["--figure", "x.gif"], "must end in .png"),
    ],
)
def test_an_option_that_landscapes_cannot_use_is_one_line(words, expected):
    code, out, err = call("study", "--study", "landscapes", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err


def test_other_commands_say_where_a_demonstration_is_seen():
    code, _, err = call("losses", "--study", "landscapes")
    assert code == 2
    assert "see what it shows: python -m harness study --study landscapes" in err


def test_a_misspelt_value_of_a_demonstration_is_one_line_with_the_known_ones():
    wrong = replace(LANDSCAPES, values={**LANDSCAPES.values, "alhpa": 1.0})
    with pytest.raises(Problem, match=r"alhpa.*its values are distance, alpha, k1, k2"):
        demonstrations.computed(wrong, landscapes.compute)


def test_a_toy_embedding_is_the_same_again_and_touches_no_test_class(tmp_path):
    folder = images(tmp_path / "images", classes=8)
    words = ["study", "--study", "toy_embedding", "--dataset", f"folder:{folder}", "--json"]
    words += ["--data", tmp_path / "data", "--results", tmp_path / "results", "--device", "cpu"]
    code, out, err = call(*words, "--quiet", "--figure", tmp_path / "toy.png")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert [row["loss"] for row in data["rows"]] == list(TOY.values["variants"])
    assert all(len(row["separation"]) == 2 for row in data["rows"])
    assert "12 training images of 3 classes" in data["caption"]
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
    for path in sorted(folder.iterdir())[4:]:  # the test half: what they hold changes nothing
        for file in path.iterdir():
            file.write_bytes(next(folder.glob("class_00/0.png")).read_bytes())
    words[words.index("--data") + 1] = tmp_path / "data2"
    again = json.loads(call(*words, "--quiet")[1])
    assert again["rows"] == data["rows"]
    assert not (tmp_path / "results").exists()


def test_a_toy_embedding_of_too_many_classes_is_one_line(tmp_path, monkeypatch):
    folder = images(tmp_path / "images", classes=4)
    words = ["study", "--study", "toy_embedding", "--dataset", f"folder:{folder}"]
    code, _, err = call(*words, "--data", tmp_path / "data", "--device", "cpu", "--quiet")
    assert code == 2
    assert "classes = 3 of the 2 trainval classes: 2 to 2 can be taken" in err


def test_every_demonstration_has_a_page():
    assert {study.name for study in (LANDSCAPES, TOY)} == set(demonstrations.PAGES)
    assert all(isinstance(study, Demonstration) for study in (LANDSCAPES, TOY))
