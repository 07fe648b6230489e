"""Losses that --loss picks out of more: every output says that its tests know them alone."""

from __future__ import annotations

import shutil

import pytest

from harness.commands import terminal
from tests.made import STUDY, call, finished_with, play, write_records

SCORES = {"arcface": 0.5, "cosface": 0.49, "npair": 0.45, "triplet": 0.44, "warped": 0.3}
LINE = "CHOSEN: 2 of 5 losses with records, by --loss."


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    by_loss = {
        loss: finished_with(loss, [score - 0.012, score + shift, score + 0.01])
        for shift, (loss, score) in zip(
            (0.001, 0.0, 0.003, 0.001, 0.002), SCORES.items(), strict=True
        )
    }
    write_records(root, "made", by_loss)
    return root


def said(results, command, *words) -> str:
    code, out, err = call(command, "--results", results, *words)
    assert code == 0, err
    return out + err


TWO = ("--loss", "arcface", "cosface")


@pytest.mark.parametrize("form", [(), ("--format", "csv"), ("--json",)])
@pytest.mark.parametrize("command", ["table", "compare"])
def test_two_losses_of_five_are_said_to_be_chosen(results, command, form):
    assert LINE in said(results, command, *TWO, *form)
    assert "CHOSEN" not in said(results, command)
    assert "CHOSEN" not in said(results, command, "--loss", *SCORES)


def test_the_report_says_it_in_its_answer(results, tmp_path):
    said(results, "report", *TWO, "--output", tmp_path / "report.html")
    assert LINE in (tmp_path / "report.html").read_text().split("<table")[0]


@pytest.mark.parametrize("command", ["table", "compare"])
def test_a_terminal_says_it_once_and_names_a_torn_line_too(results, tmp_path, monkeypatch, command):
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "500")
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    with (tmp_path / STUDY.name / "made" / "arcface.jsonl").open("a") as file:
        file.write("{")
    text = said(tmp_path, command, *TWO)
    assert text.count("CHOSEN") == 1
    assert "is torn" in text


def test_a_comparison_of_one_loss_asks_for_a_second_one_and_of_no_run_for_more(results, tmp_path):
    code, _, err = call("compare", "--results", results, "--loss", "warped")
    assert code == 2
    assert "compare needs two losses on a dataset; of study tiny only warped is selected" in err
    write_records(tmp_path, "made", {"warped": finished_with("warped", [0.1, 0.2, 0.3])})
    code, _, err = call("compare", "--results", tmp_path)
    assert code == 2
    assert "only warped has records; run another one" in err


def test_an_order_of_fewer_than_five_losses_is_refused_with_how_many_there_are(results):
    code, out, err = call("order", "--results", results, *TWO)
    assert (code, out) == (2, "")
    assert "an order needs 5 losses with a score in the category complete; there are 2 on" in err


def test_scores_by_class_of_an_unfinished_study_are_wanting_because_it_is_unfinished(tmp_path):
    records = [r for r in play(lambda runs: runs[0], STUDY, "warped") if r.stage == "search"]
    write_records(tmp_path, "made", {"warped": records})
    code, out, err = call("table", "--uncertainty", "--results", tmp_path)
    assert (code, out) == (2, "")
    assert "no final run of a loss has ended (so far search" in err
