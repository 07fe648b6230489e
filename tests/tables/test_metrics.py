"""Tables and comparisons of recall and diagnostics: values, directions, marks, what is missing."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from harness.schema import DIAGNOSTICS, Problem
from harness.tables import figure, metrics, pairs, pairs_text, table_text
from harness.tables import table as tables
from harness.tables.metrics import metric
from tests.made import MADE, STUDY, call, scored, write_records

SPREAD = (0.001, 0.002, 0.004)  # over the three repeats of STUDY


def described(loss: str, value: float, of: str = "uniformity", map_at_r: float = 0.3):
    """A finished study whose diagnostic is about `value`, and whose MAP@R about `map_at_r`."""
    records = scored(loss, [map_at_r + share for share in SPREAD])
    return [
        record
        if record.repeat is None
        else replace(record, diagnostics={of: value * (1 + SPREAD[record.repeat])}, provenance=MADE)
        for record in records
    ]


BY_LOSS = {"even": described("even", -3.0), "lumpy": described("lumpy", -1.0, map_at_r=0.5)}


def made(names, by_loss=BY_LOSS):
    return tables.table(STUDY, "made", by_loss, metrics=names)


def test_of_a_diagnostic_whose_lower_values_are_better_the_lowest_is_best_and_first():
    table = made(["uniformity", "map_at_r"])
    assert [row.loss for row in table.rows] == ["even", "lumpy"]
    even, lumpy = table.rows
    assert even.cells["complete", "uniformity"].best
    assert not lumpy.cells["complete", "uniformity"].tied_with_best
    assert lumpy.cells["complete", "map_at_r"].best
    assert (even.cells["complete", "uniformity"].ranks) == (1, 1)


def test_values_that_are_no_shares_are_not_printed_in_percent():
    table = made(["uniformity"])
    text = table_text.markdown(table)
    assert "**-3.007 (-3.003; -3.006; -3.012)** a" in text
    assert "(uniformity as they are)" in text
    assert "Lower is better: uniformity." in text
    assert r"$-3.007$" in table_text.latex(table)
    rows = list(
        csv.DictReader(
            line for line in io.StringIO(table_text.comma_separated(table)) if line[0] != "#"
        )
    )
    assert float(rows[0]["mean"]) == pytest.approx(-3 * (1 + sum(SPREAD) / 3), abs=1e-6)
    assert rows[0]["repeats_for_1_point"] == ""
    cell = table_text.as_data(table)["rows"][0]["cells"][0]
    assert cell["mean"] == pytest.approx(-3 * (1 + sum(SPREAD) / 3))


def test_where_neither_direction_is_better_there_is_no_best_and_no_test():
    by_loss = {name: described(name, 2.0 + i, "spectral_decay") for i, name in enumerate("ab")}
    table = made(["spectral_decay"], by_loss)
    cells = [cell for row in table.rows for cell in row.cells.values()]
    assert not any(cell.best or cell.tied_with_best or cell.group or cell.ranks for cell in cells)
    text = table_text.markdown(table)
    assert "**" not in text
    assert "so no best and no test: spectral decay" in text


def test_runs_without_the_diagnostic_are_counted_and_have_no_value():
    some = [
        replace(r, diagnostics=None) if (r.stage, r.repeat) == ("complete", 2) else r
        for r in BY_LOSS["even"]
    ]
    table = made(["uniformity"], {"even": some, "plain": scored("plain", [0.3, 0.4, 0.5])})
    even, plain = table.rows
    assert sorted(even.cells["complete", "uniformity"].scores) == [0, 1]
    assert len(even.cells["aggregate", "uniformity"].scores) == 3
    assert not any(cell.scores for cell in plain.cells.values())
    runs = STUDY.repeats * (STUDY.folds + 2)
    assert f"NO uniformity recorded: even 1 of {runs} runs, plain {runs} of {runs} runs" in (
        table_text.caption(table)
    )


def test_a_fold_without_it_leaves_its_repeat_without_an_aggregate():
    some = [
        replace(r, diagnostics=None) if (r.stage, r.repeat, r.fold) == ("repeat", 1, 2) else r
        for r in BY_LOSS["even"]
    ]
    cells = made(["uniformity"], {"even": some}).rows[0].cells
    assert sorted(cells["aggregate", "uniformity"].scores) == [0, 2]


def test_the_usual_table_is_as_it_was_and_says_nothing_of_diagnostics():
    plain = {loss: [replace(r, diagnostics=None) for r in rs] for loss, rs in BY_LOSS.items()}
    assert table_text.markdown(made(None)) == table_text.markdown(made(None, plain))
    assert [m.name for m in made(None).metrics] == list(tables.METRICS)


def test_pairs_go_by_the_better_direction_in_the_unit_of_the_metric():
    comparison = pairs.compare(
        STUDY, "made", BY_LOSS, category="complete", metric="uniformity", difference=0.5
    )
    (pair,) = comparison.pairs
    assert (pair.a, pair.b) == ("even", "lumpy")
    assert pair.paired.mean == pytest.approx(-2 * (1 + sum(SPREAD) / 3))
    assert pair.improvement.mean == 1  # even is ahead in every pair of runs
    text = pairs_text.markdown(comparison)
    assert "a the better (lower) of the two means" in text
    assert "| -2.005" in text
    assert "D = 0.5," in text


def test_every_diagnostic_is_a_metric_under_its_printed_name():
    assert [metric(name).title for name in DIAGNOSTICS] == [d.title for d in DIAGNOSTICS.values()]


def test_recall_is_a_metric_of_any_k_and_other_names_are_refused_with_the_known_ones():
    assert metric("recall_at_8").title == "R@8"
    for wrong in ("recall_at_0", "recall_at_", "nni"):
        with pytest.raises(Problem, match=f"no metric '{wrong}'.*known: map_at_r"):
            metric(wrong)
    assert [m.name for m in metrics.metrics(["nmi", "nmi"])] == ["nmi"]


def test_the_commands_take_metrics_and_say_what_is_wrong_in_one_line(tmp_path):
    results = tmp_path / "results"
    for dataset in ("one", "two"):
        write_records(results, dataset, BY_LOSS)
    words = ["--results", results, "--dataset", "one"]
    code, out, err = call("table", *words, "--metrics", "uniformity", "--json")
    assert (code, err) == (0, "")
    (row, _) = json.loads(out)["rows"]
    assert row["cells"][0]["values"] == {str(r): -3 * (1 + SPREAD[r]) for r in range(3)}
    code, out, err = call("compare", "--results", results, "--metric", "uniformity")
    assert (code, err) == (0, "")
    assert re.search(r"\| even +\| 1\.00 ", out)
    code, out, err = call("compare", "--results", results, "--metric", "nmi")
    assert code == 2
    assert "no complete run of study tiny was recorded with NMI; give another --metric" in err
    code, _, err = call("table", *words, "--metrics", "uniformty")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'uniformity'" in err
    code, _, err = call("table", *words, "--metrics", "nmi", "--uncertainty")
    assert code == 2
    assert "leave --metrics out" in err


def test_the_figure_shows_the_first_metric(tmp_path):
    figure.draw_table(made(["uniformity"]), tmp_path / "table.svg")
    assert "<svg" in (tmp_path / "table.svg").read_text()
