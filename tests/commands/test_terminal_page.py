"""What `table` shows on a terminal: the answer first, then what there is room for."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from harness.commands import terminal, terminal_page
from harness.commands.reading import Records
from harness.tables.page import Page, Sheet, page_of
from harness.tables.table import METRICS
from tests.made import MADE, STUDY, call, play, scored, write_records

FIVE = replace(STUDY, repeats=5)
AHEAD = {"near": 0.0, "far": 0.4}
CLEAR = {"best": [0.30, 0.31, 0.32, 0.33, 0.34], "far": [0.10, 0.11, 0.12, 0.135, 0.14]}


def records_of(values, study=FIVE):
    """Finished studies whose scores at repeat r are values[r]."""
    by_loss = {}
    for loss, of_loss in values.items():
        made = play(lambda runs: runs[0], study=study, loss=loss)
        by_loss[loss] = [
            replace(
                record,
                provenance=MADE,
                scores=record.scores
                if record.repeat is None
                else dict.fromkeys(METRICS, of_loss[record.repeat]),
            )
            for record in made
        ]
    return Records(study=study, dataset="made", by_loss=by_loss, notes=[])


def shown(records, width, *, explain=False, page=None):
    text = io.StringIO()
    page = page or page_of(records.study, records.dataset, records.by_loss, records.notes)
    terminal_page.show(Console(file=text, width=width), page, records, explain=explain)
    return text.getvalue()


@pytest.fixture(scope="module")
def clear():
    return records_of(CLEAR)


@pytest.mark.parametrize(("width", "n_metrics"), [(80, 1), (140, 2), (200, 3)])
def test_the_verdict_comes_first_and_the_table_has_as_many_metrics_as_there_is_room_for(
    clear, width, n_metrics
):
    lines = shown(clear, width).splitlines()
    assert lines[1].startswith("best beats far on ")
    assert max(map(len, lines)) <= width
    (head,) = [line for line in lines if line.split()[:1] == ["loss"]]
    assert [head.count(title) for title in METRICS.values()] == [
        3 * (n < n_metrics) for n in range(3)
    ]
    assert ("No room for" in " ".join(lines)) == (n_metrics < 3)


def test_no_name_and_no_score_is_cut_where_even_one_metric_is_too_wide(clear):
    name = "mean_field_multi_similarity"
    records = Records(STUDY, "made", {name: scored(name, [0.1, 0.25, 0.5])}, [])
    text = shown(records, 60)
    assert name in text
    assert "…" not in text
    assert text.count("50.00)") == 3
    assert "No comparison yet" in text


def test_the_caption_stands_behind_explain_and_what_is_amiss_without_it(clear):
    marks = "Bold: best mean."
    assert marks not in shown(clear, 200)
    assert marks in shown(clear, 200, explain=True)
    failed = dict(clear.by_loss)
    failed["far"] = [
        replace(record, failure="Diverged: x", scores={})
        if (record.stage, record.repeat) == ("complete", 0)
        else record
        for record in failed["far"]
    ]
    text = shown(Records(FIVE, "made", failed, ["far: 2 records were altered"]), 400)
    assert "\nSURVIVORS: far complete 4 of 5" in text
    assert "\nFAILED: far, 1 runs" in text
    assert "\nfar: 2 records were altered" in text


def test_an_experiment_shows_its_sentences_then_the_first_columns_of_its_table(clear):
    sheet = Sheet(["row", "a" * 30, "b" * 30, "c" * 30], [["x", "**1.00**", "2.00", "3.00"]])
    page = Page(
        data=dict,
        text=str,
        draw=lambda path: None,
        answer=["Of 1 findings of the paper: 1 agrees."],
        sheets=[sheet],
        caption=lambda: "What it is.\nMIXED: of 2 commits.",
    )
    text = shown(clear, 80, page=page)
    assert text.index("1 agrees") < text.index("row")
    assert f"No room for {'c' * 30}" in text
    assert "**" not in text
    assert "MIXED: of 2 commits." in text
    assert "What it is." not in text


@pytest.fixture
def searching(tmp_path):
    """A study whose search has just begun."""
    results = tmp_path / "results"
    write_records(results, "made", {"begun": scored("begun", [0.5] * 3)[:3]})
    return results


def test_without_final_runs_a_terminal_gets_one_line_and_a_pipe_its_table_and_that_line(
    searching, monkeypatch
):
    sentence = "no test scores yet, no final run of a loss has ended (so far search 3 of 20, "
    code, out, err = call("table", "--results", searching)
    assert (code, sentence in err) == (0, True)
    assert out.startswith("| loss ")
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "500")
    code, out, err = call("table", "--results", searching)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert sentence in out
    code, out, _ = call("table", "--results", searching, "--format", "markdown")
    assert out.startswith("| loss ")


@pytest.fixture
def on_screen(monkeypatch):
    """Commands of this process print on a terminal of 80 columns."""
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")


def test_compare_answers_first_too(on_screen, tmp_path):
    finished = {name: scored(name, [v + n for v in (0.2, 0.21, 0.22)]) for name, n in AHEAD.items()}
    write_records(tmp_path / "results", "made", finished)
    code, out, _ = call("compare", "--results", tmp_path / "results", "--metric", "r_precision")
    lines = out.splitlines()
    assert code == 0
    assert lines[1].startswith("Complete is undecided between far and near: a difference of 40.00")
    assert "RP" in lines[1] + lines[2]
    assert max(map(len, lines)) <= 80
    assert "No room for" in out
    assert "Welch: the same without pairing" not in " ".join(out.split())
    explained = call("compare", "--results", tmp_path / "results", "--explain")[1]
    assert "Welch: the same without pairing" in " ".join(explained.split())
    piped = call("compare", "--results", tmp_path / "results", "--format", "markdown")[1]
    assert piped.startswith("| a ")


@pytest.mark.parametrize("command", ["losses", "studies", "trunks"])
def test_lists_are_as_wide_as_the_terminal(on_screen, command):
    lines = call(command)[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] in ("loss", "study", "trunk")
