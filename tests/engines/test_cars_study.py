"""The command that users come for, end to end: cars as it lies on disk, ResNet50, small crops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import miniatures

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_whole_study_of_a_miniature_cars_with_resnet50_at_small_crops_runs_to_its_table(tmp_path):
    miniatures.cars(tmp_path / "data" / "cars", layout="csv", classes=10, images=8, short=64)
    words = [
        *(sys.executable, "-m", "harness", "study", "--study", "smoke", "--loss", "warped"),
        *("--dataset", "cars", "--trials", "1", "--workers", "1", "--quiet", "--json"),
        *("--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout.splitlines()[-1])
    assert "counts.txt" in table["dataset"], "a miniature must not pass for the dataset"
    assert "NOT pretrained" in table["caption"]
    cells = {
        (row["loss"], cell["category"]): cell["n"] for row in table["rows"] for cell in row["cells"]
    }
    assert cells == {
        (loss, category): 2
        for loss in ("warped", "untrained")
        for category in ("complete", "ensemble", "aggregate")
    }
    audit = subprocess.run(
        [
            *(sys.executable, "-m", "harness", "audit", "--paper", "2408.15656"),
            *("--study", "smoke", "--results", str(tmp_path / "results"), "--format", "json"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    ours = [item for item in json.loads(audit.stdout) if item["check"] == "our evidence"]
    assert ours
    assert {item["verdict"] for item in ours} == {"no evidence"}, "a miniature is no evidence"
