"""The marks of a table at every size: ≈, letters or ranks, from the same tests, in every form."""

from __future__ import annotations

import csv
import io
import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from harness.measure.separation import separation
from harness.schema import Record
from harness.tables import (
    figure,
    pairs,
    pairs_text,
    table_text,
    uncertainty,
)
from harness.tables import table as tables
from harness.tables.table import METRICS
from tests.made import STUDY, play, scored

STUDY_OF_FIVE = replace(STUDY, repeats=5)


@pytest.fixture(scope="module")
def finished() -> list[Record]:
    return play(lambda runs: runs[0], STUDY_OF_FIVE)


def scored_as(finished: list[Record], loss: str, values: list[float]) -> list[Record]:
    return [
        replace(r, loss=loss, scores=dict.fromkeys(METRICS, values[r.repeat]))
        if r.repeat is not None
        else r
        for r in finished
    ]


def table_of(finished: list[Record], values: Mapping[str, list[float]]) -> tables.Table:
    """The table of losses whose scores at repeat r are values[r], in every column."""
    by_loss = {loss: scored_as(finished, loss, of_loss) for loss, of_loss in values.items()}
    return tables.table(STUDY_OF_FIVE, "made", by_loss)


def many(losses: int) -> dict[str, list[float]]:
    """Losses whose means are a little apart: many groups that overlap."""
    rng = np.random.default_rng(losses)
    return {
        f"loss_{i:02}": (0.1 + 0.015 * i + rng.normal(0, 0.004, 5)).tolist() for i in range(losses)
    }


def csv_rows(table: tables.Table) -> list[dict[str, str]]:
    body = [x for x in table_text.comma_separated(table).splitlines() if not x.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(body))))


@pytest.fixture(scope="module")
def large(finished) -> tables.Table:
    return table_of(finished, many(43))


def test_with_43_losses_ranks_stand_for_letters_in_every_form(large):
    assert not large.lettered
    lines = [x for x in table_text.markdown(large).splitlines() if x.startswith("| loss_")]
    assert len(lines) == 43
    for row, line in zip(large.rows, lines, strict=True):
        first, last = row.cells["complete", "map_at_r"].ranks
        assert line.count(f" #{first}-{last} " if first < last else f" #{first} ") == 9
        assert not re.search(r"[a-z]{2,} *\|", line.removeprefix(f"| {row.loss}"))
    assert lines[0].count("** #1 ") == 9
    assert "#3-17: the loss is between 3rd and 17th in its column" in table_text.caption(large)
    assert "Letters, from" not in table_text.caption(large)
    latex = table_text.latex(large)
    first, last = large.rows[-1].cells["complete", "map_at_r"].ranks
    assert first < last
    assert rf"$^{{\mathrm{{\#{first}{{-}}{last}}}}}$" in latex
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    for row in csv_rows(large):
        assert row["group"] in (f"#{row['rank_first']}-{row['rank_last']}", f"#{row['rank_first']}")


def test_a_column_of_few_groups_has_letters_and_machine_forms_have_ranks_too(finished):
    table = table_of(finished, many(4))
    assert table.lettered
    assert "Letters, from the same tests" in table_text.caption(table)
    for row in csv_rows(table):
        assert row["group"].isalpha()
        assert 1 <= int(row["rank_first"]) <= int(row["rank_last"]) <= 4
    cells = table_text.as_data(table)["rows"][0]["cells"]
    assert cells[0]["ranks"] == table.rows[0].cells["complete", "map_at_r"].ranks


@pytest.mark.parametrize("losses", [2, 5, 12, 43])
def test_the_mark_never_contradicts_the_letters_or_the_tests(finished, losses):
    values = many(losses)
    table = table_of(finished, values)
    tests = separation({loss: dict(enumerate(v)) for loss, v in values.items()})
    for key in itertools.product(tables.CATEGORIES, METRICS):
        cells = {row.loss: row.cells[key] for row in table.rows}
        best = next(loss for loss, cell in cells.items() if cell.best)
        assert best == tests.best
        for loss, cell in cells.items():
            p = tests.p_value(best, loss)
            assert cell.tied_with_best == (loss != best and (p is None or p > 0.05))
            if tests.letters and loss != best:
                assert cell.tied_with_best == bool(set(cell.group) & set(cells[best].group))


