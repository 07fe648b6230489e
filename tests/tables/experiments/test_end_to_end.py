"""Experiments from their studies through real runs to their pages, on a tiny folder of images."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.made import call, images, run

SMALL = {
    "trunk": "convnet",
    "weights": "none",
    "freeze_trunk": False,
    "resize": 32,
    "crop": 32,
    "dim": 8,
    "complete_dim": 8,
    "classes_per_batch": 4,
    "images_per_class": 2,
    "iterations": 2,
    "max_epochs": 2,
    "evaluate_every": 1,
    "repeats": 3,
    "diagnostics": (),
    "per_dataset": {},
}
LOSSES = {
    "function_ablation": ("identity", "warp"),
    "warp_impact": ("best", "k1_1", "k1_0_45"),
    "nir": ("proxy_nca", "nir_proxy_nca"),
    "imbalance": ("triplet", "triplet_balanced"),
}

OWN = {  # of a study whose classes are larger than those of the folder
    "imbalance": {
        "class_images": (1, 2),
        "seen_class_images": 2,
        "diagnostics": ("map_at_r_many", "map_at_r_medium", "map_at_r_few"),
        "variants": {"triplet_balanced": {"loss": "triplet", "fields": {"class_images": (2, 2)}}},
    }
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_a_study_ends_with_its_page_its_figure_and_its_findings(pictures, tmp_path, name):
    study = replace(importlib.import_module(f"studies.{name}").STUDY, **SMALL | OWN.get(name, {}))
    run(study, pictures, tmp_path / "results", losses=LOSSES[name])
    figure = tmp_path / "figure.png"
    code, out, error = call("table", "--results", tmp_path / "results", "--figure", figure)
    assert code == 0, error
    assert "findings of the paper: " in out
    assert "(Rule: " in out
    assert figure.stat().st_size > 5000
    rows = {loss.removesuffix("_balanced") for loss in LOSSES[name]}
    assert all(f"| {row} " in out for row in rows) or name == "warp_impact"
    assert name != "imbalance" or "| -" not in out.replace("| --", ""), "a cell without a value"
