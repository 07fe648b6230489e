"""A mean of the runs that did not fail: marked in its cell, in no comparison, in every table."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from harness.protocol import plan
from harness.records import records as record_files
from harness.schema import Record
from harness.tables import (
    figure,
    pairs,
    pairs_text,
    table_text,
    uncertainty,
)
from harness.tables import table as tables
from tests.made import SPACE, STUDY, call, done, scored, write_records

STAGES = ("repeat", "ensemble", "complete")


def failing(records: list[Record], repeat: int = 1, stages=STAGES) -> list[Record]:
    """The records, with every run of a repeat in some stages failed."""
    return [
        replace(r, failure="Diverged: made up", scores={}, by_class=None)
        if r.repeat == repeat and r.stage in stages
        else r
        for r in records
    ]


@pytest.fixture(scope="module")
def by_loss() -> dict[str, list[Record]]:
    """A loss that would lead if its worst repeat failed, one that leads honestly, and one more."""
    return {
        "failed": failing(scored("failed", [0.40, 0.01, 0.41])),
        "whole": scored("whole", [0.300, 0.301, 0.302]),
        "close": scored("close", [0.299, 0.303, 0.300]),
    }


@pytest.fixture(scope="module")
def made(by_loss) -> tables.Table:
    return tables.table(STUDY, "made", by_loss)


def test_the_higher_mean_of_survivors_is_not_best_not_tied_in_no_group_and_not_first(made):
    assert [row.loss for row in made.rows] == ["whole", "close", "failed"]
    for (category, _), cell in made.rows[-1].cells.items():
        assert cell.mean > made.rows[0].cells[category, "map_at_r"].mean
        assert (cell.failed, cell.best, cell.tied_with_best, cell.group) == (1, False, False, "")
        assert cell.ranks is None
    assert made.rows[0].cells["complete", "map_at_r"].best


def test_the_others_are_compared_as_if_the_survivors_were_not_there(made, by_loss):
    without = tables.table(STUDY, "made", {loss: by_loss[loss] for loss in ("whole", "close")})
    assert made.rows[:2] == without.rows


def test_markdown_and_latex_mark_the_cell_and_the_caption_names_the_loss(made):
    line = next(x for x in table_text.markdown(made).splitlines() if x.startswith("| failed"))
    assert line.count("40.50 (2 of 3: 40.00; 41.00) ") == 9
    assert "**" not in line
    assert "≈" not in line
    assert "$40.50$ (2 of 3: 40.00; 41.00) &" in table_text.latex(made)
    assert "SURVIVORS: failed complete 2 of 3, failed ensemble 2 of 3" in table_text.caption(made)


def test_csv_and_json_keep_the_numbers_and_count_what_failed(made):
    text = table_text.comma_separated(made)
    body = [x for x in text.splitlines() if not x.startswith("#")]
    rows = [r for r in csv.DictReader(io.StringIO("\n".join(body))) if r["loss"] == "failed"]
    assert {(r["failed"], r["n"], r["best"], r["group"], r["rank_first"]) for r in rows} == {
        ("1", "2", "0", "", "")
    }
    assert float(rows[0]["ci95"]) > 0
    row = json.loads(json.dumps(table_text.as_data(made)))["rows"][-1]
    assert {(cell["failed"], cell["n"], cell["ranks"]) for cell in row["cells"]} == {(1, 2, None)}


def test_a_loss_of_which_every_repeat_failed_shows_none_of_how_many():
    records = scored("a", [0.1, 0.2, 0.3])
    for repeat in range(3):
        records = failing(records, repeat, ("complete",))
    table = tables.table(STUDY, "made", {"a": records})
    assert "| - (0 of 3) " in table_text.markdown(table)
    assert "-- (0 of 3) &" in table_text.latex(table)


def test_a_repeat_that_is_not_done_yet_has_not_failed():
    unfinished = scored("a", [0.1, 0.2, 0.3])[:-1]
    cell = tables.table(STUDY, "made", {"a": unfinished}).rows[0].cells["complete", "map_at_r"]
    assert (len(cell.scores), cell.failed) == (2, 0)


def test_one_failed_fold_of_a_repeat_is_one_failed_repeat_of_the_aggregate_alone():
    records = [
        replace(r, failure="Diverged", scores={}) if (r.repeat, r.fold) in ((1, 2), (1, 3)) else r
        for r in scored("a", [0.1, 0.2, 0.3])
    ]
    cells = tables.table(STUDY, "made", {"a": records}).rows[0].cells
    assert [cells[c, "map_at_r"].failed for c in tables.CATEGORIES] == [0, 0, 1]


def test_the_figure_crosses_survivors_and_says_how_many_there_are(made, tmp_path):
    path = tmp_path / "table.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.draw_table(made, path)
    texts = [(x.text or "").strip() for x in ET.parse(path).iter() if x.tag.endswith("}text")]
    assert texts.count("2 of 3") == 3
    assert any("cross: the other repeats failed" in text for text in texts)


def test_compare_puts_survivors_last_marks_them_and_tests_none_of_their_pairs(by_loss):
    comparison = pairs.compare(
        STUDY, "made", by_loss, category="complete", metric="map_at_r", difference=0.01
    )
    assert [(p.a, p.b) for p in comparison.pairs] == [
        ("whole", "close"),
        ("whole", "failed"),
        ("close", "failed"),
    ]
    assert [p.p_holm is None for p in comparison.pairs] == [False, True, True]
    assert comparison.pairs[0].p_holm == comparison.pairs[0].paired.p_value  # a family of one
    text = pairs_text.markdown(comparison)
    assert text.count("| failed (2 of 3) |") == 2
    assert "SURVIVORS: failed complete 2 of 3" in text
    data = pairs_text.as_data(comparison)
    assert [(row["a_failed"], row["b_failed"]) for row in data] == [(0, 0), (0, 1), (0, 1)]


def test_compare_and_the_table_judge_the_same_pairs_alike():
    values = {
        "a": [0.300, 0.301, 0.305],
        "b": [0.290, 0.292, 0.295],
        "c": [0.10, 0.17, 0.11],
        "d": [0.10, 0.101, 0.104],
    }
    by_loss = {loss: scored(loss, of_loss) for loss, of_loss in values.items()}
    rows = tables.table(STUDY, "made", by_loss).rows
    groups = {row.loss: set(row.cells["complete", "map_at_r"].group) for row in rows}
    comparison = pairs.compare(
        STUDY, "made", by_loss, category="complete", metric="map_at_r", difference=0.01
    )
    starred = 0
    lines = pairs_text.markdown(comparison).splitlines()[2:]
    for pair, line in zip(comparison.pairs, lines, strict=False):
        starred += " * " in line
        assert (" * " in line) == (not groups[pair.a] & groups[pair.b])
    assert 0 < starred < len(comparison.pairs)


def test_the_ranks_of_compare_leave_survivors_out_and_say_so(by_loss, tmp_path):
    for dataset in ("one", "two"):
        write_records(tmp_path, dataset, by_loss)
    code, out, err = call("compare", "--results", tmp_path, "--category", "complete")
    assert (code, err) == (0, "")
    assert "SURVIVORS: failed (2 of 3 on two); the other repeats failed" in out
    ranks = json.loads(call("compare", "--results", tmp_path, "--format", "json")[1])["ranks"]
    assert sorted(row["loss"] for row in ranks) == ["close", "whole"]


def test_the_uncertainty_of_survivors_is_marked():
    by_class = {"queries": [4.0] * 5, **{m: [1.0, 2, 3, 2, 1] for m in tables.METRICS}}
    played = [
        replace(r, by_class=by_class) if r.stage == "complete" else r
        for r in scored("a", [0.1, 0.2, 0.3])
    ]
    lines = uncertainty.lines(STUDY, "made", {"a": failing(played)}, resamples=50)
    assert {(line.failed, len(line.values)) for line in lines} == {(1, 2)}
    caption = uncertainty.caption(lines, STUDY, "made")
    assert "SURVIVORS: a complete 2 of 3" in caption
    text = uncertainty.text(lines, caption, STUDY, "made", form="markdown")
    assert "| (45.00; 45.00) |" in text
    assert "| 2 of 3  |" in text
    assert {row["failed"] for row in uncertainty.as_data(lines)} == {1}


def test_the_spread_over_searches_says_how_many_repeats_failed():
    study = replace(STUDY, search_repeats=2)
    records: list[Record] = []
    while runs := plan.next_runs(study, "made", "made", space=SPACE, records=records):
        record = done(runs[0])
        if record.repeat is not None:
            share = 0.3 + 0.1 * record.search_repeat + 0.01 * record.repeat
            record = replace(record, scores=dict.fromkeys(tables.METRICS, share))
        if (record.stage, record.repeat, record.search_repeat) == ("complete", 2, 1):
            record = replace(record, failure="Diverged: made up", scores={})
        records.append(record)
    table = tables.table(study, "made", {"made": records})
    below = table_text.markdown(table).split("\n| loss")[1].splitlines()
    row = next(line for line in below if "complete" in line and "MAP@R" in line)
    assert row.rstrip(" |").endswith("2.5 (5 of 6)")
    assert table.rows[0].cells["complete", "map_at_r"].failed == 0  # of the first search none


def test_a_record_on_disk_says_whether_its_run_was_capped_only_where_it_is_known(tmp_path):
    record = scored("a", [0.1, 0.2, 0.3])[0]
    path: Path = tmp_path / "a.jsonl"
    for capped in (None, True, False):
        record_files.append(path, replace(record, capped=capped))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("capped", "nothing") for line in lines] == ["nothing", True, False]
    assert [r.capped for r in record_files.read(path).records] == [None, True, False]
