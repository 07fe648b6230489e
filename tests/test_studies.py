"""Every file in studies/ is a valid study, and the published ones hold the published values."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import demonstrations
from harness.data.datasets import names
from harness.protocol import search
from harness.schema import Demonstration, Problem, Study
from harness.training import network

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(p.stem for p in (ROOT / "studies").glob("*.py") if not p.stem.startswith("_"))
DEMONSTRATIONS = [
    name
    for name in FILES
    if isinstance(importlib.import_module(f"studies.{name}").STUDY, Demonstration)
]
STUDIES = [name for name in FILES if name not in DEMONSTRATIONS]


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_a_demonstration_has_the_name_of_its_file_a_page_and_a_command(name):
    module = importlib.import_module(f"studies.{name}")
    assert module.STUDY.name == name
    assert name in demonstrations.PAGES
    assert f"python -m harness study --study {name}" in (module.__doc__ or "")


def study_of(name: str) -> Study:
    study = importlib.import_module(f"studies.{name}").STUDY
    assert isinstance(study, Study)
    return study


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_the_name_of_its_file_known_losses_and_datasets_and_a_command(name):
    study = study_of(name)
    assert study.name == name
    files = [ROOT / "losses" / f"{study.base_of(loss)}.py" for loss in study.losses]
    assert all(file.exists() for file in files)
    assert set(study.datasets) <= set(names())
    assert set(study.per_dataset) <= set(names())
    assert "python -m harness study" in (importlib.import_module(f"studies.{name}").__doc__ or "")


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("dataset", [*names(), "folder:/x"])
def test_a_study_resolves_for_every_dataset_to_a_known_trunk(name, dataset):
    resolved = study_of(name).for_dataset(dataset)
    assert network.trunk_of(resolved).features > 0
    assert resolved.per_dataset == {}
    assert resolved.digest() == resolved.for_dataset(dataset).digest()


@pytest.mark.parametrize("name", STUDIES)
def test_every_loss_of_a_study_has_a_search_space_in_it(name):
    study = study_of(name)
    for loss in study.losses:
        module = importlib.import_module(f"losses.{study.base_of(loss)}")
        resolved = study.for_loss(loss)
        space = search.space_of(resolved, module, 64.0, loss)
        assert set(module.SPACE) <= set(space) | set(resolved.loss_params.get(loss, {}))
        assert resolved.searches or not set(module.SPACE) & set(space)


def test_appendix_d_is_the_protocol_of_the_paper():
    study = study_of("appendix_d")
    assert (study.trials, study.folds, study.repeats) == (50, 4, 10)
    assert (study.dim, study.complete_dim, study.complete_epochs_multiple) == (128, 512, 5)
    assert (study.optimiser, study.pooling, study.layer_norm) == ("rmsprop", "avg+max", True)
    assert (study.halves, study.fold_layout, study.followup) == ("official", "kfold", True)
    assert study.for_dataset("cub").trunk == study.for_dataset("cars").trunk == "resnet50"
    assert study.for_dataset("sop").trunk == "bn_inception"
    assert study.precision == "fp32"


def test_mlrc_is_the_protocol_of_its_released_code():
    study = study_of("mlrc")
    assert (study.lr, study.weight_decay, study.momentum) == (1e-6, 1e-4, 0.9)
    assert (study.crop, study.crop_scale, study.pooling) == (227, (0.16, 1.0), "avg")
    resolved = [study.for_dataset(name) for name in ("cub", "cars", "sop")]
    assert [(s.evaluate_every, s.patience) for s in resolved] == [(2, 9), (5, 14), (20, 39)]
    assert study.classes_per_batch * study.images_per_class == 32


def test_trials_repeats_losses_and_datasets_are_not_in_the_digest_and_other_values_are():
    study = study_of("demo")
    for same in ({"trials": 99}, {"repeats": 99}, {"losses": ()}, {"datasets": ()}):
        assert replace(study, **same).digest() == study.digest()
    for changed in ({"lr": 1e-9}, {"folds": 3}, {"precision": "bf16"}, {"patience": 7}):
        assert replace(study, **changed).digest() != study.digest()


def test_a_number_is_no_text_and_a_text_no_number():
    with pytest.raises(Problem, match="weights = 3 is not of the type str"):
        Study(name="x", weights=3)
    with pytest.raises(Problem, match="flip = True is not of the type float"):
        Study(name="x", flip=True)
    with pytest.raises(Problem, match="pooling = 'mean' is not of the type 'avg' or 'max'"):
        Study(name="x", pooling="mean")


# The bounds of the search plots that Musgrave et al. published (powerful-benchmarker at 222790a,
# docs/papers/mlrc_plots), per dataset where they differ; reg_weight is half of our tau.
MARGIN = {"loss_lr": (1e-6, 1.0), "margin": (-0.2, 2.0), "beta": (-0.2, 2.0)}
PUBLISHED_BOUNDS = {
    "contrastive": {"pos_margin": (-0.2, 2.0), "neg_margin": (-0.2, 2.0)},
    "triplet": {"margin": (-0.2, 2.0)},
    "nt_xent": {"temperature": {"cub": (1e-4, 100.0), "cars": (1e-5, 100.0), "sop": (1e-5, 100.0)}},
    "margin": MARGIN,
    "margin_per_class": MARGIN,
    "normalized_softmax": {"loss_lr": (1e-6, 1.0), "temperature": (0.01, 100.0)},
    "cosface": {"loss_lr": (1e-6, 1.0), "margin": (0.0, 1.0), "scale": (0.01, 200.0)},
    "arcface": {
        "loss_lr": (1e-6, 1.0),
        "margin": (0.0, 90.0),
        "scale": {"cub": (0.01, 200.0), "cars": (0.01, 200.0), "sop": (0.01, 300.0)},
    },
    "fast_ap": {"num_bins": (2, 32)},
    "snr_contrastive": {
        "pos_margin": (0.0, 2.0),
        "neg_margin": (0.0, 2.0),
        "regularizer_weight": (0.0, 1.0),
    },
    "multi_similarity": {
        "alpha": {"cub": (0.001, 100.0), "cars": (0.01, 100.0), "sop": (0.01, 100.0)},
        "beta": (0.01, 100.0),
        "base": (0.0, 1.0),
    },
    "multi_similarity_miner": {
        "alpha": (0.01, 100.0),
        "beta": {"cub": (0.01, 100.0), "cars": (0.01, 100.0), "sop": (0.01, 200.0)},
        "base": (0.0, 1.0),
        "epsilon": (0.0, 1.0),
    },
    "soft_triple": {
        "loss_lr": (1e-6, 1.0),
        "la": {"cub": (0.01, 100.0), "cars": (0.01, 100.0), "sop": (0.01, 200.0)},
        "gamma": {"cub": (1e-4, 100.0), "cars": (0.01, 100.0), "sop": (0.01, 100.0)},
        "tau": {"cub": (0.0, 2.0), "cars": (0.0, 2.0), "sop": None},
        "margin": (0.0, 1.0),
    },
    # As temperature, on a log scale: theirs is softmax_scale on a linear one, 0.01 to 100.
    "proxy_nca_pp": {"loss_lr": (1e-6, 1.0), "temperature": (0.01, 100.0)},
}
ON_A_LOG_SCALE = {"loss_lr", "temperature"}


def test_every_loss_of_mlrc_has_published_bounds_and_a_word_on_what_differs():
    study = study_of("mlrc")
    text = importlib.import_module("studies.mlrc").__doc__ or ""
    assert set(study.losses) == set(PUBLISHED_BOUNDS)
    assert all(name in text for name in study.losses)


@pytest.mark.parametrize("dataset", ["cub", "cars", "sop"])
@pytest.mark.parametrize("loss", PUBLISHED_BOUNDS)
def test_mlrc_searches_what_was_searched_there_within_the_same_bounds(loss, dataset):
    study = study_of("mlrc").for_dataset(dataset)
    space = search.space_of(study, importlib.import_module(f"losses.{loss}"), 1.0)
    expected = {}
    for name, bounds in PUBLISHED_BOUNDS[loss].items():
        on_dataset = bounds[dataset] if isinstance(bounds, dict) else bounds
        if on_dataset is not None:
            expected[name] = (*on_dataset, name in ON_A_LOG_SCALE)
    searched = {name: (spread.low, spread.high, spread.log) for name, spread in space.items()}
    assert searched == expected
