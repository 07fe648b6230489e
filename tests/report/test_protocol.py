"""The picture of what a study does: its numbers are the study's, and a command draws it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from harness.report import protocol
from harness.schema import Problem
from studies.appendix_d import STUDY
from studies.function_ablation import STUDY as WITHOUT_SEARCH
from tests.made import call

TIMES = "\N{MULTIPLICATION SIGN}"


def words_of(study) -> str:
    (panel,) = protocol.figure(study).axes
    return " ".join(text.get_text() for text in panel.texts)


def test_it_says_the_numbers_of_the_study():
    words = words_of(STUDY)
    assert f"Search: 50 trials {TIMES} 4 folds" in words
    assert "10 repeats" in words
    assert "250 trainings for each loss" in words
    assert "joined, 512-d" in words


def test_another_study_has_other_numbers():
    words = words_of(replace(STUDY, trials=20, folds=3, repeats=5, dim=64, complete_dim=256))
    assert f"Search: 20 trials {TIMES} 3 folds" in words
    assert "fold 3" in words
    assert "fold 4" not in words
    assert "80 trainings for each loss" in words
    assert "joined, 192-d" in words
    assert "them all, 256-d" in words


def test_a_study_without_a_search_is_refused():
    with pytest.raises(Problem, match="function_ablation"):
        protocol.figure(WITHOUT_SEARCH)


def test_the_command_draws_it_without_records(tmp_path):
    path = tmp_path / "protocol.png"
    code, out, err = call("report", "--protocol", "appendix_d", "--output", path)
    assert (code, err) == (0, "")
    assert str(path) in out
    with Image.open(path) as image:
        assert image.width == 1200


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("appendix_e",), "did you mean 'appendix_d'?"),
        (("appendix_d", "--output", "page.html"), "it must end in .png, .pdf or .svg"),
        (
            ("appendix_d", "--watch"),
            "--watch is of records, and --protocol appendix_d draws a study",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(words, said):
    code, out, err = call("report", "--output", "x.png", "--protocol", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
