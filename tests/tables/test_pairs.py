"""Losses two by two and by ranks: each number against scipy's, and the command's every form."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

import harness
from harness.tables import pairs, pairs_text
from tests.made import STUDY, call, finished_with, scored, write_records

VALUES = {
    "one": {"a": [0.30, 0.33, 0.31], "b": [0.20, 0.24, 0.26], "c": [0.10, 0.12, 0.09]},
    "two": {"a": [0.50, 0.52, 0.55], "b": [0.51, 0.50, 0.52], "c": [0.30, 0.31, 0.33]},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of a study on two datasets, scores as in VALUES."""
    root = tmp_path_factory.mktemp("results")
    for dataset, losses in VALUES.items():
        by_loss = {loss: finished_with(loss, values) for loss, values in losses.items()}
        write_records(root, dataset, by_loss)
    return root


def test_every_pairs_numbers_are_scipys():
    values = VALUES["one"]
    by_loss = {loss: finished_with(loss, of_loss) for loss, of_loss in values.items()}
    comparison = pairs.compare(
        STUDY, "one", by_loss, category="complete", metric="map_at_r", difference=0.02
    )
    assert [(p.a, p.b) for p in comparison.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    p_values = []
    for pair in comparison.pairs:
        a, b = values[pair.a], values[pair.b]
        paired = scipy_stats.ttest_rel(a, b)
        unpaired = scipy_stats.ttest_ind(a, b, equal_var=False)
        p_values.append(paired.pvalue)
        assert pair.paired.mean == pytest.approx(np.mean(a) - np.mean(b))
        low = paired.confidence_interval(0.95).low
        assert pair.paired.mean - pair.paired.half_width == pytest.approx(low)
        low = unpaired.confidence_interval(0.95).low
        assert pair.welch.mean - pair.welch.half_width == pytest.approx(low)
        assert pair.sd == pytest.approx(np.std(np.subtract(a, b), ddof=1))
        wins = [(x > y) + (x == y) / 2 for x, y in itertools.product(a, b)]
        assert pair.improvement.mean == pytest.approx(np.mean(wins))
        for size, n in (
            (abs(pair.paired.mean), pair.repeats_for_this),
            (0.02, pair.repeats_for_difference),
        ):
            assert power(size, pair.sd, n) >= 0.8 - 1e-3
            assert n == 2 or power(size, pair.sd, n - 1) < 0.8 + 1e-3
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(np.sort(p_values) * [3, 2, 1]).clip(max=1)
    for place, i in enumerate(order):
        assert comparison.pairs[i].p_holm == pytest.approx(stepped[place])
    apart = sum(stepped <= 0.05)
    means = [np.mean(of_loss) for of_loss in values.values()]
    beyond = sum(abs(x - y) > 0.1 for x, y in itertools.combinations(means, 2))
    assert 0 < beyond < 3
    counted = pairs_text.caption(replace(comparison, difference=0.1))
    assert f"Pairs: 3; with a test: 3; told apart by it: {apart}; " in counted
    assert f"further apart than D = 10 points: {beyond}." in counted


def power(size: float, sd: float, n: int) -> float:
    """The paired t test's power by numerical integration of scipy's noncentral t."""
    critical = scipy_stats.t.ppf(0.975, n - 1)
    s = np.sqrt(scipy_stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, n - 1) / (n - 1))
    shift = size / sd * np.sqrt(n)
    upper = scipy_stats.norm.sf(critical * s - shift)
    return float(np.mean(upper + scipy_stats.norm.cdf(-critical * s - shift)))


def test_a_loss_with_one_repeat_is_named_and_equal_losses_need_no_number_of_repeats():
    by_loss = {loss: finished_with(loss, [0.1, 0.2, 0.3]) for loss in ("a", "b")}
    by_loss["c"] = [record for record in by_loss["a"] if not record.repeat]
    comparison = pairs.compare(
        STUDY, "one", by_loss, category="complete", metric="map_at_r", difference=0.01
    )
    assert [(p.a, p.b, p.repeats_for_difference) for p in comparison.pairs] == [("a", "b", None)]
    assert "LEFT OUT, fewer than 2 repeats in common: c" in pairs_text.markdown(comparison)
    assert "Pairs: 1; with a test: 0; told apart by it: 0; further" in pairs_text.caption(
        comparison
    )


