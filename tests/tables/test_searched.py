"""A table shows how many dimensions each loss searched: in its caption, in CSV and in JSON."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from harness.tables import table, table_caption, table_text
from tests.made import STUDY, play, scored

WIDE = {"lr": 1e-4, "alpha": 2.0, "followup_alpha_ratio": 0.5, "followup_lr_ratio": 0.1}


def test_the_searched_dimensions_of_each_loss_stand_in_every_form_without_what_is_fixed():
    values = [0.3, 0.31, 0.32]
    fixed = {"sampling": "all"}
    study = replace(STUDY, loss_params={"wide": fixed})
    wide = [replace(record, params=WIDE | fixed) for record in scored("wide", values)]
    shown = table.table(study, "made", {"narrow": scored("narrow", values), "wide": wide})
    line = "Searched dimensions of each loss, learning rates included: narrow 1, wide 4."
    assert line in table_caption.caption(shown)
    assert line in table_text.markdown(shown)
    data = table_text.as_data(shown)
    counts = {row["loss"]: row["searched_dimensions"] for row in data["rows"]}
    assert counts == {"narrow": 1, "wide": 4}
    assert {row["loss"]: set(row["searched"]) for row in data["rows"]}["wide"] == set(WIDE)
    text = table_text.comma_separated(shown)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert {(row["loss"], row["searched_dimensions"]) for row in rows} == {
        ("narrow", "1"),
        ("wide", "4"),
    }


def test_a_loss_without_trials_has_no_count():
    shown = table.table(STUDY, "made", {"made": [], "untrained": play(lambda r: r[0])[:0]})
    assert "Searched dimensions" not in table_caption.caption(shown)
    assert [row["searched_dimensions"] for row in table_text.as_data(shown)["rows"]] == [0, 0]
