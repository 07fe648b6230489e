"""What tests share: a tiny folder dataset, studies that run on it in seconds, made-up records."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution
from PIL import Image

from harness import cli, files
from harness.engines import attempts, process
from harness.engines import conductor as conductor
from harness.engines.execute import Places, execute
from harness.engines.local import Local
from harness.protocol import plan
from harness.records import folder
from harness.schema import Part, Record, Run, Study, record_of
from harness.tables.table import METRICS
from harness.training import train
from studies.smoke import STUDY as SMOKE

TINY = replace(
    SMOKE,
    name="tiny",
    trunk="strided_convnet",
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


HANGS = 600  # seconds after which a wait has hung; CI is crowded, so no wait is to be near it
SHORT_PAUSES = (0.2, 1.0)  # of attempts.PAUSES, for studies whose workers are killed


def images(root: Path, classes: int = 16, per_class: int = 4) -> Path:
    """A folder per class of 32-pixel PNGs: noise around a pattern of the class's own."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        pattern = rng.integers(0, 256, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
        (root / f"class_{c:02}").mkdir(parents=True)
        for i in range(per_class):
            noisy = np.clip(pattern + rng.normal(0, 40, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / f"class_{c:02}" / f"{i}.png")
    return root


def fit(run: Run, trainval: Part) -> train.Training:
    """The run's training, trained to its end on the CPU."""
    training = train.start(run, trainval, torch.device("cpu"))
    for _ in train.epochs(training):
        pass
    return training


class Inline:
    """An engine whose runs execute in this process, one after the other."""

    slots = 1

    def __init__(self, places: Places) -> None:
        self.places = places
        process.prepare(places)

    def submit(self, run: Run) -> Future[Record]:
        """Execute now; the future is done when this returns."""
        future: Future[Record] = Future()
        try:
            future.set_result(execute(run, self.places))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> str:
        """Nothing is in flight between two submissions."""
        return "stopping"

    def close(self) -> None:
        """Nothing is open."""


def run(
    study: Study,
    folder: Path,
    results: Path,
    *,
    losses: tuple[str, ...] = ("warped", "contrastive"),
    workers: int = 0,
    notify: conductor.Notify = lambda *_: None,
) -> list[conductor.Job]:
    """The whole study on the folder; workers = 0 runs in this process."""
    places = Places(results.resolve(), results.resolve().parent / "data", "cpu", 1)
    jobs = conductor.prepare(
        study,
        [f"folder:{folder}"],
        losses,
        results=places.results,
        data_root=places.data,
        notify=notify,
    )
    engine = Local([places] * workers) if workers else Inline(places)
    try:
        conductor.conduct(jobs, engine, notify)
    finally:
        engine.close()
    return jobs


def comparable(records: list[Record]) -> dict[str, dict[str, object]]:
    """Records by key without what a clock decides."""
    by_key = {}
    for record in records:
        fields = dict(vars(record))
        del fields["seconds"], fields["digest"]
        # The checkout may be edited while tests run, which changes no number.
        made_by = {k: v for k, v in record.provenance.items() if k not in ("content", "dirty")}
        fields["provenance"] = made_by
        by_key[f"{record.loss}/{record.key}"] = fields
    assert len(by_key) == len(records), "a run was recorded twice"
    return by_key


SPACE = {"x": FloatDistribution(0, 1)}
STUDY = replace(TINY, trials=5, parallel_trials=2, folds=4, repeats=3)
MADE = {"commit": "a" * 40, "dirty": False, "versions": {"torch": "2"}, "device": "cpu: x"}


def done(run: Run, **changes: object) -> Record:
    """The record of a run that scored its own x, in a made-up number of epochs."""
    score = min(1.0, float(run.params.get("x", 0.5)) + 0.01 * (run.fold or 0))
    epochs = run.epochs or (7 + (run.fold or 0), 2)
    record = record_of(
        run,
        scores={"map_at_r": score, "r_precision": score, "precision_at_1": score},
        curve=[],
        epochs=epochs,
        failure=None,
        seconds=1.0,
        provenance={},
    )
    return replace(record, **changes)


def play(
    order, study=STUDY, loss="made", failing=lambda run: False, dataset="made"
) -> list[Record]:
    """Run everything that is planned, each time the run that `order` picks of the startable."""
    records: list[Record] = []
    while runs := plan.next_runs(study, dataset, loss, space=SPACE, records=records):
        run = order(runs)
        if failing(run):
            records.append(done(run, failure="Diverged: made up", scores={}, epochs=(0, 0)))
        else:
            records.append(done(run))
    return records


def scored(loss: str, values, provenance=MADE, dataset="made", study=STUDY):
    """A finished study whose scores at repeat r are values[r]."""
    records = []
    for record in play(lambda runs: runs[0], study, loss=loss, dataset=dataset):
        scores = record.scores
        if record.repeat is not None:
            share = values[record.repeat]
            scores = dict.fromkeys(METRICS, share)
        records.append(replace(record, scores=scores, provenance=provenance))
    return records


@functools.cache
def finished() -> tuple[Record, ...]:
    """A finished study's records, played once: the search takes its time."""
    return tuple(scored("made", [0.0, 0.0, 0.0]))


def finished_with(loss: str, values: Sequence[float]) -> list[Record]:
    """Those records for a loss whose scores at repeat r are values[r]."""
    by_loss = []
    for record in finished():
        scores = record.scores
        if record.repeat is not None:
            scores = dict.fromkeys(METRICS, values[record.repeat])
        by_loss.append(replace(record, loss=loss, scores=scores))
    return by_loss


def write_records(
    results: Path, dataset: str, by_loss: Mapping[str, Iterable[Record]], study: Study = STUDY
) -> None:
    """A results folder with made-up records of a study, which get its seeds for the dataset."""
    where = results / study.name / dataset
    where.mkdir(parents=True)
    description = folder.describe(study, dataset, dataset, "x")
    files.write_text(where / "study.json", json.dumps(description))
    seeds = {
        record.key: record.seed for record in play(lambda runs: runs[0], study, dataset=dataset)
    }
    for loss, records in by_loss.items():
        lines = []
        for record in records:
            seed = seeds[record.key]
            fields = vars(replace(record, loss=loss, dataset=dataset, seed=seed))
            required = ("repeat", "fold", "failure")
            fields = {n: v for n, v in fields.items() if v is not None or n in required}
            lines.append(json.dumps(fields) + "\n")
        # At once, for records.append() would wait for the disk at every line.
        (where / f"{loss}.jsonl").write_text("".join(lines))


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to find workers"
)


def lines_in(results: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in results.glob("*/*/*.jsonl"))


def wait_for_lines(results: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + HANGS
    while lines_in(results) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert lines_in(results) >= count, f"the process ended early: {process.returncode}"


def children_of(pid: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(words[1]) == pid:
            children.append(int(path.parent.name))
    return children


def is_worker(pid: int) -> bool:
    """Whether a child is one that trains, and not a helper of multiprocessing."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def call(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of a call in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main([str(word) for word in words])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


if __name__ == "__main__":
    attempts.PAUSES = SHORT_PAUSES
    run(TINY, Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
