"""The table of the study `optimism`: what it says, and that no other table reads its records."""

from __future__ import annotations

import csv
import itertools
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from harness import files
from harness.measure.optimism import HONEST, TUNED
from harness.protocol import plan, trials
from harness.protocol.contradictions import contradictions
from harness.records import folder
from harness.records import records as record_files
from harness.schema import POOL, Problem, Record
from harness.tables import optimism, optimism_figure, optimism_text, table_text
from harness.tables import table as tables
from tests.made import SPACE, STUDY, call, done, play

POOL_STUDY = replace(
    STUDY,
    name="optimism",
    protocol="optimism",
    trials=8,
    max_epochs=2,
    followup=False,
    followup_max_epochs=0,
    patience=2,
)
QUERIES = [3, 5, 4, 6, 2, 4]


def scored_pool(seed: int = 0, loss: str = "made") -> list[Record]:
    """A finished pool with made-up scores of 2 epochs on 6 test classes, one by one its own."""
    rng = np.random.default_rng(seed)
    records = []
    for record in play(lambda runs: runs[0], POOL_STUDY, loss):
        curve = [
            {
                "phase": "normal",
                "epoch": epoch,
                "loss": 1.0,
                "map_at_r": float(rng.random()),
                "test_sums": [round(float(rng.random() * count), 6) for count in QUERIES],
            }
            for epoch in (1, 2)
        ]
        records.append(replace(record, loss=loss, curve=curve, test_queries=QUERIES))
    return records


def test_records_of_the_pool_feed_no_table_plan_or_search_of_another_study():
    honest = play(lambda runs: runs[0])
    planted = list(honest)
    for record in honest:
        key = record.key.replace(record.stage, POOL, 1)
        perfect = dict.fromkeys(record.scores, 1.0)
        planted.append(replace(record, stage=POOL, key=key, scores=perfect))
    assert trials.trials_of(STUDY, planted) == trials.trials_of(STUDY, honest)
    assert plan.next_runs(STUDY, "made", "made", space=SPACE, records=planted) == []
    with_planted = tables.table(STUDY, "made", {"made": planted})
    without = tables.table(STUDY, "made", {"made": honest})
    for form in table_text.FORMATS.values():
        assert form(with_planted) == form(without)


def test_the_pool_is_every_trial_on_every_fold_and_nothing_else():
    records = play(lambda runs: runs[-1], POOL_STUDY)
    assert {record.stage for record in records} == {POOL}
    assert {(r.trial, r.fold) for r in records} == {(t, f) for t in range(8) for f in range(4)}
    progress = plan.progress(POOL_STUDY, "made", records)
    assert progress.planned == {POOL: 32}
    assert progress.finished
    assert plan.next_runs(POOL_STUDY, "made", "untrained", space={}, records=[]) == []
    assert plan.progress(POOL_STUDY, "untrained", []).finished


def test_the_params_of_the_pool_are_random_draws_that_no_score_moves():
    records = play(lambda runs: runs[0], replace(POOL_STUDY, trials=12))
    drawn = {record.trial: record.params["x"] for record in records}
    flat: list[Record] = []
    study = replace(POOL_STUDY, trials=12)
    while runs := plan.next_runs(study, "made", "made", space=SPACE, records=flat):
        flat.append(done(runs[0], scores=dict.fromkeys(tables.METRICS, 0.5)))
    assert {record.trial: record.params["x"] for record in flat} == drawn
    assert np.mean(list(drawn.values())) == pytest.approx(0.5, abs=0.25)


def test_the_arrays_of_the_pool_are_means_over_the_folds_of_what_the_curves_hold():
    records = scored_pool()
    pool, failed = optimism.pool_of(POOL_STUDY, records)
    assert failed == 0
    of_trial = [record for record in records if record.trial == 3]
    for epoch in (0, 1):
        held_out = [record.curve[epoch]["map_at_r"] for record in of_trial]
        assert pool.held_out[3, epoch] == pytest.approx(np.mean(held_out))
        sums = [record.curve[epoch]["test_sums"] for record in of_trial]
        assert pool.sums[3, epoch] == pytest.approx(np.mean(sums, axis=0))
    assert pool.queries.tolist() == QUERIES


