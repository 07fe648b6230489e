"""A folder dataset so small that a whole study on it takes seconds, and studies to run on it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness import study as conductor
from harness.engines import Inline, Local
from harness.execute import Places
from harness.schema import Record, Study
from studies.smoke import STUDY as SMOKE

TINY = replace(
    SMOKE,
    name="tiny",
    iterations=2,
    max_epochs=2,
    followup_max_epochs=1,
    evaluate_every=1,
    patience=0,
    classes_per_batch=4,
    images_per_class=2,
    trials=3,
    startup_trials=1,
    parallel_trials=2,
    repeats=2,
    dim=8,
    complete_dim=16,
    complete_epochs_multiple=2,
    per_dataset={},
)


def images(root: Path, classes: int = 12, per_class: int = 4) -> Path:
    """A folder per class of 32-pixel PNGs: noise around a pattern of the class's own."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        pattern = rng.integers(0, 256, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
        (root / f"class_{c:02}").mkdir(parents=True)
        for i in range(per_class):
            noisy = np.clip(pattern + rng.normal(0, 40, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / f"class_{c:02}" / f"{i}.png")
    return root


def run(
    study: Study,
    folder: Path,
    results: Path,
    *,
    losses: tuple[str, ...] = ("warped", "contrastive"),
    workers: int = 0,
    tell: conductor.Tell = lambda *_: None,
) -> list[conductor.Job]:
    """The whole study on the folder; workers = 0 runs in this process."""
    places = Places(results.resolve(), results.resolve().parent / "data", "cpu", 1)
    jobs = conductor.prepare(study, [f"folder:{folder}"], losses, places.results, places.data, tell)
    engine = Local([places] * workers) if workers else Inline(places)
    try:
        conductor.conduct(jobs, engine, tell)
    finally:
        engine.close()
    return jobs


def comparable(records: list[Record]) -> dict[str, dict[str, object]]:
    """Records by key without what a clock decides."""
    told = {}
    for record in records:
        fields = dict(vars(record))
        fields.pop("seconds")
        told[f"{record.loss}/{record.key}"] = fields
    assert len(told) == len(records), "a run was recorded twice"
    return told


if __name__ == "__main__":
    run(TINY, Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
