"""Tables from records: categories as a slow twin computes them, marks, captions, formats."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.schema import UNTRAINED
from harness.tables import table as tables
from harness.tables import table_text
from tests.made import MADE, STUDY, TINY, images, play, run, scored
from tests.twins import retrieval as twins


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny study that was really run: its jobs by loss."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny", classes=16, per_class=3)
    jobs = run(TINY, folder, tmp_path_factory.mktemp("run") / "results", losses=("warped",))
    return {job.loss: job for job in jobs}


def test_aggregate_is_the_mean_of_each_repeats_fold_models_alone(study):
    job = study["warped"]
    scores = tables.repeat_scores(TINY, "warped", job.records)
    for repeat in range(TINY.repeats):
        fold_runs = [r for r in job.records if r.stage == "repeat" and r.repeat == repeat]
        assert len(fold_runs) == 4
        for metric in tables.METRICS:
            expected = sum(record.scores[metric] for record in fold_runs) / 4
            assert scores["aggregate", metric][repeat] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("loss", ["warped", UNTRAINED])
def test_ensemble_scores_the_joined_unit_length_embeddings_once_as_a_slow_twin_does(study, loss):
    job = study[loss]
    labels = np.repeat(np.arange(8), 3).tolist()
    scores = tables.repeat_scores(TINY, loss, job.records)
    for repeat in range(TINY.repeats):
        files = sorted((job.path.parent / "work" / loss).glob(f"repeat-*-r{repeat}-f*.npz"))
        assert len(files) == 4
        joined = []
        for file in files:
            embeddings = np.load(file)["embeddings"].astype(np.float64)
            joined.append(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
        lists = twins.neighbour_lists(np.concatenate(joined, axis=1))
        for metric, expected in twins.retrieval_scores(lists, labels, []).items():
            assert scores["ensemble", metric][repeat] == pytest.approx(expected, abs=1e-6)


def test_a_fold_models_scores_are_those_of_its_kept_embeddings(study):
    job = study["warped"]
    labels = np.repeat(np.arange(8), 3).tolist()
    for record in (record for record in job.records if record.stage == "repeat"):
        file = job.path.parent / "work" / "warped" / f"{record.key}.npz"
        lists = twins.neighbour_lists(np.load(file)["embeddings"])
        expected = twins.retrieval_scores(lists, labels, [])
        for metric, value in expected.items():
            assert record.scores[metric] == pytest.approx(value, abs=1e-6)


def test_the_searchs_own_runs_enter_no_category():
    searched = [record for record in scored("a", [0.1, 0.2, 0.3]) if record.stage == "search"]
    assert not any(tables.repeat_scores(STUDY, "a", searched).values())


def test_an_unfinished_search_shows_no_score_even_if_repeats_of_an_earlier_winner_exist():
    finished = scored("a", [0.1, 0.2, 0.3])
    longer = replace(STUDY, trials=9)
    assert not any(tables.repeat_scores(longer, "a", finished).values())


def test_a_repeat_with_a_failed_fold_has_no_aggregate_and_the_caption_says_so():
    with_failure = [
        replace(r, failure="Diverged", scores={}) if (r.repeat, r.fold) == (1, 2) else r
        for r in scored("a", [0.1, 0.2, 0.3])
    ]
    table = tables.table(STUDY, "made", {"a": with_failure})
    cell = table.rows[0].cells["aggregate", "map_at_r"]
    assert sorted(cell.scores) == [0, 2]
    assert "FAILED: a, 1 runs" in table_text.caption(table)
    assert "n = 2 or 3 repeats" in table_text.caption(table)


def test_the_interval_is_the_t_interval_of_scipy_over_the_repeats():
    values = [0.10, 0.13, 0.19]
    table = tables.table(STUDY, "made", {"a": scored("a", values)})
    interval = table.rows[0].cells["complete", "map_at_r"].interval
    low, high = scipy_stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert interval is not None
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.half_width == pytest.approx((high - low) / 2)


def test_the_best_is_bold_ties_are_marked_and_the_untrained_row_is_neither():
    table = tables.table(
        STUDY,
        "made",
        {
            "best": scored("best", [0.300, 0.301, 0.302]),
            "close": scored("close", [0.299, 0.303, 0.300]),
            "far": scored("far", [0.101, 0.100, 0.102]),
            UNTRAINED: [
                replace(r, scores=dict.fromkeys(tables.METRICS, 0.9), provenance=MADE)
                for r in play(lambda runs: runs[0], loss=UNTRAINED)
            ],
        },
    )
    text = table_text.markdown(table)
    lines = {x.split("|")[1].strip(): x for x in text.splitlines() if x.startswith("| ")}
    assert lines["best"].count("**") == 18
    assert lines["close"].count("≈") == 9
    assert "**" not in lines["far"] + lines[UNTRAINED]
    assert "≈" not in lines["far"] + lines[UNTRAINED]
    assert list(lines)[1:] == ["best", "close", "far", UNTRAINED]


def test_of_equal_means_none_is_less_bold_than_the_other():
    equal = {name: scored(name, [0.300, 0.301, 0.302]) for name in ("a", "b")}
    table = tables.table(STUDY, "made", equal | {"far": scored("far", [0.1, 0.1, 0.1])})
    cells = {row.loss: row.cells["complete", "map_at_r"] for row in table.rows}
    assert {loss: cell.best for loss, cell in cells.items()} == {"a": True, "b": True, "far": False}


def test_one_trial_is_not_called_trials():
    study = replace(STUDY, trials=1)
    records = [record for record in scored("a", [0.1, 0.2, 0.3]) if not (record.trial or 0)]
    assert "1 trial a loss, " in table_text.caption(tables.table(study, "made", {"a": records}))


def test_the_caption_says_what_the_interval_is_of_how_many_and_chosen_on_what():
    table = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    caption = table_text.caption(table)
    for words in (
        "95 % t interval over n = 3 repeats (ddof 1)",
        "held-out classes of the trainval half alone",
        "The test classes chose nothing",
        "5 trials a loss, 4 class-disjoint folds",
        "NOT pretrained",
        "Code: aaaaaaaaaa.",
    ):
        assert words in caption
    assert "MIXED" not in caption
    assert "UNFINISHED" not in caption


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "half, with the learning rates that were searched at 8-d."),
        ({"complete_lr_scale": "sqrt_dim"}, "searched at 8-d times sqrt(8 / 16)."),
        ({"complete_dim": 8}, "one 8-d model trained on the whole trainval half."),
        ({"lr": 1e-4, "loss_lr": 1e-2}, "one 16-d model trained on the whole trainval half."),
    ],
)
def test_the_caption_says_whose_learning_rates_complete_has(fields, words):
    searched = {"lr": (1e-5, 1e-3), "dim": 8, "complete_dim": 16}
    study = replace(STUDY, **searched | fields)
    assert words in table_text.caption(tables.table(study, "made", {}))


def test_records_of_two_commits_may_stand_together_and_the_caption_says_so():
    other = MADE | {"commit": "b" * 40, "dirty": True}
    by_loss = {"a": scored("a", [0.1, 0.2, 0.3]), "b": scored("b", [0.1, 0.2, 0.3], other)}
    caption = table_text.caption(tables.table(STUDY, "made", by_loss))
    assert "MIXED: these records come from 2 commits: aaaaaaaaaa | bbbbbbbbbb+changes" in caption


@pytest.mark.parametrize(
    ("field", "ours", "others", "words"),
    [
        ("processor", "AVX2", "AVX2 AVX512F", "2 kinds of device, as far as they tell"),
        ("device", "cpu: A", "cuda: B", "2 kinds of device, as far as they tell"),
        ("threads", 1, 2, "2 numbers of threads"),
    ],
)
def test_records_of_machines_that_round_otherwise_may_stand_together_and_the_caption_says_so(
    field, ours, others, words
):
    by_loss = {
        name: scored(name, [0.1, 0.2, 0.3], MADE | {field: value})
        for name, value in (("a", ours), ("b", others))
    }
    caption = table_text.caption(tables.table(STUDY, "made", by_loss))
    (line,) = (line for line in caption.splitlines() if line.startswith("MIXED"))
    assert words in line
    assert str(ours) in line
    assert str(others) in line


def test_the_caption_says_in_which_unit_each_form_has_its_scores():
    made = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    for text in (table_text.markdown(made), table_text.latex(made).replace("\\%", "%")):
        assert "test scores in %, mean" in text
    for text in (table_text.comma_separated(made), table_text.as_data(made)["caption"]):
        assert "test scores as shares of 1, mean" in text


def below(values, untrained, **fields):
    """The caption's lines on losses below an untrained network with these scores."""
    by_loss = {"a": scored("a", values), "b": scored("b", [0.9, 0.8, 0.85])}
    if untrained is not None:
        by_loss["untrained"] = scored("untrained", untrained)
    caption = table_text.caption(tables.table(replace(STUDY, **fields), "made", by_loss))
    return [line for line in caption.splitlines() if line.startswith("BELOW UNTRAINED")]