def test_a_configuration_with_a_failed_fold_is_left_out_and_the_table_says_so():
    records = scored_pool()
    broken = [
        replace(r, failure="Diverged: made up", scores={}, curve=[], test_queries=None)
        if (r.trial, r.fold) == (5, 2)
        else r
        for r in records
    ]
    pool, failed = optimism.pool_of(POOL_STUDY, broken)
    whole, _ = optimism.pool_of(POOL_STUDY, records)
    assert failed == 1
    assert pool.held_out == pytest.approx(np.delete(whole.held_out, 5, axis=0))
    text = optimism_text.caption(optimism.table(POOL_STUDY, "made", {"made": broken}))
    assert "FAILED: made, 1 configurations with a failed fold are left out of the pool." in text
    one = [record for record in records if record.trial == 0]
    (row,) = optimism.table(POOL_STUDY, "made", {"made": one}).rows
    assert (row.size, dict(row.curves)) == (0, {})
    text = optimism_text.markdown(optimism.table(POOL_STUDY, "made", {"made": one}))
    assert "UNFINISHED: made (test_scored_pool 4 of 32 runs)." in text


def test_runs_that_were_scored_on_other_images_are_refused():
    records = scored_pool()
    records[7] = replace(records[7], test_queries=[9, *QUERIES[1:]])
    with pytest.raises(Problem, match="not all scored after the same epochs"):
        optimism.pool_of(POOL_STUDY, records)


def test_every_form_of_the_table_has_the_same_numbers():
    by_loss = {"b": scored_pool(1, "b"), "a": scored_pool(2, "a"), "untrained": []}
    table = optimism.table(POOL_STUDY, "made", by_loss)
    assert [row.loss for row in table.rows] == ["a", "b"]
    row = table.rows[0]
    data = optimism_text.as_data(table)
    values = {(v["k"], v["quantity"]): v["mean"] for v in data["rows"][0]["values"]}
    assert {k for k, _ in values} == set(range(1, 9))
    for k in (1, 3, 8):
        tuned, honest = row.curves[TUNED], row.curves[HONEST]
        assert values[k, "optimism"] == pytest.approx(tuned[0][k - 1] - tuned[1][k - 1])
        assert values[k, "gain"] == pytest.approx(tuned[1][k - 1] - honest[1][k - 1])
        assert values[k, "total"] == pytest.approx(tuned[0][k - 1] - honest[1][k - 1])
    text = optimism_text.comma_separated(table)
    for caption in (text, data["caption"]):
        assert "is worth, as shares of 1 of MAP@R" in caption
    assert "is worth, in points of MAP@R" in optimism_text.markdown(table)
    lines = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    in_csv = {
        (int(line["k"]), line["quantity"]): float(line["mean"])
        for line in lines
        if line["loss"] == "a"
    }
    assert in_csv == pytest.approx(values)
    markdown = optimism_text.markdown(table)
    cells = [
        x.strip()
        for x in next(
            line for line in markdown.splitlines() if line.startswith("| a    | 3")
        ).split("|")
    ]
    mean, width = 100 * values[3, "optimism"], 100 * row.over_classes["optimism"][2]
    low, high = (100 * end for end in row.over_searches["optimism"][3])
    expected = f"{mean:+.2f} ± {width:.2f} [{low:+.2f}, {high:+.2f}]".replace("-0.00", "+0.00")
    assert cells[6] == expected
    assert "[" not in next(line for line in markdown.splitlines() if line.startswith("| a    | 8"))
    assert markdown.count("| held-out  | test (A) |") == 2
    assert r"\end{table}" in optimism_text.latex(table)


