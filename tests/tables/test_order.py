"""What the order of the losses goes with: each tau against scipy's, the command's every form."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from harness.tables import metrics, order, order_text, table, years_figure
from harness.tables.years_figure import spread
from tests.made import STUDY, call, finished_with, write_records

YEARS = {"contrastive": 2006, "triplet": 2015, "margin": 2017, "cosface": 2018, "warped": 2024}
SCORES = {
    "one": dict(zip(YEARS, [0.30, 0.20, 0.25, 0.35, 0.40], strict=True)),
    "two": dict(zip(YEARS, [0.10, 0.50, 0.40, 0.30, 0.20], strict=True)),
}


def by_loss_of(scores):
    return {
        loss: finished_with(loss, [score - 0.01, score, score + 0.01])
        for loss, score in scores.items()
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of a study on two datasets, mean scores as in SCORES, beside a loss with no file."""
    root = tmp_path_factory.mktemp("results")
    for dataset, scores in SCORES.items():
        write_records(root, dataset, by_loss_of({**scores, "somebodys": 0.15}))
    return root


def rows_of(results, *words):
    code, out, _ = call("order", "--results", results, "--json", *words)
    assert code == 0
    return {(row["dataset"], row["beside"]): row for row in json.loads(out)["rows"]}


def test_every_tau_is_scipys_over_the_losses_that_have_both_values(results):
    rows = rows_of(results)
    one = list(SCORES["one"].values())
    year = rows["one", "year of publication"]
    expected = kendalltau(one, list(YEARS.values()))
    assert (year["tau"], year["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    assert year["losses"] == len(YEARS)  # a loss without a file has no year
    other = rows["one", "complete MAP@R on two"]
    expected = kendalltau([*one, 0.15], [*SCORES["two"].values(), 0.15])
    assert other["tau"] == pytest.approx(expected.statistic)
    assert other["losses"] == len(YEARS) + 1
    assert rows["two", "complete MAP@R on one"]["tau"] == pytest.approx(other["tau"])
    assert rows["one", "ensemble MAP@R"]["tau"] == pytest.approx(1)
    assert rows["one", "ensemble MAP@R"]["low"] is None


def test_p_is_corrected_over_the_lines_of_a_table(results):
    rows = [row for (dataset, _), row in rows_of(results).items() if dataset == "one"]
    tested = sorted((row for row in rows if row["p"] is not None), key=lambda row: row["p"])
    assert len(tested) > 3
    assert tested[0]["p_holm"] == pytest.approx(min(1, tested[0]["p"] * len(tested)))
    assert all(row["p_holm"] >= row["p"] for row in tested)
    untested = [row for row in rows if row["p"] is None]
    assert {row["in_words"] for row in untested} == {
        "no correlation: fewer than 5 losses, or one value for all"
    }


def test_the_selection_says_which_losses_and_datasets_take_part(results):
    rows = rows_of(results, "--dataset", "one")
    assert ("one", "complete MAP@R on two") not in rows
    rows = rows_of(results, "--loss", *list(YEARS)[:4], "somebodys")
    assert rows["one", "complete MAP@R on two"]["losses"] == len(YEARS)
    assert rows["one", "year of publication"]["tau"] is None  # one of them has no year


def test_the_better_score_counts_as_the_higher_one_where_lower_ones_are_better():
    lower = metrics.Metric("map_at_r", "MAP@R", better="lower")
    made = table.table(STUDY, "one", by_loss_of(SCORES["one"]), metrics=["map_at_r"])
    rising = dict.fromkeys(SCORES["one"], 0.0) | SCORES["one"]
    higher_is_better = order.order(made, "complete", made.metrics[0], beside={"x": rising})
    lower_is_better = order.order(made, "complete", lower, beside={"x": rising})
    assert higher_is_better.line("x").correlation.tau == pytest.approx(1)
    assert lower_is_better.line("x").correlation.tau == pytest.approx(-1)
    assert higher_is_better.losses == lower_is_better.losses[::-1]


def test_a_mean_of_survivors_has_no_place_in_the_order():
    by_loss = by_loss_of(SCORES["one"])
    by_loss["margin"] = [
        replace(record, failure="Diverged: made up", scores={})
        if (record.stage, record.repeat) == ("complete", 1)
        else record
        for record in by_loss["margin"]
    ]
    made = table.table(STUDY, "one", by_loss)
    found = order.order(made, "complete", made.metrics[0], beside={})
    assert "margin" not in found.losses
    assert found.left_out == ("margin",)
    assert "for repeats failed or are still to be run: margin." in order_text.caption(found)


def test_a_loss_with_fewer_repeats_than_the_others_has_no_place_in_the_order_yet():
    by_loss = by_loss_of(SCORES["one"])
    by_loss["margin"] = [
        record
        for record in by_loss["margin"]
        if (record.stage, record.repeat) != ("complete", STUDY.repeats - 1)
    ]
    made = table.table(STUDY, "one", by_loss)
    found = order.order(made, "complete", made.metrics[0], beside={})
    assert found.left_out == ("margin",)
    caption = order_text.caption(found)
    assert (
        "Left out in one of study tiny, for repeats failed or are still to be run: mar" in caption
    )
    cells = {row.loss: row.cells["complete", "map_at_r"] for row in made.rows}
    assert {len(cells[loss].scores) for loss in found.losses} == {STUDY.repeats}


def test_variants_of_one_loss_are_no_sample_of_losses_and_have_no_test():
    variants = {"margin": {"loss": "triplet", "params": {}}}
    study = replace(STUDY, variants=variants)
    made = table.table(study, "one", by_loss_of(SCORES["one"]))
    found = order.order(made, "complete", made.metrics[0], beside={"x": SCORES["one"]})
    assert found.line("x").correlation.tau == pytest.approx(1)
    assert {line.p_holm for line in found.lines} == {None}
    text = order_text.markdown(found)
    assert "variants of one loss, and no sample of losses" in text
    assert "| not tested" in text
    assert {row[name] for row in order_text.as_data(found) for name in ("low", "p")} == {None}
    assert " to " not in text.split("\n\n")[1]  # no interval in the table


def test_labels_stand_in_the_order_of_their_points_where_lower_ones_are_better(monkeypatch):
    heights = []
    monkeypatch.setattr(years_figure, "spread", lambda means, gap: heights.append(means) or means)
    lower = metrics.Metric("map_at_r", "MAP@R", better="lower")
    made = table.table(STUDY, "one", by_loss_of(SCORES["one"]), metrics=["map_at_r"])
    one_year = dict.fromkeys(YEARS, 2020.0) | {"margin": 2021.0}
    found = order.order(made, "complete", lower, beside={order.YEAR: one_year})
    canvas = years_figure.years_figure(found, made, dict.fromkeys(YEARS, "pair"))
    assert all(column == sorted(column, reverse=True) for column in heights)
    assert "lower values, which are better" in canvas.get_suptitle()


def test_markdown_csv_and_words(results):
    code, out, err = call("order", "--results", results, "--dataset", "one")
    assert (code, err) == (0, "")
    assert "## 6 losses by complete MAP@R, one, study tiny" in out
    assert "| year of publication | 5 " in out
    assert "goes with the order" in out
    assert "tau is 1 for the same order" in out
    code, out, _ = call("order", "--results", results, "--format", "csv")
    body = [line for line in out.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(body))))
    assert {row["dataset"] for row in rows} == {"one", "two"}


