"""How time and memory grow: points, exponents and what is said of them, at small sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import cli
from harness.commands.bench import growth, table
from harness.commands.bench.growth import Curve, Point
from studies.smoke import STUDY as SMOKE
from tests.made import call


def points(*seconds: float) -> tuple[Point, ...]:
    return tuple(Point(10**i, value, 2.0**i) for i, value in enumerate(seconds, 1))


def test_an_exponent_is_the_slope_of_the_last_step_and_of_next_to_nothing_there_is_none():
    assert growth.exponent(points(5, 1, 10), "seconds") == pytest.approx(1)
    assert growth.exponent(points(1, 1, 100), "seconds") == pytest.approx(2)
    assert growth.exponent(points(1, 1, 1), "megabytes") == pytest.approx(0.30103, abs=1e-5)
    assert growth.exponent(points(0.001, 0.002, 0.04), "seconds") is None


def test_what_grows_faster_than_it_should_is_named():
    slow = Curve("a", "a slow one", "images", (10, 100, 1000))
    fast = Curve("b", "a fast one", "images", (10, 100, 1000))
    shown = list(growth.lines({slow: points(1, 2, 40), fast: points(1, 2, 20)}))
    assert shown[-1] == "Grows faster than it should: a slow one."
    assert "| a fast one | images: 10, 100, 1,000 | 1, 2, 20 | 1.00 | 2, 4, 8 | 0.30 |" in shown
    assert "No time grows faster" in list(growth.lines({fast: points(1, 2, 20)}))[-1]
    allowed = replace(slow, most=2.1)
    assert "No time grows faster" in list(growth.lines({allowed: points(1, 2, 40)}))[-1]


@pytest.mark.parametrize("name", growth.COMMANDS)
def test_a_command_is_timed_on_a_whole_study_of_so_many_losses(name, tmp_path, monkeypatch):
    small = replace(growth.APPENDIX_D, trials=2, repeats=2)
    monkeypatch.setattr(growth, "APPENDIX_D", small)
    growth.make_records(tmp_path / "2", 2)
    made = sorted((tmp_path / "2" / "appendix_d" / "glyphs").glob("*.jsonl"))
    assert len(made) == 2
    point = growth.point_of(cli.main, name, 2, tmp_path)
    assert (point.size, point.seconds > 0, point.megabytes >= 1) == (2, True, True)


@pytest.mark.parametrize("name", sorted(growth.WORK))
def test_every_other_curve_has_its_points(name, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "STUDY", replace(SMOKE, per_dataset={}))
    monkeypatch.setattr(table, "RUNS", 18)
    assert growth.point_of(cli.main, name, 1200, tmp_path).size == 1200


def test_the_command_prints_the_curves_and_draws_them(tmp_path, monkeypatch):
    curve = Curve("images", "folds and an epoch's batches", "images", (1200, 2400))
    monkeypatch.setattr(growth.measure, "__defaults__", ((curve,),))
    code, out, err = call("bench", "--growth", "--figure", tmp_path / "growth.png")
    assert (code, "drawn" in err) == (0, True)
    assert out.startswith("| what | grows with |")
    assert (tmp_path / "growth.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--figure", "x.png"), "--figure is no option of plain bench; give it with --growth"),
        (("--growth", "--rounds", "3"), "--rounds is no option of --growth; give it with plain "),
        (("--growth", "--device", "cpu"), "--device is no option of --growth; give it with plain "),
        (("--batches", "--runs", "3"), "--runs is no option of --batches; give it with --engines"),
        (("--slurm", "x"), "--slurm is no option of plain bench; give it with --engines"),
        (("--growth", "--figure", "x.txt"), "x.txt"),
        (("--growth", "--batches"), "measure different things"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message):
    code, _, err = call("bench", *words)
    assert code == 2
    assert message in err