def test_the_command_prints_pairs_and_ranks_in_every_form_and_draws_the_diagram(results, tmp_path):
    figure = tmp_path / "ranks.svg"
    code, out, err = call("compare", "--results", results, "--figure", figure)
    assert (code, err) == (0, "")
    for words in (
        "| a | b | +8.00 ± ",
        "Holm",
        "P(a > b)",
        "None of it holds the noise of the",
        "critical difference at 0.05",
        "| a    | 1.00",
        "| c    | 3.00",
    ):
        assert words in out
    assert "<svg" in figure.read_text()
    code, out, _ = call("compare", "--results", results, "--format", "json")
    data = json.loads(out)
    assert len(data["pairs"]) == 6
    ranks = {row["loss"]: row["average_rank"] for row in data["ranks"]}
    means = [[np.mean(VALUES[d][loss]) for loss in "abc"] for d in VALUES]
    expected = np.mean([scipy_stats.rankdata([-m for m in row]) for row in means], axis=0)
    assert list(ranks.values()) == pytest.approx(sorted(expected))
    code, out, _ = call("compare", "--results", results, "--dataset", "one", "--format", "csv")
    body = [line for line in out.splitlines() if line and not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(body))))
    assert float(rows[0]["difference"]) == pytest.approx(0.08)
    assert "# No ranks: ranks need at least 2 datasets" in out
    code, out, _ = call("compare", "--results", results, "--format", "csv")
    body = [line for line in out.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(body))))
    assert [row["dataset"] for row in rows] == ["one"] * 3 + ["two"] * 3
    assert "# | a    | 1.00" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--metric", "map"], "did you mean 'map_at_r'?"),
        (["--category", "complet"], "did you mean 'complete'?"),
        (["--figure", "x.jpeg"], "must end in .png, .pdf or .svg"),
        (["--loss", "a"], "compare needs two losses on a dataset; of study tiny only a is"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_line(results, words, expected):
    code, _, err = call("compare", "--results", results, *words)
    assert code == 2
    assert expected in err
    assert err.count("\n") == 1


@pytest.fixture
def two_studies(tmp_path):
    """Records of two studies on one dataset: the scores of VALUES, and one more loss in one."""
    for name, losses in (("first", VALUES["one"]), ("second", VALUES["two"] | {"d": [0.1] * 3})):
        study = replace(STUDY, name=name)
        records = {
            loss: scored(loss, values, dataset="one", study=study)
            for loss, values in losses.items()
        }
        write_records(tmp_path, "one", records, study)
    return tmp_path


def test_ranks_are_over_every_study_that_is_selected_and_pairs_are_within_each(two_studies):
    code, out, err = call("compare", "--results", two_studies, "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert [pair["study"] for pair in data["pairs"]] == ["first"] * 3 + ["second"] * 6
    means = [[np.mean(VALUES[d][loss]) for loss in "abc"] for d in VALUES]
    expected = np.mean([scipy_stats.rankdata([-m for m in row]) for row in means], axis=0)
    ranks = [row["average_rank"] for row in data["ranks"]]
    assert ranks == pytest.approx(sorted(expected))
    caption = data["ranks_caption"]
    assert caption.startswith("Studies first, second: average rank of the mean complete MAP@R over")
    assert "over 2 tables, each of a dataset under a study (1 is best" in caption
    assert "NO RANK, without a score somewhere: d (on one (first))" in caption
    both = ("--study", "first", "second")
    assert call("compare", "--results", two_studies, *both, "--format", "json")[1] == out


def test_the_diagram_of_two_studies_says_that_it_is_of_two(two_studies, tmp_path):
    figure = tmp_path / "ranks.svg"
    assert call("compare", "--results", two_studies, "--figure", figure)[0] == 0
    drawn = harness.load(two_studies).ranks_figure()
    title = next(filter(None, map(drawn.axes[0].get_title, ("left", "center"))))
    assert title == "2 studies, complete MAP@R"
    assert any("(2 tables)" in text.get_text() for text in drawn.axes[0].texts)
    assert "(2 datasets)" not in figure.read_text()
    assert figure.stat().st_size > 5000
    one = harness.load(two_studies, study=["first"])
    assert {source.study.name for source in one.records.values()} == {"first"}


def test_a_study_that_is_not_there_is_named_however_many_are_asked_for(two_studies):
    words = ("compare", "--results", two_studies, "--study", "first", "secnd")
    code, _, err = call(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'second'?" in err