def test_a_loss_that_left_the_network_worse_than_it_was_is_named_with_what_may_be_why():
    (line,) = below([0.10, 0.11, 0.12], [0.40, 0.41, 0.42])
    assert "a complete (11.00 against 41.00)" in line
    assert "b " not in line.partition(" by MAP@R")[0]
    assert "freeze_batch_norm" in line
    (line,) = below([0.10, 0.11, 0.12], [0.40, 0.41, 0.42], freeze_batch_norm=True)
    assert "freeze_batch_norm" not in line
    # within the intervals nothing is said, nor where there is nothing to compare with
    assert below([0.30, 0.50, 0.40], [0.40, 0.41, 0.42]) == []
    assert below([0.50, 0.51, 0.52], [0.40, 0.41, 0.42]) == []
    assert below([0.10, 0.11, 0.12], None) == []


def test_an_unfinished_loss_is_named_with_what_is_missing():
    unfinished = scored("a", [0.1, 0.2, 0.3])[:-2]
    caption = table_text.caption(tables.table(STUDY, "made", {"a": unfinished}))
    assert "UNFINISHED: a (complete 1 of 3 runs)" in caption


def test_csv_holds_shares_of_one_and_the_marks():
    table = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    text = table_text.comma_separated(table)
    body = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(body))))
    assert len(rows) == 9
    assert float(rows[0]["mean"]) == pytest.approx(0.2)
    assert rows[0]["n"] == "3"
    assert rows[0]["best"] == "1"


