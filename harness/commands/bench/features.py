"""Runs on features, where nothing but a head is trained, beside a bare loop.

Ours is all that a study does for a run: its plan, a worker process, the training, the record on
disk. The bare loop is what one writes by hand: LayerNorm, Linear, the loss, RMSprop, and an exact
MAP@R of the held-out classes every epoch. Losses, starts and numbers of steps are the same.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.commands.bench import bare_loop
from harness.commands.bench.timing import Comparison, Setting, each_in_turn
from harness.data import datasets, feature_files
from harness.engines import conductor
from harness.engines.execute import Places
from harness.engines.jobs import Job
from harness.engines.local import Local
from harness.protocol import splits
from harness.schema import Part, Problem, Run, Study

LOSSES = ("contrastive", "warped", "proxy_anchor")
IMAGES, CLASSES, DIM = 3100, 445, 1280  # of the trainval half: a fold trains on three quarters
RUNS, EPOCHS = 2, 20
GOAL = 1 / 1.1  # at most a tenth more time than the bare loop
STUDY = Study(
    name="bench",
    classes_per_batch=32,
    images_per_class=4,
    lr=1e-4,
    loss_lr=1e-2,
    followup_lr_ratio=0.1,
    max_epochs=EPOCHS,
    patience=EPOCHS,
    followup=False,
)


def measure(setting: Setting) -> list[Comparison]:
    """Seconds of some runs on made-up features, by loss, on one CPU thread whatever the device."""
    path = setting.folder / "features" / "made.npz"
    feature_files.write(path, made_up())
    places = Places(setting.folder / "features", setting.folder / "data", "cpu", 1)
    name = f"features:{path}"
    dataset = datasets.load(name, places.data, STUDY.resize)
    trainval = splits.trainval_part(dataset, STUDY.halves)
    jobs = conductor.prepare(
        STUDY,
        [name],
        LOSSES,
        results=places.results,
        data_root=places.data,
        notify=lambda *_: None,
    )
    comparisons = []
    for job in jobs[1:]:  # the first is the untrained network
        runs = job.startable()[:RUNS]
        engine = Local([places])
        try:
            ours, baseline, limit = each_in_turn(
                (
                    functools.partial(engine_seconds, job, engine),
                    functools.partial(bare_loop_seconds, runs, trainval),
                    functools.partial(products_seconds, runs, trainval),
                ),
                setting.rounds,
            )
        finally:
            engine.close()
        comparisons.append(
            Comparison(
                name="features",
                what=f"{job.loss}, {RUNS} runs of {EPOCHS} epochs on {IMAGES:,} x {DIM:,}",
                unit="s",
                ours=tuple(ours),
                baseline=tuple(baseline),
                least_ratio=round(GOAL, 2),
                limit=tuple(limit),
                limit_is="the two matrix products of each step of the head, and one an evaluation",
            )
        )
    return comparisons


def made_up() -> dict[str, npt.NDArray[Any]]:
    """Features around a centre for each class; 16 images are the test half, which nobody reads."""
    rng = np.random.default_rng(0)
    trainval = np.sort(np.resize(np.arange(CLASSES), IMAGES))
    labels = np.concatenate([trainval, np.repeat(np.arange(CLASSES, CLASSES + 4), 4)])
    centres = rng.normal(size=(CLASSES + 4, DIM))
    rows = (0.5 * centres[labels] + rng.normal(size=(len(labels), DIM))).astype(np.float32)
    return {"features": rows, "labels": labels, "is_test": labels >= CLASSES}


def engine_seconds(job: Job, engine: Local) -> float:
    """The wall time of a job's first runs, each of which is recorded before the next is planned."""
    job.path.unlink(missing_ok=True)
    job.load()
    start = time.perf_counter()
    for _ in range(RUNS):
        record = engine.submit(job.startable()[0]).result()
        if record.failure is not None:
            raise Problem(f"bench: a run on features failed: {record.failure}")
        job.add(record)
    return time.perf_counter() - start


def bare_loop_seconds(runs: Sequence[Run], trainval: Part) -> float:
    """The wall time of bare loops on the same folds."""
    with _one_thread():
        start = time.perf_counter()
        for run in runs:
            task = bare_loop.task_of(run, trainval)
            sampler = bare_loop.balanced(task.labels.numpy(), run)
            bare_loop.train(run, task, EPOCHS, sampler)
        return time.perf_counter() - start


def products_seconds(runs: Sequence[Run], trainval: Part) -> float:
    """The wall time of what no such training can leave out, on one thread.

    The head's product with each batch and with the gradient of its output, and its product with the
    held-out rows after each epoch.
    """
    with _one_thread():
        start = time.perf_counter()
        for run in runs:
            task = bare_loop.task_of(run, trainval)
            batches = len(bare_loop.balanced(task.labels.numpy(), run)())
            rows = task.rows[: run.study.classes_per_batch * run.study.images_per_class]
            weight = torch.ones(run.study.dim, rows.shape[1])
            for _ in range(EPOCHS):
                for _ in range(batches):
                    embedded = rows @ weight.T
                    embedded.T @ rows
                task.held_rows @ weight.T
        return time.perf_counter() - start


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
