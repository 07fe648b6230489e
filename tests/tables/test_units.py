"""Text has scores in % and differences in points, data as shares of 1, and captions say which."""

from __future__ import annotations

import json
import re

import pytest

from harness.files import CHECKOUT
from harness.tables import robustness, verification
from tests.commands.test_pairs import made
from tests.made import call
from tests.tables.test_robustness import planted

DEMO = ("--results", CHECKOUT / "results" / "reference" / "demo")
PERCENT = re.compile(r"scores in %|differences in points|D = [\d.]+ points")
COMMANDS = (("table",), ("table", "--uncertainty"), ("compare",))


@pytest.mark.parametrize("words", COMMANDS)
def test_text_has_scores_in_percent(words):
    text = call(*words, *DEMO, "--format", "markdown")[1]
    assert PERCENT.search(text)
    assert "as shares of 1" not in text


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_data_has_scores_as_shares_of_1(words, form):
    as_json = ("--json",) if words[0] == "table" else ("--format", "json")
    out = call(*words, *DEMO, *(as_json if form == "json" else ("--format", form)))[1]
    assert "as shares of 1" in out
    assert not PERCENT.search(out)


def test_compare_says_its_difference_in_the_unit_of_its_numbers():
    words = ("compare", *DEMO, "--difference", "0.5")
    assert "further apart than D = 0.5 points" in call(*words, "--format", "markdown")[1]
    out = call(*words, "--format", "json")[1]
    assert "further apart than D = 0.005:" in out
    assert {pair["asked"] for pair in json.loads(out)["pairs"]} == {0.005}


def test_models_trained_again_say_in_which_unit_their_numbers_are():
    on_pairs, corrupted = made({"arcface": 0.9}), planted({})
    for module, scores in ((verification, on_pairs), (robustness, corrupted)):
        assert " in % " in module.text(scores, "Code: abc.")
        caption = module.as_data(scores, "Code: abc.")["caption"]
        assert "as shares of 1" in caption
        assert " in % " not in caption
