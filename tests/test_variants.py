"""Variants: a loss of losses/ under another name, with fixed parameters and fields of its own."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.commands import findings, loss_settings
from harness.records import folder, records
from harness.schema import VARIED, Problem, Study
from harness.training import search_space
from tests.made import TINY, call, images, run

VARIANTS = {
    "cold": {"loss": "euclidean_softmax", "params": {"temperature": 0.5}},
    "short": {"loss": "contrastive", "fields": {"max_epochs": 1, "lr": 1e-4}},
}
STUDY = replace(TINY, variants=VARIANTS, stages=("search", "repeat", "ensemble", "complete"))
FIXED = replace(
    TINY,
    name="fixed",
    lr=1e-3,
    loss_lr=1e-2,
    followup=False,
    stages=("complete",),
    curve=("avg_dtp",),
    variants={
        name: {"loss": "euclidean_softmax", "params": {"temperature": value}}
        for name, value in (("cold", 0.5), ("warm", 5.0))
    },
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Two variants and a loss, through every stage."""
    where = tmp_path_factory.mktemp("variants") / "results"
    run(replace(STUDY, trials=1), pictures, where, losses=("cold", "short", "contrastive"))
    return where


def lines_of(results: Path, loss: str, study: str = "tiny") -> list[records.Record]:
    [path] = results.glob(f"{study}/*/{loss}.jsonl")
    return list(records.read(path).records)


def test_a_variant_has_its_params_fixed_and_its_fields_changed(results):
    assert {record.params["temperature"] for record in lines_of(results, "cold")} == {0.5}
    short = [r for r in lines_of(results, "short") if r.stage == "search"]
    full = [r for r in lines_of(results, "contrastive") if r.stage == "search"]
    epochs = [{e["epoch"] for e in r.curve if e["phase"] == "normal"} for r in (*short, *full)]
    assert max(map(max, epochs[: len(short)])) == 1 < max(map(max, epochs[len(short) :]))
    assert all("lr" not in record.params for record in short)
    assert all("lr" in record.params for record in full)


def test_variants_pair_up_with_losses_and_have_the_code_of_the_file_behind_them(results):
    seeds = [
        {(r.stage, r.trial, r.repeat, r.fold): r.seed for r in lines_of(results, loss)}
        for loss in ("cold", "short", "contrastive")
    ]
    shared = set.intersection(*map(set, seeds))
    assert len(shared) > 8
    assert all(len({of_loss[key] for of_loss in seeds}) == 1 for key in shared)
    codes = {
        loss: {r.provenance["loss_code"] for r in lines_of(results, loss)}
        for loss in ("short", "contrastive", "cold")
    }
    assert codes["short"] == codes["contrastive"] != codes["cold"]


def test_check_table_status_compare_and_verify_read_variants(results):
    data = results.parent / "data"
    assert call("check", results)[0] == 0, call("check", results)[1]
    code, out, _ = call("table", "--results", results)
    assert code == 0
    assert all(f"| {name} " in out for name in ("cold", "short", "contrastive"))
    assert "cold" in call("status", "--results", results)[1]
    code, out, _ = call("compare", "--results", results)
    assert code == 0
    assert "cold" in out
    [where] = results.glob("tiny/*")
    name = f"tiny/{where.name}/short"
    complete = next(r for r in lines_of(results, "short") if r.stage == "complete")
    code, out, _ = call("verify", f"{name}/{complete.key}", "--results", results, "--data", data)
    assert code == 0, out
    assert "identical" in out


def test_a_caption_counts_what_was_searched_of_a_variant_without_what_is_fixed(results):
    out = call("table", "--results", results)[1]
    [line] = [line for line in out.splitlines() if line.startswith("Searched dimensions")]
    # of cold: two learning rates, the follow-up's ratio; its temperature is fixed in both phases
    assert "cold 3" in line


def test_another_variant_joins_the_records_and_a_changed_one_does_not(results, pictures, tmp_path):
    [where] = results.glob("tiny/*")
    before = folder.read_description(where)
    dataset, title, print_ = (before[name] for name in ("dataset", "title", "fingerprint"))
    more = replace(STUDY, variants={**VARIANTS, "third": {"loss": "triplet"}})
    folder.check_admissible(where, before, folder.describe(more, dataset, title, print_))
    other = {**VARIANTS, "cold": {"loss": "euclidean_softmax", "params": {"temperature": 0.6}}}
    changed = folder.describe(replace(STUDY, variants=other), dataset, title, print_)
    with pytest.raises(Problem, match=r"another study 'tiny' .*variants"):
        folder.check_admissible(where, before, changed)


@pytest.mark.parametrize(("variant", "found"), [({}, []), ({"loss": "triplet"}, ["study"])])
def test_check_finds_a_variant_that_was_changed_and_none_that_was_added(tmp_path, variant, found):
    study = importlib.import_module("studies.function_ablation").STUDY.for_dataset("glyphs")
    before = {name: value for name, value in study.variants.items() if name != "warp"}
    before["identity"] = variant or before["identity"]
    older = replace(study, variants=before)
    description = folder.describe(older, "glyphs", "glyphs", "f")
    where = tmp_path / "function_ablation" / "glyphs"
    where.mkdir(parents=True)
    (where / "study.json").write_text(json.dumps(description))
    assert [finding.kind for finding in findings.check(where).findings] == [*found, "incomplete"]