def test_a_gap_without_any_spread_has_no_test_is_marked_so_and_stands_in_the_caption(finished):
    values = {
        "best": [0.50, 0.51, 0.53, 0.50, 0.52],
        "shifted": [0.40, 0.41, 0.43, 0.40, 0.42],
        "far": [0.10, 0.12, 0.11, 0.12, 0.13],
    }
    table = table_of(finished, values)
    text = table_text.markdown(table)
    line = next(x for x in text.splitlines() if x.startswith("| shifted"))
    assert line.count(" ? ") == 9
    assert "≈" not in line
    assert "NO TEST in some column of best and shifted: " in text
    assert "?\\,\\mathrm" in table_text.latex(table)
    assert {r["untested"] for r in csv_rows(table) if r["loss"] == "shifted"} == {"1"}
    comparison = pairs.compare(
        STUDY_OF_FIVE,
        "made",
        {loss: scored_as(finished, loss, v) for loss, v in values.items()},
        category="complete",
        metric="map_at_r",
        difference=0.01,
    )
    shown = pairs_text.markdown(comparison)
    assert "| best    | shifted | +10.00 (no spread) " in shown
    assert "NO TEST, no spread in the differences: best and shifted" in shown
    row = pairs_text.as_data(comparison)[0]
    assert (row["p"], row["p_holm"], row["paired_ci95"]) == (None, None, None)


def test_five_repeats_have_an_interval_and_fewer_stand_each_for_itself(finished):
    assert " ± " in table_text.markdown(table_of(finished, many(2))).splitlines()[2]
    few = table_text.markdown(tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.4])}))
    assert "| **23.33 (10.00; 20.00; 40.00)** |" in few
    assert "±" not in few.splitlines()[2]
    assert "Repeats needed for ± 1 point in each MAP@R column" in few
    rows = csv_rows(tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.4])}))
    assert float(rows[0]["ci95"]) == pytest.approx(0.3794, abs=1e-4)
    assert int(rows[0]["repeats_for_1_point"]) > 100


def capped_in(study, records: list[Record], capped: int) -> list[Record]:
    """The records with the first `capped` runs that chose their epochs cut off at the limit."""
    limits = (study.max_epochs, study.followup_max_epochs)
    settled = (-study.patience - 1, -study.patience - 1)
    marked = []
    for record in records:
        if record.stage in ("search", "repeat"):
            record = replace(record, epochs=limits if capped > 0 else settled, curve=[])
            capped -= 1
        marked.append(record)
    return marked


def test_every_table_counts_the_runs_that_were_cut_off(tmp_path):
    records = capped_in(STUDY, scored("a", [0.1, 0.2, 0.3]), 3)
    by_loss = {"a": records, "b": capped_in(STUDY, scored("b", [0.3, 0.2, 0.3]), 0)}
    table = tables.table(STUDY, "made", by_loss)
    runs = 5 * 4 + 3 * 4
    line = f"CAPPED: 3 of {2 * runs} runs (a 3 of {runs}, b 0 of {runs})"
    for form in ("markdown", "csv", "latex"):
        assert line in table_text.FORMATS[form](table)
    assert [row["capped"] for row in table_text.as_data(table)["rows"]] == [0, 3]
    comparison = pairs.compare(
        STUDY, "made", by_loss, category="ensemble", metric="map_at_r", difference=0.01
    )
    assert line in pairs_text.markdown(comparison)
    assert line in uncertainty.caption([], STUDY, "made", table.capped)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.draw_table(table, tmp_path / "table.svg")
    elements = ET.parse(tmp_path / "table.svg").iter()
    texts = [x.text or "" for x in elements if x.tag.endswith("}text")]
    assert any(f"CAPPED: 3 of {2 * runs} runs" in text for text in texts)
    settled = tables.table(STUDY, "made", {"b": by_loss["b"]})
    assert "CAPPED" not in table_text.caption(settled)


def test_the_figure_has_bars_for_five_repeats_and_ticks_for_each_of_fewer(finished, tmp_path):
    few = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    for table, words in (
        (table_of(finished, many(2)), "95 % interval over 5 repeats"),
        (few, "each repeat (ticks) over 3 repeats"),
    ):
        path = tmp_path / "table.svg"
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            figure.draw_table(table, path)
        texts = [x.text or "" for x in ET.parse(path).iter() if x.tag.endswith("}text")]
        assert any(words in text for text in texts)
        bars = "LineCollection" in path.read_text()
        assert bars == (table is not few)