def test_the_caption_counts_the_configurations_that_were_best_at_their_end():
    rising = [
        replace(r, curve=[r.curve[0] | {"map_at_r": 0.0 if r.trial < 5 else 2.0}, r.curve[1]])
        for r in scored_pool()
    ]
    table = optimism.table(POOL_STUDY, "made", {"made": rising})
    expected = "after the last of 2 epochs: made 5 of 8 configurations"
    assert f"AT THE END: best by held-out score {expected}" in optimism_text.caption(table)
    flat = [replace(r, curve=[r.curve[0] | {"map_at_r": 2.0}, r.curve[1]]) for r in rising]
    table = optimism.table(POOL_STUDY, "made", {"made": flat})
    assert "AT THE END" not in optimism_text.caption(table)


def test_the_same_records_give_the_same_table_whatever_other_losses_are_there():
    alone = optimism.table(POOL_STUDY, "made", {"a": scored_pool(2, "a")})
    both = optimism.table(POOL_STUDY, "made", {"a": scored_pool(2, "a"), "b": scored_pool(1, "b")})
    first, second = (optimism_text.as_data(table)["rows"][0] for table in (alone, both))
    assert first == second


def test_the_figure_has_a_panel_for_each_loss_with_its_three_curves(tmp_path):
    by_loss = {"a": scored_pool(2, "a"), "b": scored_pool(1, "b"), "c": []}
    path = tmp_path / "optimism.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        optimism_figure.draw(optimism.table(POOL_STUDY, "made", by_loss), path)
    texts = [x.text or "" for x in ET.parse(path).iter() if x.tag.endswith("}text")]
    starts = [i for i, text in enumerate(texts) if text == "8 configurations"]
    assert [texts[i - 1] for i in starts] == ["a", "b"]
    assert {"optimism", "gain", "total"} <= set(texts)
    with pytest.raises(Problem, match="no loss of optimism/made has two finished"):
        optimism_figure.draw(optimism.table(POOL_STUDY, "made", {"c": []}), path)


def test_the_titles_of_neighbouring_panels_are_well_apart_whatever_the_losses_are_called():
    longest = max((path.stem for path in (files.CHECKOUT / "losses").glob("[a-z]*.py")), key=len)
    names = [longest, longest + "_", longest + "__"]
    table = optimism.table(POOL_STUDY, "made", {name: scored_pool(2, name) for name in names})
    figure = optimism_figure.figure_of(table)
    figure.canvas.draw()
    boxes = [panel.title.get_window_extent() for panel in figure.axes]
    assert all(right.x0 - left.x1 > figure.dpi / 10 for left, right in itertools.pairwise(boxes))


def test_the_commands_read_it_and_those_that_need_final_runs_refuse_it(tmp_path):
    results = tmp_path / "results"
    where = results / "optimism" / "made"
    where.mkdir(parents=True)
    description = folder.describe(POOL_STUDY, "made", "made", "x")
    files.write_text(where / "study.json", json.dumps(description))
    for record in scored_pool():
        record_files.append(where / "made.jsonl", record)
    where_it_is = ("--results", results, "--study", "optimism")
    code, out, _ = call("table", *where_it_is, "--json", "--figure", tmp_path / "o.png")
    assert code == 0
    assert json.loads(out)["rows"][0]["configurations"] == 8
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
    for words in (("compare",), ("table", "--uncertainty")):
        code, _, err = call(*words, *where_it_is)
        assert code == 2
        assert "has a pool of configurations and no final runs" in err


@pytest.mark.parametrize("sums", [None, [1.0], [*QUERIES[:5], 4.5], [-0.1, *QUERIES[1:]]], ids=str)
def test_test_sums_that_no_evaluation_gave_do_not_derive(sums):
    record = scored_pool()[0]
    made_by = {"study": POOL_STUDY.digest(), "dataset": "x"}
    score = {"map_at_r": record.curve[0]["map_at_r"]}
    record = replace(record, provenance=made_by, scores=score)
    assert contradictions(POOL_STUDY, "x", [record], strict=True) == {}
    entry = {**record.curve[0], "test_sums": sums}
    if sums is None:
        del entry["test_sums"]
    changed = replace(record, curve=[entry, record.curve[1]])
    (reason,) = contradictions(POOL_STUDY, "x", [changed], strict=True).values()
    assert reason.startswith("its epoch 1 has")
    assert "test sums" in reason
