"""The study command from end to end: Cars as it lies on disk, ResNet50, small crops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.data import miniatures
from tests.made import HANGS

ROOT = Path(__file__).resolve().parents[2]


def harness(
    *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.mark.slow
def test_a_whole_study_of_a_miniature_cars_with_resnet50_at_small_crops_runs_to_its_table(tmp_path):
    miniatures.cars(tmp_path / "data" / "cars", layout="csv", classes=16, images=8, short=64)
    options = "--study smoke --loss warped --dataset cars --trials 1 --workers 1 --quiet --json"
    study = harness(
        "study",
        *options.split(),
        f"--data={tmp_path / 'data'}",
        f"--results={tmp_path / 'results'}",
    )
    assert study.returncode == 0, study.stderr
    table = json.loads(study.stdout.splitlines()[-1])
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
    options = "--paper 2408.15656 --study smoke --format json"
    audit = harness(
        "audit",
        *options.split(),
        f"--results={tmp_path / 'results'}",
        environment={"PYTHONWARNINGS": "error"},
    )
    assert audit.returncode == 0, audit.stderr
    findings = [item for item in json.loads(audit.stdout) if item["check"] == "our evidence"]
    assert findings
    assert {item["verdict"] for item in findings} == {"no evidence"}, "a miniature is no evidence"
