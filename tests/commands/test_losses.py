"""`losses` counts what a study searches; what a study sets of its losses is checked on loading."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from harness.commands import loss_rows, options, study_files
from harness.protocol import search
from harness.protocol.search import loss_params, propose, searched_params
from harness.schema import Problem, Study
from studies.mlrc import STUDY as MLRC
from studies.smoke import STUDY as SMOKE
from tests.made import call

STUDIES = [
    name
    for name in options.names_in("studies")
    if isinstance(study_files.load(name), Study)  # and no demonstration
]


def space_of(study, loss):
    module = importlib.import_module(f"losses.{loss}")
    return search.space_of(study, module, 20.0)  # no range's number hangs on the norm


@pytest.mark.parametrize("name", STUDIES)
def test_the_dimensions_shown_are_those_of_the_space_for_every_loss_and_dataset(name):
    study = study_files.load_study(name)
    for loss in options.names_in("losses"):
        row = loss_rows.row(loss, study)
        assert row["dimensions"] == len(space_of(study, loss)) == len(row["searched_in_study"])
        for dataset in study.per_dataset:
            shown = row["dimensions_on"].get(dataset, row["dimensions"])
            space = space_of(study.for_dataset(dataset), loss)
            assert shown == len(space)
            # As the table counts them, from the params of a record.
            [params] = propose(space, [], 1, startup=1, seed=0)
            recorded = search.fixed_params(study.for_dataset(dataset), loss) | params
            assert len(searched_params(study.for_dataset(dataset), loss, recorded)) == shown


def test_every_form_of_losses_shows_the_dimensions_of_the_study_that_is_named():
    rows = {row["name"]: row for row in json.loads(call("losses", "--json", "--study", "mlrc")[1])}
    head, _, *body = call("losses", "--study", "mlrc")[1].splitlines()
    column = [cell.strip() for cell in head.split("|")].index("dimensions")
    cells = {line.split("|")[1].strip(): line.split("|")[column].strip() for line in body[:-2]}
    assert cells["margin"] == "3" == str(rows["margin"]["dimensions"])
    assert cells["soft_triple"] == "5 (sop 4)"
    assert rows["soft_triple"]["dimensions_on"] == {"sop": 4}
    assert {name: cells[name].split()[0] for name in cells} == {
        name: str(row["dimensions"]) for name, row in rows.items()
    }
    page = call("losses", "soft_triple", "--study", "mlrc")[1]
    assert "searched in the study mlrc: 5 (sop 4) dimensions: loss_lr, la, gamma, " in page
    assert "fixed there: centers_per_class = 10\n" in page
    assert "with other ranges there: tau 0 to 2\n" in page
    assert (
        "searched in the study appendix_d: 7 dimensions: lr, loss_lr, "
        in call("losses", "arcface")[1]
    )


def test_a_study_of_an_unknown_name_ends_in_one_line():
    code, out, err = call("losses", "--study", "mlcr")
    assert (code, out) == (2, "")
    assert "did you mean 'mlrc'?" in err


def loaded(monkeypatch, study):
    module = ModuleType("studies.smoke")
    module.STUDY = study
    monkeypatch.setitem(sys.modules, "studies.smoke", module)
    return study_files.load_study("smoke")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_params": {"margn": {}}}, "did you mean 'margin'?"),
        ({"loss_ranges": {"margn": {}}}, "did you mean 'margin'?"),
        ({"loss_params": {"margin": {"sampling": "some"}}}, "sampling = 'some': it must be"),
        ({"loss_params": {"margin": {"sampling": 1}}}, "is not of the type str"),
        ({"loss_params": {"cosface": {"margin": True}}}, "is not of the type float"),
        ({"loss_params": {"cosface": {"margin": "0.3"}}}, "is not of the type float"),
        ({"loss_params": {"cosface": {"margin": -0.1}}}, "margin = -0.1 is outside its domain"),
        ({"loss_params": {"cosface": {"n_classes": 7}}}, "no parameter of the loss cosface"),
        ({"loss_params": {"cosface": {"nosuch": 7}}}, "known: margin, scale"),
        ({"loss_params": {"contextual": {"lam": 0.95, "gamma": 0.05001}}}, "gamma = "),
        ({"loss_ranges": {"proxy_gml": {"r": (0.1, 1.5)}}}, "r = 1.5 is outside its domain"),
        ({"loss_ranges": {"fast_ap": {"num_bins": (0, 8)}}}, "num_bins = 0 is outside"),
        (
            {
                "loss_params": {"warped": {"alpha": 30.0}},
                "loss_ranges": {"warped": {"followup_alpha_ratio": (0.3, 0.9)}},
            },
            "whose parameter loss_params fixes",
        ),
        (
            {"per_dataset": {"cub": {"loss_params": {"margin": {"sampling": "some"}}}}},
            "sampling = 'some': it must be",
        ),
        ({"per_dataset": {"cub": {"loss_ranges": {"margin": {"nu": (0, 1)}}}}}, "no searched"),
    ],
)
def test_a_study_that_sets_what_a_loss_does_not_take_is_refused_when_it_is_loaded(
    monkeypatch, changes, message
):
    study = replace(SMOKE, **changes)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(Problem) as refused:
        loaded(monkeypatch, study)
    assert message in str(refused.value)
    assert "smoke" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_every_loss_takes_by_default_may_be_fixed(monkeypatch):
    for name in options.names_in("losses"):
        loss = importlib.import_module(f"losses.{name}")
        defaults = {
            key: parameter.default
            for key, parameter in inspect.signature(loss.Loss.__init__).parameters.items()
            if key not in ("self", "n_classes", "dim")
        }
        study = loaded(monkeypatch, replace(SMOKE, loss_params={name: defaults}))
        assert not set(space_of(study, name)) - set(search.OPTIMISER_PARAMS)


@pytest.mark.parametrize("dataset", ["cub", "cars", "sop", "glyphs"])
def test_the_margin_losses_of_mlrc_take_all_triplets(dataset):
    study = MLRC.for_dataset(dataset)
    for name in ("margin", "margin_per_class"):
        loss = importlib.import_module(f"losses.{name}")
        [params] = propose(space_of(study, name), [], 1, startup=1, seed=0)
        normal, _ = loss_params({}, search.fixed_params(study, name) | params)
        assert loss.Loss(n_classes=5, dim=8, **normal).sampling == "all"
        assert loss.Loss(n_classes=5, dim=8).sampling == "distance_weighted"


def test_a_file_that_misses_a_constant_is_named_and_the_others_are_listed(monkeypatch):
    monkeypatch.delattr("losses.triplet.PAPER")
    code, out, err = call("losses")
    assert code == 0
    assert "contrastive " in out
    assert "triplet " not in out
    assert "losses/triplet.py: PAPER is missing" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["losses"], ["study", "--study", "smoke", "--loss"]])
def test_a_file_that_misses_a_constant_is_refused_by_name_in_a_line(monkeypatch, words, tmp_path):
    monkeypatch.delattr("losses.triplet.PAPER")
    where = ["--results", tmp_path / "results"] if words[0] == "study" else []
    code, _, err = call(*words, "triplet", *where)
    assert code == 2
    assert "losses/triplet.py: PAPER is missing" in err
    assert "`python -m harness losses check triplet` says all" in err