def test_adding_a_variant_leaves_every_other_runs_digest():
    more = replace(STUDY, variants={**VARIANTS, "third": {"loss": "triplet"}})
    for loss in ("cold", "short", "contrastive"):
        assert more.for_loss(loss).digest() == STUDY.for_loss(loss).digest()
    assert STUDY.for_loss("contrastive").digest() == TINY.digest()
    digests = {more.for_loss(name).digest() for name in (*more.variants, "contrastive")}
    assert len(digests) == 4


@given(st.sampled_from(["cold", "short", "contrastive", "nothing"]))
def test_putting_a_variant_in_twice_is_putting_it_in_once(loss):
    once = STUDY.for_loss(loss)
    assert once.for_loss(loss) == once
    stored = json.loads(json.dumps(folder.describe(once, "d", "d", "f")))
    assert folder.study_of(stored) == once


def test_what_a_variant_fixes_is_not_searched_and_its_loss_ranges_are_those_of_its_loss():
    ranged = replace(
        STUDY,
        loss_ranges={"euclidean_softmax": {"temperature": (0.1, 0.2)}},
        variants={**VARIANTS, "free": {"loss": "euclidean_softmax"}},
    )
    assert search_space.of_loss(ranged, "free")["temperature"].high == 0.2
    assert "temperature" not in search_space.of_loss(ranged, "cold")
    assert search_space.of_loss(ranged, "euclidean_softmax")["temperature"].high == 0.2


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"Bad name": {"loss": "warped"}}, "lower-case letters"),
        ({"untrained": {"loss": "warped"}}, "rename it"),
        ({"a": {"params": {}}}, "'loss', the name of a file"),
        ({"a": {"loss": "warped", "param": {}}}, "known: loss, params, fields"),
        ({"a": {"loss": "warped", "params": 3}}, "is no mapping"),
        ({"a": {"loss": "warped", "fields": {"folds": 3}}}, "sets 'folds'; a variant may change"),
        ({"a": {"loss": "warped", "fields": {"trials": 3}}}, "sets 'trials'"),
        ({"a": {"loss": "warped", "fields": {"lr": -1.0}}}, r"lr = -1.0.*variants\['a'\]"),
        ({"a": {"loss": "warped", "fields": {"lr": "x"}}}, r"lr = 'x'.*variants\['a'\]"),
    ],
)
def test_a_variant_that_is_not_of_its_form_is_refused(variants, message):
    with pytest.raises(Problem, match=message):
        replace(TINY, variants=variants)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"warped": {"loss": "triplet"}}, "has the name of losses/warped.py"),
        ({"a": {"loss": "wraped"}}, r"no loss \(of variants\['a'\].*did you mean 'warped'"),
        ({"a": {"loss": "warped", "params": {"k3": 1.0}}}, "names 'k3'.*no parameter of the loss"),
        ({"a": {"loss": "warped", "params": {"k1": 7.0}}}, "0 < k1 < 1"),
        ({"a": {"loss": "warped", "params": {"k1": "x"}}}, "not of the type float"),
    ],
)
def test_a_variant_of_no_loss_or_of_wrong_params_is_refused(variants, message):
    with pytest.raises(Problem, match=message):
        loss_settings.check(replace(TINY, variants=variants))


def test_a_loss_that_ends_the_program_where_its_params_are_checked_is_one_line(monkeypatch):
    def leave(*_, **__):
        raise SystemExit(0)

    monkeypatch.setattr("losses.warped.check", leave)
    with pytest.raises(Problem, match=r"loss_params\['warped'\].*, but Loss raises SystemExit: 0"):
        loss_settings.check(replace(TINY, loss_params={"warped": {"k1": 0.5}}))


def test_what_a_variant_may_change_are_fields_that_give_no_seed_and_no_class():
    fields = set(Study.__dataclass_fields__)
    assert set(VARIED) <= fields
    assert not set(VARIED) & {"name", "folds", "halves", "trials", "repeats", "dim", "trunk"}


def test_a_study_without_a_search_trains_its_final_runs_and_nothing_else(pictures, tmp_path):
    run(FIXED, pictures, tmp_path / "results", losses=("cold", "warm"))
    for loss, temperature in (("cold", 0.5), ("warm", 5.0)):
        lines = lines_of(tmp_path / "results", loss, "fixed")
        assert [line.key for line in lines] == ["complete-t0-r0-e2+0", "complete-t0-r1-e2+0"]
        assert all(dict(line.params) == {"temperature": temperature} for line in lines)
        assert all([entry["avg_dtp"] > 0 for entry in line.curve] == [True] * 2 for line in lines)
    assert call("check", tmp_path / "results")[1].startswith("6 records in 1 folders checked: noth")
    out = call("status", "--results", tmp_path / "results")[1]
    assert "fixed" in out
    assert "finished; complete 2/2" in out


def test_a_study_without_a_search_refuses_what_would_need_one(pictures, tmp_path):
    study = replace(FIXED, lr=(1e-4, 1e-3))
    with pytest.raises(Problem, match="has no search, and lr, temperature of euclidean_softmax"):
        run(study, pictures, tmp_path / "results", losses=("euclidean_softmax",))


@pytest.mark.parametrize(
    "stages", [(), ("ensemble",), ("search",), ("search", "complete"), ("complete", "repeat")]
)
def test_stages_that_do_not_belong_together_are_refused(stages):
    with pytest.raises(Problem, match="stages = "):
        replace(TINY, stages=stages)