def test_latex_escapes_names_and_closes_what_it_opens():
    table = tables.table(STUDY, "a_b & 100 %", {"my_loss": scored("my_loss", [0.1, 0.2, 0.3])})
    text = table_text.latex(table)
    assert r"my\_loss" in text
    assert r"a\_b \& 100 \%" in text
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_a_row_for_machines_has_every_value_behind_its_mean():
    table = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    cells = table_text.as_data(table)["rows"][0]["cells"]
    assert cells[0]["values"] == {0: 0.1, 1: 0.2, 2: 0.3}


def test_losses_share_a_letter_exactly_if_scipys_paired_test_with_holm_over_all_pairs_keeps_them():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.004, (5, 3))
    means = [0.10, 0.108, 0.13, 0.16, 0.40]
    values = {f"loss_{i}": (mean + noise[i]).tolist() for i, mean in enumerate(means)}
    by_loss = {loss: scored(loss, of_loss) for loss, of_loss in values.items()}
    table = tables.table(STUDY, "made", by_loss)
    pairs = list(itertools.combinations(values, 2))
    p_values = [scipy_stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs]
    not_separable = set(pairs)
    for place, i in enumerate(np.argsort(p_values)):
        if p_values[i] > 0.05 / (len(pairs) - place):
            break
        not_separable.discard(pairs[i])
    groups = {row.loss: row.cells["complete", "map_at_r"].group for row in table.rows}
    assert groups["loss_4"].startswith("a")
    assert 0 < len(not_separable) < len(pairs)
    for a, b in pairs:
        assert bool(set(groups[a]) & set(groups[b])) == ((a, b) in not_separable), (a, b)
    line = next(x for x in table_text.markdown(table).splitlines() if x.startswith("| loss_0"))
    assert f" {groups['loss_0']} " in line
    assert rf"\mathrm{{{' '.join(groups['loss_0'])}}}" in table_text.latex(table)
    assert "Holm-corrected over all pairs of the column" in table_text.caption(table)
    body = [x for x in table_text.comma_separated(table).splitlines() if not x.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(body))))
    assert {row["group"] for row in rows if row["loss"] == "loss_0"} == {groups["loss_0"]}


def test_a_loss_alone_has_no_letter_and_the_caption_says_why():
    table = tables.table(STUDY, "made", {"a": scored("a", [0.1, 0.2, 0.3])})
    assert table.rows[0].cells["complete", "map_at_r"].group == ""
    assert "No letters: no column has two losses" in table_text.caption(table)
