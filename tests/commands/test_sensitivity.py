"""`sensitivity`: recorded models trained again at other learning rates."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from harness.commands.targets import complete_models
from harness.engines import retrain
from harness.tables import metrics, sensitivity
from tests.made import TINY, call, images, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study of one loss: the name of its folder, where it lies, its Complete scores."""
    root = tmp_path_factory.mktemp("sensitivity")
    study = replace(TINY, lr=1e-3)  # not searched, and scaled all the same
    [*_, job] = run(
        study, images(root / "images" / "tiny"), root / "run" / "results", losses=("warped",)
    )
    where = [
        "--results",
        root / "run" / "results",
        "--data",
        root / "run" / "data",
        "--device",
        "cpu",
    ]
    recorded = {str(r.repeat): r.scores["map_at_r"] for r in job.records if r.stage == "complete"}
    return f"tiny/{job.path.parent.name}", where, recorded


def test_a_factor_of_1_repeats_the_record_and_another_one_does_not_and_nothing_is_written(finished):
    name, where, recorded = finished
    before = {path: path.read_bytes() for path in where[1].rglob("*") if path.is_file()}
    code, out, err = call("sensitivity", name, *where, "--factors", "1", "0.01", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["recorded"] == {"warped": recorded}
    assert found["at"]["1"]["warped"] == recorded
    assert found["at"]["0.01"]["warped"] != recorded
    assert found["at"]["0.01"]["warped"].keys() == recorded.keys()
    assert "UNLIKE" not in found["caption"]
    assert {path: path.read_bytes() for path in where[1].rglob("*") if path.is_file()} == before


def test_both_rates_are_scaled_in_the_network_and_the_loss(finished, monkeypatch):
    from harness.training import models

    seen = []
    rate = models._rate

    def noted(run, name):
        seen.append((name, rate(run, name)))
        return rate(run, name)

    monkeypatch.setattr(models, "_rate", noted)
    name, where, _ = finished
    call("sensitivity", name, *where, "--factors", "1", "0.25", "--repeats", "1")
    for rate_name in ("lr", "loss_lr"):
        values = list(dict.fromkeys(value for which, value in seen if which == rate_name))
        assert values[1] == pytest.approx(values[0] / 4)
    assert len({value for which, value in seen if which == "followup_lr_ratio"}) == 1


def test_the_table_says_what_it_is_and_that_nothing_may_be_chosen_by_it(finished):
    name, where, _ = finished
    code, out, _ = call("sensitivity", f"{name}/warped", *where, "--repeats", "2")
    assert code == 0
    assert "| loss   | as recorded" in out
    assert "| rates x 0.5" in out
    assert "Nothing may be chosen by these numbers" in out
    assert "over 2 repeats" in out
    assert "Of fewer than 5 repeats" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--factors", "0"], "0 is not a number above 0"),
        (["--metric", "uniformity"], "not every run of"),
        (["--metric", "map"], "did you mean 'map_at_r'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(finished, words, said):
    name, where, _ = finished
    code, out, err = call("sensitivity", name, *where, *words)
    assert (code, out) == (2, "")
    assert said in err


def made(at, unlike=()):
    recorded = {"a": {0: 0.5, 1: 0.6}, "b": {0: 0.4, 1: 0.45}}
    return sensitivity.Sensitivity(
        "s/d", metrics.metric("map_at_r"), recorded, recorded, at, unlike
    )


def test_a_run_that_diverged_is_told_and_its_difference_is_of_the_others():
    text = sensitivity.text(made({2.0: {"a": {0: 0.3}, "b": {}}}), "Code: x.")
    assert "(1 of 2)" in text
    assert "(0 of 2)" in text
    assert "At 2: too few losses" in text


def test_losses_of_which_a_run_failed_are_marked_stand_last_and_have_no_place_in_the_order():
    losses = "abcdefg"
    recorded = {loss: {0: 0.1 * place, 1: 0.1 * place} for place, loss in enumerate(losses)}
    at = {0.5: {loss: dict(scores) for loss, scores in recorded.items()}}
    at[0.5]["f"] = {0: 0.0}  # its other repeat diverged, and its mean fell to the last place
    failed = {"g": 1}
    found = sensitivity.Sensitivity(
        "s/d", metrics.metric("map_at_r"), recorded, recorded, at, [], failed
    )
    assert found.losses == list("fedcbag")
    assert found.agreement(0.5).tau == pytest.approx(1)
    text = sensitivity.text(found, "Code: x.")
    assert "5 losses (without 2 of which a run failed)" in text
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "(2 of 3" in rows["g"].split("|")[2]
    assert "(1 of 2)" in rows["f"].split("|")[3]


def test_of_a_repeated_search_the_models_of_the_first_one_are_trained_as_the_table_has_them(
    tmp_path,
):
    study = replace(TINY, search_repeats=2)
    [*_, job] = run(
        study, images(tmp_path / "images" / "tiny"), tmp_path / "results", losses=("warped",)
    )
    of_first = [r for r in job.records if r.stage == "complete" and not r.search_repeat]
    name = f"tiny/{job.path.parent.name}"
    targets = complete_models(tmp_path / "results", name, repeats=None)
    assert [t.record.key for t in targets] == [record.key for record in of_first]
    other = next(r for r in job.records if r.stage == "complete" and r.search_repeat)
    (target,) = complete_models(tmp_path / "results", f"{name}/warped/{other.key}", repeats=None)
    assert target.record.key == other.key


def test_a_rate_that_is_a_whole_number_is_scaled_too(finished, monkeypatch):
    name, where, _ = finished
    target = complete_models(where[1], name, repeats=1)[0]
    used = []

    def trained(run, loaded, places):
        used.append((run.params["lr"], run.params["loss_lr"]))
        return (None, {})

    monkeypatch.setattr(retrain, "_trained", trained)
    monkeypatch.setattr(retrain, "dataset_of", lambda *_: None)
    params = {k: v for k, v in target.record.params.items() if k not in ("lr", "loss_lr")}
    study = replace(target.study, lr=1, loss_lr=2)
    made_by = {**target.record.provenance, "study": study.digest()}
    record = replace(target.record, params=params, provenance=made_by)
    retrain.scores_at(0.5, study, record, None)
    assert used == [(0.5, 1.0)]


@pytest.mark.parametrize("error", [RuntimeError("value cannot be converted"), SystemExit(0)])
def test_a_run_that_breaks_at_other_rates_is_a_failure_and_ends_nothing(
    finished, monkeypatch, error
):
    name, where, _ = finished

    def broken(factor, *_):
        if factor == 3:
            raise error
        return {"map_at_r": 0.5}

    monkeypatch.setattr(retrain, "scores_at", broken)
    code, out, err = call("sensitivity", name, *where, "--factors", "3", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["at"]["3"]["warped"] == {}
    assert json.loads(out)["at"]["2"]["warped"]
    assert f"at 3: {type(error).__name__}: {error}" in err


def test_where_nothing_can_be_trained_again_it_is_said_why(finished, tmp_path):
    name, where, _ = finished
    results = shutil.copytree(where[1], tmp_path / "results")
    (path,) = results.glob("*/*/warped.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for fields in lines:
        fields["seconds"] += fields["stage"] == "complete"  # so its digest is of other content
    path.write_text("".join(json.dumps(fields) + "\n" for fields in lines))
    code, _, err = call("sensitivity", name, "--results", results, *where[2:])
    assert code == 2
    assert "no Complete run that can be trained again; tiny/" in err


def test_the_order_is_compared_with_the_recorded_one():
    losses = "abcdef"
    recorded = {loss: {0: 0.1 * place} for place, loss in enumerate(losses)}
    at = {0.5: {loss: {0: -0.1 * place} for place, loss in enumerate(losses)}}
    found = sensitivity.Sensitivity(
        "s/d", metrics.metric("map_at_r"), recorded, recorded, at, ["s/d/a/x"]
    )
    assert found.losses == list("fedcba")
    many = {loss: dict.fromkeys(range(5), scores[0]) for loss, scores in recorded.items()}
    of_many = sensitivity.Sensitivity("s/d", metrics.metric("map_at_r"), many, many, at, [])
    assert "Of fewer than" not in sensitivity.caption(of_many, "Code: x.")
    assert found.agreement(0.5).tau == pytest.approx(-1)
    assert "recorded one -1.00, 6 losses" in sensitivity.caption(found, "Code: x.")
    assert "UNLIKE: trained again as recorded, 1 runs (s/d/a/x)" in sensitivity.caption(
        found, "Code: x."
    )


def test_held_out_classes_of_the_best_trial_say_whether_its_search_was_long_enough(finished):
    name, where, _ = finished
    before = {path: path.read_bytes() for path in where[1].rglob("*") if path.is_file()}
    words = ("--held-out", "--factors", "1", "0.01", "--json")
    code, out, err = call("sensitivity", name, *where, *words)
    assert code == 0, err
    found = json.loads(out)
    records = [
        json.loads(line) for line in (where[1] / name / "warped.jsonl").read_text().splitlines()
    ]
    searched = [record for record in records if record["stage"] == "search"]
    by_trial = {}
    for record in searched:
        folds = by_trial.setdefault(record["trial"], {})
        folds[str(record["fold"])] = record["scores"]["map_at_r"]
    best = max(by_trial.values(), key=lambda folds: sum(folds.values()))
    assert found["classes"] == "held-out"
    assert found["recorded"] == {"warped": best}
    assert found["at"]["1"]["warped"] == best
    assert found["at"]["0.01"]["warped"] != best
    assert "No test class was read" in found["caption"]
    assert "UNLIKE" not in found["caption"]
    assert {path: path.read_bytes() for path in where[1].rglob("*") if path.is_file()} == before


def test_held_out_scores_need_no_test_class(finished, monkeypatch):
    from harness.protocol import splits

    def refused(*_):
        raise AssertionError("test classes were read")

    monkeypatch.setattr(splits, "test_part", refused)
    name, where, _ = finished
    code, out, err = call("sensitivity", f"{name}/warped", *where, "--held-out")
    assert code == 0, err
    assert "held-out MAP@R of the best trial" in out


def test_a_run_may_train_for_several_times_the_epochs_of_its_study(finished, monkeypatch):
    limits = []
    begin = retrain.train.start

    def noted(run, *others):
        limits.append((run.study.max_epochs, run.study.followup_max_epochs))
        return begin(run, *others)

    monkeypatch.setattr(retrain.train, "start", noted)
    name, where, _ = finished
    words = ("--held-out", "--longer", "3", "--factors", "1")
    code, out, err = call("sensitivity", f"{name}/warped", *where, *words)
    assert code == 0, err
    usual = TINY.max_epochs, TINY.followup_max_epochs
    assert set(limits) == {usual, (3 * usual[0], 3 * usual[1])}  # once as recorded
    assert "up to 3 times the epochs" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--held-out", "--repeats", "2"], "--repeats is of Complete"),
        (["--longer", "2"], "give --held-out too"),
        (["--held-out", "--longer", "0"], "0"),
    ],
)
def test_an_option_of_the_other_kind_is_refused(finished, words, said):
    name, where, _ = finished
    code, out, err = call("sensitivity", name, *where, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_name_without_a_finished_search_is_refused(finished):
    name, where, _ = finished
    code, _, err = call("sensitivity", f"{name}/untrained", *where, "--held-out")
    assert code == 2
    assert "no run of a search's best trial to train again" in err


def test_a_difference_is_from_the_same_machine_and_a_record_of_another_one_is_marked(
    finished, monkeypatch
):
    """A run scores 0.1 less here than where it was recorded, and half of the rates cost 0.05."""

    def elsewhere(factor, _study, record, _places):
        change = -0.1 if factor == 1 else -0.15 - 0.001 * record.repeat
        return {name: value + change for name, value in record.scores.items()}

    monkeypatch.setattr(retrain, "scores_at", elsewhere)
    name, where, recorded = finished
    code, out, err = call("sensitivity", name, *where, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["again"]["warped"] == pytest.approx({k: v - 0.1 for k, v in recorded.items()})
    assert "UNLIKE: trained again as recorded, 2 runs" in found["caption"]
    text = call("sensitivity", name, *where)[1]
    assert "| x 0.5 - again |" in text
    assert "| -5.05 ± " in text
