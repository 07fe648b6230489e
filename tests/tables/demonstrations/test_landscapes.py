"""The page of `landscapes`: its verdicts follow the numbers, its figure is written whole."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.measure.landscapes import Minima, Valley
from harness.schema import Problem
from harness.tables.demonstrations import landscapes, landscapes_figure, landscapes_text

SIZES = {"distance": 2.0, "alpha": 2.0, "k1": 0.5, "k2": 1.5, "starts": 4, "seed": 0}


@pytest.fixture(scope="module")
def numbers():
    return landscapes.compute(**SIZES, functions=5, pairs=5)


def verdicts(numbers) -> list[str]:
    return [one.verdict for one in landscapes_text.statements(numbers)]


def test_every_finding_of_the_paper_holds(numbers):
    assert verdicts(numbers) == ["agrees"] * 4
    assert all(case.agrees for case in numbers.cases)


@pytest.mark.parametrize(
    ("change", "disagreeing"),
    [
        (lambda n: replace(n, keep_lemma=n.functions - 1), [0]),
        (lambda n: replace(n, break_lemma=n.functions - 1), [0]),
        (lambda n: replace(n, off_line=None), [0]),
        (lambda n: replace(n, reversals=replace(n.reversals, lowest=n.reversals.lowest - 1)), [1]),
        (lambda n: replace(n, reversals=replace(n.reversals, ended=n.reversals.ended + 1)), [1]),
    ],
)
def test_one_exception_is_enough_to_disagree(numbers, change, disagreeing):
    expected = ["disagrees" if i in disagreeing else "agrees" for i in range(4)]
    # a search of the one pair may flee; one that ended where the order says decides
    sure = replace(numbers, reversals=type(numbers.reversals)(3, 3, 2, 2, 1))
    assert verdicts(sure) == ["agrees"] * 4
    assert verdicts(change(sure)) == expected


@pytest.mark.parametrize(
    ("valleys", "places", "fled"),
    [
        ((Valley(2.0, 2.0),), [[3.1, 0.0]], 0),  # elsewhere on the line
        ((Valley(2.0, 2.0),), [[3.0, 0.1]], 0),  # off it
        ((Valley(2.0, 2.0),), [], 4),  # none
        ((Valley(2.1, 2.1),), [[3.0, 0.0]], 0),  # the order says another place
        ((), [[3.0, 0.0]], 0),
        ((Valley(2.0, 2.0), Valley(math.inf, math.inf)), [[3.0, 0.0]], 0),  # one too many
    ],
)
def test_a_minimum_elsewhere_is_marked_in_the_table_and_changes_two_verdicts(
    numbers, valleys, places, fled
):
    place = next(i for i, case in enumerate(numbers.cases) if case.name.startswith("warp"))
    minima = Minima(np.array(places).reshape(-1, 2), fled)
    wrong = replace(numbers.cases[place], valleys=valleys, minima=minima)
    changed = replace(numbers, cases=(*numbers.cases[:place], wrong, *numbers.cases[place + 1 :]))
    assert verdicts(changed)[2:] == ["disagrees", "disagrees"]
    page = landscapes_text.text(changed, "Code: x.", "markdown")
    assert "| NO " in next(
        line for line in page.splitlines() if line.startswith("| warp (Fig. 3d)")
    )


def test_the_page_names_seed_code_and_the_minima_among_four_proxies(numbers):
    page = landscapes_text.text(numbers, "Code: abc.", "markdown")
    assert page.endswith("Seed 0. Code: abc.\n")
    assert "warp, k1 = 0.5: 2.000 outward from the proxy" in page
    assert "warp, k1 = 0.93, k2 = 1.15: the proxy" in page
    assert "1.000 for 2, 0.866 for 3, 0.816 for 4" in page
    rows = landscapes_text.as_data(numbers, "Code: abc.")["rows"]
    assert [row["by the order of derivatives"] for row in rows] == [
        "all t from 0 on",
        "at infinity",
        "t = 0",
        "t = 2",
        "all t from 2 on",
        "at infinity",
        "all t from 0 to 2",
        "t = 0",
    ]


def test_the_same_seed_gives_the_same_page_and_another_one_other_draws():
    first, again, other = (
        landscapes_text.text(
            landscapes.compute(**{**SIZES, "seed": seed, "starts": 1}, functions=1, pairs=1),
            "",
            "csv",
        )
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_the_figure_is_written(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(landscapes_figure, "GRID", 21)
    landscapes_figure.draw(numbers, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("wrong", [{"k1": 1.2}, {"k2": 0.9}, {"alpha": 0.0}, {"distance": -1.0}])
def test_what_is_no_warp_is_refused(wrong):
    with pytest.raises(Problem, match="0 < k1 < 1 < k2"):
        landscapes.compute(**{**SIZES, **wrong}, functions=1, pairs=1)