def test_the_figure_has_a_column_for_each_year_and_names_every_loss(results, tmp_path):
    import matplotlib

    path = tmp_path / "years.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        code, _, _ = call("order", "--results", results, "--dataset", "one", "--figure", path)
    assert code == 0
    text = path.read_text()
    for words in (*YEARS, *map(str, YEARS.values()), "n = 5", "study tiny"):
        assert words in text
    assert "somebodys" not in text  # it has no year


def test_what_cannot_be_ordered_or_drawn_is_refused_in_one_line(results, tmp_path):
    path = tmp_path / "x.png"
    for words, said in (
        (("--figure", path), "--figure draws one dataset of one study, not one of "),
        (("--metric", "spectral_decay"), "neither higher nor lower is better"),
        (
            ("--metric", "uniformity"),
            "no loss has a score in the category complete with uniformity",
        ),
        (("--category", "best"), "best"),
        (("--loss", "nobodys"), "nobodys"),
    ):
        code, out, err = call("order", "--results", results, *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
    assert not path.exists()


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.floats(0.1, 10))
def test_labels_lie_apart_keep_their_order_and_move_only_where_they_must(heights, gap):
    heights = sorted(heights, reverse=True)
    moved = spread(heights, gap)
    for above, below in itertools.pairwise(moved):
        assert above - below >= gap - 1e-6
    assert sum(moved) == pytest.approx(sum(heights), abs=1e-6)
    apart = [-2 * gap * place for place in range(len(heights))]
    assert spread(apart, gap) == pytest.approx(apart)


def test_a_line_without_a_test_says_why():
    assert order_text.in_words(order.Line("x", {}, None)).startswith("no correlation")


@given(st.lists(st.floats(0, 1), max_size=9), st.floats(0.01, 0.3))
def test_dots_that_follow_each_other_closely_stand_side_by_side(heights, gap):
    heights.sort(reverse=True)
    shifts = years_figure.aside(heights, gap)
    assert len(shifts) == len(heights)
    for i, (above, below) in enumerate(itertools.pairwise(heights)):
        if above - below < gap:
            assert shifts[i] != shifts[i + 1]
        else:
            assert shifts[i + 1] == 0
    assert min(shifts, default=0) >= -2 * years_figure.STEP > -0.5  # within the column of the year
