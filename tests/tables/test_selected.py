"""What is selected: every dataset and loss is in the numbers, or is said not to be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.tables import figure, gallery, markup, metrics, repeats, table, table_text, uncertainty
from tests.made import STUDY, call, finished_with, scored, write_records

TWO = {"arcface": [0.5, 0.52, 0.51], "cosface": [0.3, 0.31, 0.35]}


@pytest.fixture
def results(tmp_path):
    """d1 with two losses, d2 with both and a third one, d3 with one alone."""
    for dataset, losses in (
        ("d1", TWO),
        ("d2", TWO | {"warped": [0.1, 0.2, 0.15]}),
        ("d3", {"cosface": TWO["cosface"]}),
    ):
        records = {loss: scored(loss, values, dataset=dataset) for loss, values in losses.items()}
        write_records(tmp_path / "results", dataset, records)
    return tmp_path / "results"


def test_a_loss_that_only_some_datasets_have_selects_these(results):
    code, out, err = call("table", "--results", results, "--loss", "warped")
    assert (code, err) == (0, "")
    assert "d2, study tiny" in out
    assert "d1, study" not in out


@pytest.mark.parametrize(
    "words",
    [
        ("table",),
        ("table", "--uncertainty"),
        ("table", "--per-run"),
        ("compare",),
        ("order",),
        ("status",),
        ("export", "--packed", "packed"),
        ("export", "--optuna", "sqlite:///x.db"),
    ],
)
def test_a_loss_that_no_dataset_has_is_refused_and_nothing_is_written(
    results, tmp_path, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*words, "--results", results, "--loss", "wraped")
    assert (code, out) == (2, "")
    assert "no loss 'wraped'; did you mean 'warped'?" in err
    assert not (tmp_path / "packed").exists()


def test_compare_names_a_dataset_without_pairs_and_the_losses_that_lack_a_rank(results):
    code, out, _ = call("compare", "--results", results)
    assert code == 0
    assert "NO PAIR on d3, study tiny" in out
    assert "cosface (arcface has no score on d3; warped has no score on d1, d3)" in out
    code, out, _ = call("compare", "--results", results, "--dataset", "d1", "d2")
    assert "NO RANK, without a score somewhere: warped (on d1)." in out
    code, out, _ = call("compare", "--results", results, "--format", "csv")
    assert "# NO PAIR on d3" in out


def test_the_uncertainty_of_several_datasets_is_printed_whole_or_not_at_all(results):
    code, out, err = call("table", "--uncertainty", "--results", results)
    assert (code, out) == (2, "")
    assert "has no scores by class" in err


def test_what_has_scores_and_none_by_class_is_named_beside_the_uncertainty():
    words = uncertainty.lacking(STUDY, {"old": finished_with("old", [0.1, 0.2, 0.3])}, [])
    assert "old complete 3 of 3 repeats" in words
    caption = uncertainty.caption([], STUDY, "made", lacking=words)
    assert "NO SCORES by class, so not here: old complete 3 of 3" in caption


def test_runs_behind_no_number_are_not_counted_as_lacking_a_diagnostic():
    records = [
        replace(r, diagnostics={"nmi": 0.5}) if r.repeat is not None else r
        for r in finished_with("made", [0.1, 0.2, 0.3])
    ]
    nmi = [metrics.metric("nmi")]
    assert repeats.without(STUDY, "made", records, nmi) == {}
    winner = next(r.trial for r in records if r.stage == "complete")
    of_others = [
        replace(r, trial=winner + 1, diagnostics=None) for r in records if r.repeat is not None
    ]
    of_another_search = [
        replace(r, search_repeat=1, diagnostics=None) for r in records if r.repeat is not None
    ]
    assert repeats.without(STUDY, "made", [*records, *of_others, *of_another_search], nmi) == {}
    lacking = [replace(r, diagnostics=None) for r in records]
    (counts,) = repeats.without(STUDY, "made", lacking, nmi).values()
    assert counts[0] == counts[1] == sum(r.repeat is not None for r in records)


def test_exact_ties_have_letters_and_no_mark_beside_the_bold():
    tied = {loss: finished_with(loss, [0.3, 0.4, 0.5]) for loss in ("arcface", "cosface")}
    made = table.table(STUDY, "made", tied, metrics=["map_at_r"])
    assert {row.cells["complete", "map_at_r"].best for row in made.rows} == {True}
    text = table_text.markdown(made)
    assert "No letters" not in text
    assert r"\approx\," not in table_text.latex(made)
    assert r"?\," not in table_text.latex(made)


def test_a_pair_without_a_test_is_named_once_whichever_is_ahead_in_a_column():
    values = {"arcface": [0.3, 0.4, 0.5], "cosface": [0.4, 0.5, 0.6]}  # equal differences
    by_loss = {loss: finished_with(loss, scores) for loss, scores in values.items()}
    for record in (r for r in by_loss["cosface"] if r.stage == "ensemble"):
        place = by_loss["cosface"].index(record)
        lower = {name: value - 0.2 for name, value in record.scores.items()}
        by_loss["cosface"][place] = replace(record, scores=lower)
    made = table.table(STUDY, "made", by_loss, metrics=["map_at_r"])
    assert made.untested == (("arcface", "cosface"),)


def test_names_with_signs_of_mathematics_or_of_tables_are_drawn_and_printed_as_they_are(tmp_path):
    by_loss = {loss: finished_with(loss, values) for loss, values in TWO.items()}
    made = table.table(STUDY, "folder:/data/a$b_{c$|d", by_loss, metrics=["map_at_r"])
    figure.draw_table(made, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
    line = markup.markdown(["a|b"], [["c\nd|e"]], "x").splitlines()
    assert line[0] == r"| a\|b   |"
    assert line[2] == r"| c d\|e |"


@pytest.mark.parametrize("kept", ["{}", "[]", "null", '{"record": "x"}'])
def test_a_kept_gallery_that_is_not_whole_is_refused_in_one_line(results, tmp_path, kept):
    path = gallery.kept_path(results / "tiny" / "d1", "arcface")
    path.parent.mkdir()
    path.write_text(kept)
    words = ("report", "tiny/d1", "--results", results, "--output", tmp_path / "x.html")
    code, _, err = call(*words)
    assert code == 2
    assert f"{path} is not what gallery --keep writes" in err


@pytest.mark.parametrize("numbers", [None, [], "x"])
def test_findings_of_another_form_are_refused_in_one_line(results, tmp_path, numbers):
    fields = dict.fromkeys(("check", "subject", "paper", "verdict", "reason"), "x")
    (tmp_path / "f.json").write_text(json.dumps([{**fields, "numbers": numbers}]))
    code, _, err = call(
        *("report", "tiny/d1", "--results", results, "--output", tmp_path / "x.html"),
        *("--findings", tmp_path / "f.json"),
    )
    assert code == 2
    assert "is not what `python -m harness audit --json > FILE` writes" in err
