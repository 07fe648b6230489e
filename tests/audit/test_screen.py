"""The audit on a terminal: what is wrong, on one screen."""

from __future__ import annotations

import pytest

from harness.audit import screen
from harness.commands import terminal
from tests.made import call


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (200, 40)])
def test_it_fits_the_screen_and_the_contradicted_come_first(findings, width, height):
    lines = screen.lines(findings, width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    verdicts = [line.split(":")[0] for line in lines if line.startswith("* ")]
    assert verdicts[0] == "* contradicted"
    assert {"* contradicted", "* suspicious"} <= set(verdicts)
    assert lines[-1].startswith("--format markdown prints the whole report")


def test_what_one_kind_leaves_free_the_other_takes():
    assert screen.shares([13, 7], 10) == [5, 5]
    assert screen.shares([13, 2], 10) == [8, 2]
    assert screen.shares([1, 20], 10) == [1, 9]
    assert screen.shares([0, 0], 10) == [0, 0]
    assert screen.shares([9, 9], -3) == [screen.LEAST, screen.LEAST]


def test_where_nothing_is_wrong_the_screen_says_so():
    assert "Nothing is wrong, by these checks." in screen.lines([], width=80, height=24)


def test_a_terminal_gets_the_screen_and_a_pipe_the_report(monkeypatch, tmp_path):
    words = ("audit", "--paper", "2408.15656", "--results", tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    assert call(*words)[1].count("\n") < 30
    assert call(*words, "--format", "markdown")[1].startswith("# Audit of published claims")
